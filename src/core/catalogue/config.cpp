// Entries of the catalogue: config against tensors and architecture.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kConfigEntries = {
    CatalogueEntry{
        "arch.unsupported",
        error,
        "The architecture has no module tree",
        "The config names an architecture that Assay has not been taught.",
        "Inspect and header checks still work; reference/DIAGNOSTICS.md shows "
        "how to add an architecture in one file."},
    CatalogueEntry{
        "config.invalid-value",
        error,
        "A config field has a value that cannot be right",
        "The file was edited by hand, or written for another library version.",
        "Compare the field with the original model's config.json."},
    CatalogueEntry{
        "config.missing",
        error,
        "The model has no config.json",
        "A lone weights file says nothing of heads, norms or rotary settings.",
        "Open the folder that holds config.json, or a GGUF, which has both."},
    CatalogueEntry{
        "config.missing-field",
        error,
        "A config field that the numbers depend on is absent",
        "Older or partial exports leave out fields and count on a library's "
        "default, which differs between libraries and versions.",
        "Add the field to config.json with the value of the original model."},
    CatalogueEntry{"context.exceeded",
                   error,
                   "More positions than the model has",
                   "The model's positions are learned, and end.",
                   "Use a shorter prompt or fewer tokens."},
    CatalogueEntry{
        "context.untrained",
        warning,
        "More positions than the model was trained for",
        "The config gives a longest context; past it the text usually breaks "
        "down.",
        "Use a shorter prompt or fewer tokens, or bound the cache "
        "(max_kv_size)."},
    CatalogueEntry{
        "head.missing",
        error,
        "The output head is absent, though the embedding is not tied",
        "tie_word_embeddings is false in the config, or the head was left "
        "out when the model was saved.",
        "Set tie_word_embeddings to true if the original model ties them; "
        "otherwise fetch the shard with the head."},
    CatalogueEntry{
        "head.tied-copy",
        note,
        "There is an output head, though the embedding is tied",
        "Some programs write the tied matrix twice. The second is not used.",
        "Nothing, if both are equal; check without --headers tells."},
    CatalogueEntry{
        "head.tied-differs",
        warning,
        "The stored output head is not the embedding that the config ties it "
        "to",
        "tie_word_embeddings is true, so that programs ignore the stored "
        "head, but it holds other values: either the flag or the tensor is "
        "wrong.",
        "Set tie_word_embeddings to false if the original model has a head "
        "of its own."},
    CatalogueEntry{"quantization.undeclared",
                   error,
                   "Quantized tensors without their settings",
                   "Scales stand beside a weight, but config.json does not say "
                   "with how many bits and which groups it was packed.",
                   "Take config.json from the same place as the weights."},
    CatalogueEntry{"quantization.unsupported",
                   error,
                   "Weights quantized by another library",
                   "Each quantizer packs in its own way, and this one has no "
                   "exact form in MLX.",
                   "Start from the original, unquantized weights."},
    CatalogueEntry{
        "quantization.unused",
        warning,
        "The config says quantized, but no tensor is",
        "The weights were replaced by unquantized ones, or the block was "
        "copied from another model.",
        "Remove the quantization block, or fetch the quantized weights."},
    CatalogueEntry{
        "rope.inconsistent",
        warning,
        "Rotary settings contradict each other or the context",
        "A field was edited, or taken from another model.",
        "Compare rope_parameters (rope_theta, rope_scaling) with the "
        "original model's config.json."},
    CatalogueEntry{"shape.mismatch",
                   error,
                   "A tensor has another shape than the architecture gives it",
                   "The config and the weights are not of the same model, or a "
                   "converter changed one of them.",
                   "Compare the config's sizes with the stored shapes; take "
                   "both from one place."},
    CatalogueEntry{
        "tensor.all-zero",
        warning,
        "All values of a matrix are zero",
        "The tensor was never filled: an interrupted conversion, or a layer "
        "that training left out.",
        "Fetch or convert the tensor again."},
    CatalogueEntry{"tensor.constant",
                   warning,
                   "All values of a matrix are the same",
                   "The tensor was never filled or trained.",
                   "Fetch or convert the tensor again."},
    CatalogueEntry{"tensor.dtype",
                   error,
                   "A tensor has a type that can't serve",
                   "The file stores it in another encoding than its name says.",
                   "Fetch the file again, or convert it from the original."},
    CatalogueEntry{
        "tensor.dtype-unsupported",
        error,
        "A tensor's element type cannot be read or written here",
        "The type has no fixed meaning as a row of numbers (F6, complex), or "
        "there is no quantizer for it.",
        "Convert the tensor with the tool that wrote it, or choose another "
        "type."},
    CatalogueEntry{
        "tensor.missing",
        error,
        "A tensor that the architecture needs is absent",
        "A shard is missing, the config names more layers than there are, or "
        "names were changed.",
        "Check that all shards are there and that the config belongs to them."},
    CatalogueEntry{
        "tensor.not-finite",
        error,
        "A tensor holds infinities or NaNs",
        "It overflowed when it was converted to float16, training diverged, "
        "or the file is damaged.",
        "Convert from the original in bfloat16 or float32, or fetch the file "
        "again."},
    CatalogueEntry{
        "tensor.outliers",
        note,
        "A few values of a matrix are far larger than the rest",
        "Some models have such weights; quantizing them in common groups "
        "costs accuracy.",
        "Leave this layer in more bits when quantizing."},
    CatalogueEntry{
        "tensor.unexpected",
        warning,
        "The files hold a tensor that the architecture does not have",
        "The config belongs to another model or leaves out an option (a "
        "bias, a norm), or another program's data were added. It is not "
        "used.",
        "Compare the config with the original model's."},
};

}  // namespace

std::span<const CatalogueEntry> config() {
  return kConfigEntries;
}

}  // namespace assay::catalogue_parts
