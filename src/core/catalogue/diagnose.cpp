// Entries of the catalogue: repairs, symptoms, and checks of the user's own.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kDiagnoseEntries = {
    CatalogueEntry{
        "dtype.absent",
        note,
        "The config does not name the type that the weights are stored in",
        "Another program wrote the config. transformers 4 then loads in "
        "float32: twice the memory, and half the speed.",
        "Add torch_dtype (dtype in transformers 5); check --fix does it."},
    CatalogueEntry{"fit.not-now",
                   warning,
                   "The model fits this machine, but not beside what runs now",
                   "Other programs hold memory; what does not fit is paged to "
                   "and from the disk.",
                   "End other programs, or use a smaller model or context."},
    CatalogueEntry{"fix.destination",
                   error,
                   "A repaired model cannot be written there",
                   "The new folder lies in the model that is to stay as it is.",
                   "Give another folder with --out, or repair in place with "
                   "--yes."},
    CatalogueEntry{"fix.not-a-folder",
                   error,
                   "Only a folder can be repaired",
                   "A file by itself holds its settings inside, between the "
                   "weights, which a repair does not write to.",
                   "Convert it to a folder: assay convert FILE OUT."},
    CatalogueEntry{"fix.too-large",
                   error,
                   "The folder is no single model",
                   "A repair looks at every file below the folder, and there "
                   "are too many.",
                   "Give the folder of one model."},
    CatalogueEntry{
        "memory.context",
        warning,
        "The model's whole context does not fit",
        "Programs that reserve the cache for max_position_embeddings at the "
        "start need more memory than there is, though the weights fit.",
        "Give a shorter context, or a quantized cache (--kv-bits)."},
    CatalogueEntry{"memory.float32",
                   warning,
                   "The weights are stored in 32 bits",
                   "Each takes twice the memory of 16 bits, and twice the time "
                   "to read, for no better answers.",
                   "Convert to bfloat16, or quantize."},
    CatalogueEntry{
        "memory.unpacked",
        warning,
        "The weights become larger when they are loaded",
        "They are stored in blocks that MLX has no exact form for, and are "
        "held as floats.",
        "Quantize to a form that MLX has, or take another type of GGUF (Q4_0, "
        "Q4_1, Q8_0)."},
    CatalogueEntry{"output.empty",
                   warning,
                   "The answer ends before it begins",
                   "The likeliest first token is one that ends a generation: "
                   "the template lacks the turn of the answer, or an ordinary "
                   "token is taken for the end.",
                   "Look at the template and at eos_token_id."},
    CatalogueEntry{
        "output.end-unheeded",
        warning,
        "The answer holds a special token that should have ended it",
        "The model ends its turn with a token that is not among the ids that "
        "end a generation, so that it goes on and on.",
        "Add the token's id to eos_token_id of generation_config.json."},
    CatalogueEntry{
        "output.flat",
        error,
        "The model's own choices are hardly better than chance",
        "Weights, quantization, rotary settings or vocabulary are not those "
        "that the model was trained with.",
        "Look at what check says of these; compare with a copy that works "
        "(--against)."},
    CatalogueEntry{"output.logits-differ",
                   error,
                   "The predictions are not those of the good model",
                   "Its weights or settings are others.",
                   "assay compare GOOD MODEL shows where they part."},
    CatalogueEntry{
        "output.repeats",
        warning,
        "The answer repeats itself without end",
        "Greedy decoding of small models may; otherwise rotary settings, the "
        "template or a strong quantization are to blame.",
        "Look at the template and at rope settings; with a sound model a "
        "temperature or a repetition penalty helps."},
    CatalogueEntry{"output.weights-differ",
                   error,
                   "The weights are not those of the good model",
                   "Another model, a damaged conversion, or a quantization "
                   "that loses too much.",
                   "Convert again from the original."},
    CatalogueEntry{"rules.malformed",
                   error,
                   "A file of rules does not have the form that is read",
                   "A field is missing, misspelt or of another kind.",
                   "reference/DIAGNOSTICS.md describes the format; assay "
                   "new-check NAME writes an example."},
    CatalogueEntry{"rules.name",
                   error,
                   "A check cannot have that name",
                   "It becomes the name of a file and the beginning of ids.",
                   "Use letters, digits, '-' and '_'."},
    CatalogueEntry{"rules.syntax",
                   error,
                   "A rule cannot be read",
                   "The text breaks off, or something else stands where the "
                   "column says.",
                   "Correct it at that column; reference/DIAGNOSTICS.md "
                   "describes the language."},
    CatalogueEntry{
        "rules.undecided",
        error,
        "A rule has no value for this model",
        "It asks for a field, a tensor or an entry that is not there. What "
        "cannot be told does not hold.",
        "Say where the rule applies: \"when\": \"exists(FIELD)\"."},
    CatalogueEntry{
        "speed.below-bandwidth",
        warning,
        "Far slower than the memory's bandwidth allows",
        "Each token reads every weight once; the run took several times as "
        "long. Something else holds it up: paging, other programs, a type "
        "that is slow here.",
        "Look at the findings of the machine; assay doctor measures again."},
    CatalogueEntry{"speed.memory-bound",
                   note,
                   "As fast as the memory's bandwidth allows",
                   "Each token reads every weight once: only fewer bytes are "
                   "faster.",
                   "Quantize, or take a smaller model."},
    CatalogueEntry{
        "template.misplaced",
        warning,
        "The chat template stands where tokenizers do not look for it",
        "Readers take chat_template.jinja, or chat_template of "
        "tokenizer_config.json; elsewhere it is not found, and prompts are "
        "sent without it.",
        "Move it to chat_template.jinja; check --fix does it."},
};

}  // namespace

std::span<const CatalogueEntry> diagnose() {
  return kDiagnoseEntries;
}

}  // namespace assay::catalogue_parts
