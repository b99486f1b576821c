// Entries of the catalogue: tokenizers, special tokens and chat templates.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kTextEntries = {
    CatalogueEntry{
        "special-token.no-eos",
        warning,
        "No token ends a generation",
        "eos_token_id is in none of config.json, generation_config.json and "
        "the tokenizer's settings: text would go on until the limit.",
        "Add eos_token_id to generation_config.json."},
    CatalogueEntry{
        "special-token.out-of-range",
        error,
        "A special token's id lies outside the vocabulary",
        "The config belongs to another tokenizer, or the embedding was cut.",
        "Take the config, the tokenizer and the weights from one place."},
    CatalogueEntry{
        "special-token.turn-end",
        warning,
        "The token that ends a turn in the chat template does not end a "
        "generation",
        "eos_token_id names only the end of text: a chat would go on into "
        "the next turn.",
        "Add the id of that token to eos_token_id in generation_config.json."},
    CatalogueEntry{
        "template.failed",
        error,
        "A chat template does not render these messages",
        "The template refuses them (roles, tools), is wrong, or asks "
        "for more time or memory than any honest template needs.",
        "Read the template's own message; change the messages, or "
        "pass another template."},
    CatalogueEntry{
        "template.missing",
        error,
        "The model has no chat template",
        "It is a base model, or the template was lost on conversion.",
        "Generate from plain text, or add the original model's "
        "chat_template.jinja."},
    CatalogueEntry{"template.unusable",
                   warning,
                   "A chat template is in a form that is not read",
                   "It is neither a text nor a list with one named 'default'.",
                   "Give the template as text in chat_template.jinja."},
    CatalogueEntry{
        "tokenizer.context",
        note,
        "The tokenizer allows more text than the model has positions",
        "model_max_length of the tokenizer and the context of the config "
        "come from different places.",
        "Nothing for Assay, which goes by the config; other programs may cut "
        "too late."},
    CatalogueEntry{
        "tokenizer.failed",
        error,
        "A tokenizer cannot encode or decode this",
        "The text is not UTF-8, or the vocabulary lacks what its own "
        "rules need (an unknown token, bytes).",
        "Give the text as UTF-8; compare the tokenizer with the "
        "original model's."},
    CatalogueEntry{
        "tokenizer.invalid-value",
        error,
        "A setting of the tokenizer that its library refuses",
        "tokenizer_config.json was edited, or is another library's: loading "
        "fails, or texts are cut and ended otherwise.",
        "Correct the field as the message says, or take "
        "tokenizer_config.json from the original model."},
    CatalogueEntry{
        "tokenizer.malformed",
        error,
        "A tokenizer's definition contradicts itself",
        "tokenizer.json or the vocabulary in the GGUF is cut short, "
        "was edited, or is hostile.",
        "Take tokenizer.json from the original model, or convert the "
        "GGUF again."},
    CatalogueEntry{
        "tokenizer.missing",
        error,
        "The model has no tokenizer",
        "tokenizer.json was not copied with the weights, or the GGUF "
        "holds no vocabulary.",
        "Copy tokenizer.json of the original model beside the "
        "weights."},
    CatalogueEntry{
        "tokenizer.pre-assumed",
        warning,
        "A GGUF does not say how its text is split",
        "It was converted before that was written down. GPT-2's way "
        "is assumed; if the model has another, it reads text as "
        "tokens that it rarely saw.",
        "Convert the original model again, or put its tokenizer.json "
        "beside the weights."},
    CatalogueEntry{
        "tokenizer.unsupported",
        error,
        "A kind of tokenizer that Assay has not been taught",
        "The GGUF names a model or a way to split text that is new or "
        "rare.",
        "Use a folder with the original tokenizer.json."},
    CatalogueEntry{
        "tokenizer.vocab-exceeds-embedding",
        error,
        "The tokenizer has ids that the embedding has no row for",
        "Tokens were added without enlarging the model, or the tokenizer is "
        "another model's.",
        "Take tokenizer and weights from one place, or remove the added "
        "tokens."},
    CatalogueEntry{
        "tokenizer.vocab-padding",
        note,
        "The embedding has more rows than the tokenizer has ids",
        "Rows are padded to a round number for speed. They are never chosen "
        "by a trained model.",
        "Nothing."},
};

}  // namespace

std::span<const CatalogueEntry> text() {
  return kTextEntries;
}

}  // namespace assay::catalogue_parts
