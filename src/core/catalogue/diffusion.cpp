// Entries of the catalogue: pipelines as diffusers writes them.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kDiffusionEntries = {
    CatalogueEntry{
        "component.class-mismatch",
        error,
        "A component is of another class than the index says",
        "The folder was swapped for another model's, or the index "
        "was edited.",
        "Take the component from the model that the index describes, "
        "or name its class in model_index.json."},
    CatalogueEntry{"component.missing",
                   error,
                   "A component that the index names is not there",
                   "A download ended early, or a folder was renamed.",
                   "Download the folder again; a component that is left out on "
                   "purpose is [null, null] in model_index.json."},
    CatalogueEntry{
        "component.no-weights",
        error,
        "A component has a config and no weights",
        "A download ended early, or the weights are stored elsewhere.",
        "Download the component's *.safetensors."},
    CatalogueEntry{
        "component.no-class",
        warning,
        "A component's config does not name its class",
        "The config was edited, or is not one that diffusers wrote: its "
        "automatic loaders cannot tell what to build.",
        "Add \"_class_name\" as the original config has it, or load it by "
        "naming the class."},
    CatalogueEntry{"component.shape-mismatch",
                   error,
                   "A component's config states another size than its tensors",
                   "The config was edited, or is another model's.",
                   "Set the field to the size that the tensor shows, or take "
                   "config and weights from one place."},
    CatalogueEntry{
        "component.invalid-value",
        error,
        "A component's config has a value that its class cannot be built with",
        "The config was edited, or is another class's: loading fails, or the "
        "heads are cut wrongly.",
        "Correct the field as the message says, or take the config that came "
        "with the weights."},
    CatalogueEntry{"component.no-config",
                   error,
                   "A component has no config",
                   "A download left the small files out, or only weights were "
                   "copied.",
                   "Take the component's folder from the original model."},
    CatalogueEntry{"component.no-tokenizer",
                   error,
                   "A tokenizer's folder holds no vocabulary",
                   "A download left files out.",
                   "Take the tokenizer's folder from the original model."},
    CatalogueEntry{
        "component.tensor-missing",
        error,
        "A component lacks tensors that its config calls for",
        "The config names more layers or other blocks than the weights are "
        "of, or the file was cut or filtered. diffusers fills the gap with "
        "random numbers and says so in a line that is easily missed.",
        "Take config and weights from one place."},
    CatalogueEntry{
        "component.tensor-unexpected",
        warning,
        "A component has tensors that its config has no place for",
        "The config names fewer layers or other blocks than the weights are "
        "of: what they learned has no effect.",
        "Take config and weights from one place."},
    CatalogueEntry{
        "pipeline.component-absent",
        error,
        "The pipeline's class needs a component that the index lacks",
        "The index was edited, or the class is the wrong one.",
        "Add the component's folder and its line in "
        "model_index.json, or correct _class_name."},
    CatalogueEntry{"pipeline.disagreement",
                   error,
                   "Two components of a pipeline do not fit each other",
                   "One was taken from another model: its latents or text "
                   "features have another width.",
                   "Take both components from one model."},
    CatalogueEntry{"pipeline.malformed",
                   error,
                   "model_index.json does not describe a pipeline",
                   "It was edited by hand, or is not written by diffusers.",
                   "Take model_index.json from the original model."},
    CatalogueEntry{"pipeline.unpublished-value",
                   warning,
                   "A value differs from every published model of the family",
                   "Nothing in the files contradicts it, but images come out "
                   "pale, burnt or as noise when it is wrong.",
                   "Compare with the original model; leave it if the model was "
                   "trained so."},
    CatalogueEntry{"scheduler.invalid-value",
                   error,
                   "The scheduler has a setting that no scheduler takes",
                   "A typing error, or a setting of another library.",
                   "Use one of the values named."},
    CatalogueEntry{"scheduler.other-choice",
                   note,
                   "A sampler is set otherwise than in the family's release",
                   "Such settings change pictures and are a matter of taste.",
                   "Nothing, if it was meant; otherwise take the scheduler's "
                   "config of the original model."},
    CatalogueEntry{"scheduler.unknown-class",
                   warning,
                   "No scheduler of diffusers has this name",
                   "A typing error, or a newer or foreign scheduler.",
                   "Compare with the original model; check diffusers' "
                   "version."},
    CatalogueEntry{"scheduler.wrong-family",
                   error,
                   "The scheduler is not of the kind that the model needs",
                   "Flow matching models and diffusion models are sampled "
                   "differently; with the other kind only noise comes out.",
                   "Use the scheduler of the original model."},
    CatalogueEntry{
        "text-encoder.too-long",
        error,
        "The tokenizer gives more tokens than the text encoder takes",
        "Tokenizer and text encoder come from different models.",
        "Set model_max_length to the encoder's positions."},
    CatalogueEntry{"vae.factor-missing",
                   error,
                   "The VAE's config lacks a factor that the images depend on",
                   "An older export; programs then use the factor of another "
                   "family, or fail.",
                   "Add the field with the value of the original model."},
};

}  // namespace

std::span<const CatalogueEntry> diffusion() {
  return kDiffusionEntries;
}

}  // namespace assay::catalogue_parts
