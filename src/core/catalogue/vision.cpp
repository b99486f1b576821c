// Entries of the catalogue: vision-language models, published values.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kVisionEntries = {
    CatalogueEntry{
        "config.unpublished-value",
        warning,
        "A value differs from every published model of this kind",
        "Nothing in the files contradicts it, but what is computed depends on "
        "it: the field was edited, or comes from another model.",
        "Compare with the original model; leave it if the model was trained "
        "so."},
    CatalogueEntry{
        "config.unknown-size",
        note,
        "No published model of this shape is known here, and a value is not "
        "one of its kind's",
        "A model that the table of published ones lacks, or one of somebody's "
        "own: the value is another kind's. Nothing tells whether it was "
        "edited.",
        "Nothing; compare with the original model if the text is poor."},
    CatalogueEntry{
        "vision.feature-layer",
        error,
        "Image features are taken from a layer that is not there",
        "vision_feature_layer or its strategy was edited, or the tower is "
        "another model's.",
        "Take config.json from the original model."},
    CatalogueEntry{
        "vision.image-tokens",
        error,
        "An image becomes another number of tokens than the files say",
        "Config and processor are of different models or sizes. The text would "
        "hold more or fewer places than there are features: programs stop, or "
        "mix up image and text.",
        "Set the field to the number that image and patch size give, or take "
        "both files from one place."},
    CatalogueEntry{"vision.mrope",
                   error,
                   "The sections of the rotary dimensions do not fill a head",
                   "mrope_section was edited, or head_dim is another model's.",
                   "Take config.json from the original model."},
    CatalogueEntry{
        "vision.placeholder",
        error,
        "The chat template writes nothing for an image",
        "The template is that of a language model: images would be dropped, "
        "or programs stop at the missing places.",
        "Take chat_template.jinja from the original model."},
    CatalogueEntry{
        "vision.positions",
        error,
        "Image and patch size give another number of places than are stored",
        "The position embeddings are of another image size, or one of the two "
        "fields was edited.",
        "Set image_size and patch_size to those of the weights."},
    CatalogueEntry{
        "vision.processor-class",
        error,
        "A processor's class is not the one of this model",
        "The file was taken from another model, or edited: images would be "
        "prepared in another way.",
        "Take the processor's files from the original model."},
    CatalogueEntry{
        "vision.processor-mismatch",
        error,
        "The processor makes images of another size than the tower takes",
        "Processor and config are of different models.",
        "Take config.json and the processor's files from one place."},
    CatalogueEntry{
        "vision.processor-missing",
        error,
        "A vision-language model without an image processor",
        "preprocessor_config.json was left out when the model was copied or "
        "converted.",
        "Take it from the original model."},
    CatalogueEntry{
        "vision.projector-mismatch",
        error,
        "The projector does not fit the vision tower or the language model",
        "It is of another model, or a field that its widths follow was "
        "edited.",
        "Take config and weights from one model."},
    CatalogueEntry{
        "vision.token-id",
        error,
        "An image's token is another one in the tokenizer",
        "Config and tokenizer are of different models. Features would be put "
        "into the wrong places, or into none.",
        "Set the id to that of the tokenizer's token, or take both files from "
        "one place."},
};

}  // namespace

std::span<const CatalogueEntry> vision() {
  return kVisionEntries;
}

}  // namespace assay::catalogue_parts
