// Entries of the catalogue: language models' quantization blocks, fields that
// contradict each other, published values.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kLanguageEntries = {
    CatalogueEntry{
        "config.class-mismatch",
        warning,
        "model_type and architectures name different models",
        "One of the two was edited, or the config was put together from two. "
        "Programs go by one or the other.",
        "Take config.json from the original model."},
    CatalogueEntry{
        "config.contradiction",
        error,
        "Fields of the config contradict each other",
        "One of them was edited, or comes from a model of another size.",
        "Compare the fields named with the original model's config.json."},
    CatalogueEntry{
        "dtype.bf16-on-cpu",
        note,
        "bfloat16 weights on a machine without a GPU",
        "Programs that also compute in bfloat16 on a CPU lose accuracy and "
        "are slow.",
        "Nothing for Assay, which computes in float32 on the CPU."},
    CatalogueEntry{
        "dtype.differs",
        note,
        "The config names another type than the one stored",
        "The weights were converted without their config, or the reverse.",
        "Nothing for Assay, which goes by the tensors; transformers converts "
        "on loading."},
    CatalogueEntry{
        "dtype.float16-overflow",
        note,
        "Values that float16 cannot hold",
        "The largest is 65504; converting to float16 makes infinities of "
        "them.",
        "Keep these weights in bfloat16 or float32."},
    CatalogueEntry{
        "generation.invalid-value",
        error,
        "A setting of generation_config.json cannot be used",
        "It lies outside what sampling is defined for.",
        "Correct it, or take generation_config.json from the original model."},
    CatalogueEntry{
        "quantization.contradiction",
        error,
        "Two quantization blocks of one config differ",
        "One of them was edited. mlx-lm reads 'quantization', transformers "
        "'quantization_config'.",
        "Set both to what the stored shapes mean, or take config.json from "
        "where the weights are from."},
    CatalogueEntry{
        "quantization.other-type",
        warning,
        "The config names another type than what is not quantized has",
        "dtype was edited, or copied from another model. transformers leaves "
        "what is not FP8 as it is stored; where it dequantizes the rest to the "
        "type named, on a machine without a GPU, the two do not multiply.",
        "Set dtype to the type of the tensors that are not quantized."},
    CatalogueEntry{
        "quantization.part-missing",
        error,
        "A quantized weight lacks what belongs to it",
        "Scales, zeros or maxima were left out when the model was saved or "
        "split.",
        "Fetch the shard that holds them, or the whole model again."},
    CatalogueEntry{
        "quantization.parts-mismatch",
        error,
        "Weight, scales and zeros of one module do not fit each other",
        "They come from different quantizations of the model, or one of them "
        "was cut.",
        "Fetch the model again; all parts of a module must be of one run."},
    CatalogueEntry{
        "quantization.wrong-bits",
        error,
        "The quantization block names other bits than the stored shapes mean",
        "The block was edited or copied from another quantization.",
        "Set bits to what the shapes mean, or take config.json from where the "
        "weights are from."},
    CatalogueEntry{
        "quantization.wrong-group",
        error,
        "The quantization block names another group size than stored",
        "The block was edited or copied from another quantization.",
        "Set group_size (weight_block_size) to what the shapes mean."},
    CatalogueEntry{
        "quantization.wrong-method",
        error,
        "The quantization block names another method than stored",
        "The block was copied from another model, or edited: the codes would "
        "be unpacked in the wrong order.",
        "Name the method that the tensors follow, or take config.json from "
        "where the weights are from."},
    CatalogueEntry{
        "quantization.wrong-setting",
        error,
        "The quantization block contradicts the numbers stored",
        "The block was edited, copied from another quantization, or leaves to "
        "a default what differs from it. Kernels that it chooses leave out "
        "zeros, or the order of inputs, that the weights were made with.",
        "Set the field to what the numbers mean, or take config.json from "
        "where the weights are from."},
    CatalogueEntry{
        "special-token.disagrees",
        warning,
        "Documents name different tokens for one role",
        "config.json, generation_config.json and the tokenizer's settings "
        "come from different versions of the model.",
        "Take all of them from one place. generation_config.json rules where "
        "a generation ends."},
    CatalogueEntry{
        "special-token.pad-unk",
        note,
        "Padding and unknown are one token",
        "Common where a model came without padding. Training that hides "
        "padding hides unknown text too.",
        "Nothing, unless you train."},
    CatalogueEntry{
        "special-token.unknown",
        error,
        "A special token that the vocabulary does not hold",
        "The tokenizer's settings name a token of another model; libraries "
        "would add it with an id past the embedding, or never find it.",
        "Take tokenizer_config.json and tokenizer.json from one place."},
    CatalogueEntry{
        "special-token.unnamed",
        warning,
        "The tokenizer does not name a special token that the model has",
        "tokenizer_config.json was edited or made anew: libraries then know no "
        "such token, so that templates leave it out and texts are not ended.",
        "Add the token to tokenizer_config.json, or take the file from the "
        "original model."},
    CatalogueEntry{
        "template.bos-twice",
        warning,
        "The text begins with two tokens for its beginning",
        "Template or post-processor write the token twice; the model never "
        "saw that.",
        "Remove one of them from the template or from tokenizer.json's "
        "post_processor."},
    CatalogueEntry{
        "template.no-prompt",
        warning,
        "The chat template does not open the assistant's turn",
        "It ignores add_generation_prompt: the model has to write the head of "
        "its own turn, or goes on with the user's.",
        "Let the template write the turn's head where add_generation_prompt "
        "is true, or take it from the original model."},
    CatalogueEntry{
        "template.unknown-marker",
        warning,
        "The chat template writes a marker that is no token",
        "The template belongs to another model, or the marker was lost from "
        "the tokenizer: it is read as plain letters.",
        "Take the template and tokenizer.json from one place."},
    CatalogueEntry{
        "tensor.repeated",
        warning,
        "Two matrices have the same values",
        "A layer was copied over another when the model was merged, split or "
        "converted; or the model was made deeper in this way on purpose.",
        "Compare with the original model."},
    CatalogueEntry{
        "tensor.zero-rows",
        warning,
        "A large part of a matrix is zero, in one run",
        "The file has a hole that a download or a copy left, or the tensor "
        "was not filled to its end.",
        "Fetch the file again and compare its hash with the source."},
    CatalogueEntry{
        "tensor.f8-as-bytes",
        error,
        "Eight-bit floats stored as bytes",
        "A program without the type F8_E4M3 saved them as U8. Read as "
        "integers they mean nothing.",
        "Fetch the original, or change the type in the header from U8 to "
        "F8_E4M3 if its scales stand beside it."},
    CatalogueEntry{
        "tokenizer.disagrees",
        error,
        "tokenizer.json and the documents beside it differ",
        "One of them is of another version of the model. Libraries read one "
        "or the other: the same text gives other ids.",
        "Take all tokenizer files from one place."},
    CatalogueEntry{"tokenizer.id-collision",
                   error,
                   "Two tokens share an id",
                   "The vocabulary was edited by hand or merged from two.",
                   "Take tokenizer.json from the original model."},
};

}  // namespace

std::span<const CatalogueEntry> language() {
  return kLanguageEntries;
}

}  // namespace assay::catalogue_parts
