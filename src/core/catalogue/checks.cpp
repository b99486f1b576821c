// Entries of the catalogue: scans of many models, comparison with a model
// known to be good, repairs, and checks of the user's own.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kChecksEntries = {
    CatalogueEntry{
        "against.architecture",
        error,
        "The model is of another architecture than the good one",
        "The config names another class or type: other code would read the "
        "same tensors.",
        "Compare like with like; otherwise restore the field shown."},
    CatalogueEntry{
        "against.dtype",
        note,
        "Tensors are stored in another type than in the good model",
        "A conversion chose another type: the numbers are rounded otherwise.",
        "Nothing, if that was intended."},
    CatalogueEntry{
        "against.field-extra",
        note,
        "A field that the good model's config does not have",
        "Somebody added it, or another version of the library wrote it.",
        "Remove it if nobody knows what it is for."},
    CatalogueEntry{"against.field-missing",
                   warning,
                   "A field of the good model's config is absent",
                   "Without the field a library takes its default, which "
                   "differs between libraries and versions.",
                   "Copy the field from the good model."},
    CatalogueEntry{"against.file-missing",
                   warning,
                   "A file that the good model has is absent",
                   "It was not downloaded, or a conversion left it out.",
                   "Copy the file from the good model."},
    CatalogueEntry{
        "against.generation",
        note,
        "Sampling defaults differ from the good model's",
        "generation_config.json was edited, or comes from another model.",
        "Nothing, if that was intended."},
    CatalogueEntry{
        "against.processor",
        warning,
        "Pictures or sounds are prepared otherwise than for the good model",
        "Mean, size, resampling or patches were changed: the model sees other "
        "numbers than it was trained on, and no program says so.",
        "Restore the value shown."},
    CatalogueEntry{
        "against.quantization",
        note,
        "Weights are packed otherwise than in the good model",
        "One of both is quantized, or with other settings.",
        "Nothing, if that was intended; assay compare measures the loss."},
    CatalogueEntry{
        "against.size",
        error,
        "A size of the config differs from the good model's",
        "Tensors of the good model's shapes would be read wrong or not at all.",
        "Restore the value shown, unless the weights too are of another size."},
    CatalogueEntry{"against.template",
                   warning,
                   "The chat template differs from the good model's",
                   "A conversion lost or replaced it. The model answers worse "
                   "to prompts that it was not trained on.",
                   "Copy chat_template.jinja, or the field chat_template of "
                   "tokenizer_config.json."},
    CatalogueEntry{
        "against.tensor-extra",
        note,
        "A tensor that the good model does not have",
        "Another version of the model, or what a training left behind.",
        "Nothing, if the model was extended; otherwise fetch it again."},
    CatalogueEntry{"against.tensor-missing",
                   error,
                   "A tensor of the good model is absent",
                   "A shard is missing, or a conversion dropped or renamed it.",
                   "Fetch or convert the weights again."},
    CatalogueEntry{"against.tensor-shape",
                   error,
                   "A tensor has another shape than in the good model",
                   "The weights are of another size or were transposed.",
                   "Fetch or convert the weights again."},
    CatalogueEntry{
        "against.token",
        warning,
        "A special token differs from the good model's",
        "Ids of tokens that begin, end or separate texts were changed: answers "
        "do not end, or roles run into each other.",
        "Restore the id shown, unless the vocabulary too is another."},
    CatalogueEntry{
        "against.tokenizer",
        warning,
        "The tokenizer works otherwise than the good model's",
        "How text is split, marked or put together was changed, so that the "
        "same text gives other ids.",
        "Copy tokenizer.json and tokenizer_config.json from the good model."},
    CatalogueEntry{
        "against.value",
        warning,
        "A value of the config differs from the good model's",
        "The field was edited, or comes from another model. It changes what is "
        "computed.",
        "Restore the value shown, unless this model was made with another."},
    CatalogueEntry{"against.vocabulary",
                   error,
                   "The vocabulary differs from the good model's",
                   "The same ids stand for other pieces of text, so that the "
                   "output is garbage if the weights are of the good model.",
                   "Copy tokenizer.json from the good model."},
    CatalogueEntry{"profile.malformed",
                   error,
                   "A profile cannot be read",
                   "The file is no profile of assay, or was cut.",
                   "Write it again: assay check GOOD_MODEL --headers "
                   "--save-profile FILE."},
    CatalogueEntry{
        "scan.limit",
        warning,
        "A folder holds more than one scan looks at",
        "The scan of a folder of models is bounded in depth, models and files, "
        "so that it ends on any disk.",
        "Check the folders below it one by one."},
    CatalogueEntry{"scan.loop",
                   note,
                   "A link leads back to a folder above it",
                   "Following it would never end.",
                   "Nothing: the folder is checked once. Remove the link if "
                   "it is there by mistake."},
};

}  // namespace

std::span<const CatalogueEntry> checks() {
  return kChecksEntries;
}

}  // namespace assay::catalogue_parts
