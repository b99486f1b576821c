// Entries of the catalogue: what the verbs can find while they work.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kJobsEntries = {
    CatalogueEntry{
        "convert.destination",
        error,
        "The destination of a conversion lies in its source, or around it",
        "Putting the result in place would touch the source.",
        "Choose a destination beside the source."},
    CatalogueEntry{
        "convert.no-window-pattern",
        warning,
        "The layers with a sliding window follow no pattern of one number",
        "mlx-lm goes by sliding_window_pattern, transformers and Assay by the "
        "list layer_types.",
        "In mlx-lm some layers of this model will have the wrong window, or "
        "it will not load; nothing is wrong elsewhere."},
    CatalogueEntry{
        "convert.no-way-back",
        error,
        "The target format cannot hold a parameter of the model",
        "Not every layout can be said in every format.",
        "Convert to another format, or to one with floating-point values."},
    CatalogueEntry{
        "convert.other-logits",
        error,
        "No value changed, but the result computes something else",
        "The target format cannot say a setting of this model (a window on "
        "some layers, a kind of rotary scaling), or says it otherwise.",
        "Do not use the result; convert to another format."},
    CatalogueEntry{"convert.option",
                   error,
                   "An option of a conversion has no such value, or does not "
                   "go with another",
                   "The values that exist are those of MLX and of mlx-lm.",
                   "Choose one of those expected."},
    CatalogueEntry{
        "doctor.cpu-only",
        note,
        "MLX has no GPU back end here",
        "The installed MLX was built for the CPU, or the machine has no GPU "
        "that MLX knows.",
        "On an NVIDIA machine install MLX with CUDA (./dev setup --cuda); on "
        "a Mac with Apple silicon use its own MLX."},
    CatalogueEntry{
        "doctor.few-threads",
        warning,
        "The kernels use fewer threads than there are cores",
        "A limit was set on this process, or on the kernels' threads.",
        "Lift the limit (OMP_NUM_THREADS, taskset, --threads) if the machine "
        "is yours alone."},
    CatalogueEntry{"doctor.gpu-unused",
                   warning,
                   "A GPU is there, but the CPU is used",
                   "The default device was set to the CPU.",
                   "Run without forcing the CPU."},
    CatalogueEntry{
        "doctor.memory-pressure",
        warning,
        "Little memory is free",
        "Other programs hold most of the memory; a model that does not fit "
        "into the rest is paged to and from the disk, which is hundreds of "
        "times slower.",
        "End other programs, or use a smaller model; assay fit MODEL tells "
        "what fits."},
    CatalogueEntry{
        "doctor.reference-blas",
        warning,
        "Matrix products run on the reference BLAS",
        "The Linux wheel of MLX brings Netlib's reference BLAS, which uses "
        "one thread and no vectors; OpenBLAS, which is loaded ahead of it, was "
        "not found.",
        "Install OpenBLAS (libopenblas0); nothing needs to be built again."},
    CatalogueEntry{
        "draft.cache",
        error,
        "A draft model is of no use with this cache",
        "A refused guess must be taken back, and caches bounded by a window "
        "may have dropped what stood in its place.",
        "Generate fewer tokens, leave max_kv_size out, or use no draft."},
    CatalogueEntry{
        "draft.vocabulary",
        error,
        "The draft model has other tokens than the model",
        "Guesses are compared by token id, so both need the same vocabulary.",
        "Take a smaller model of the same family as the draft."},
    CatalogueEntry{
        "fit.does-not-fit",
        warning,
        "The model needs more memory than there is",
        "Weights, KV cache and what a step computes are together larger than "
        "the limit of the device.",
        "Take fewer bits, a shorter context or a quantized KV cache; the "
        "report says which of them would do."},
    CatalogueEntry{
        "fit.peak-hidden",
        note,
        "The peak of memory could not be measured",
        "The process held more memory before than the run took, and the "
        "system only knows the peak of both.",
        "Measure in a process of its own."},
    CatalogueEntry{
        "forward.failed",
        error,
        "The model cannot be run as it is declared",
        "A forward pass over zeros of the declared shapes failed or gave "
        "another shape: the config's sizes contradict each other.",
        "Compare the config's sizes (heads, head_dim, intermediate, experts) "
        "with the original model's."},
    CatalogueEntry{"generate.option",
                   error,
                   "An option of generation is out of its range",
                   "The value has no meaning for this model.",
                   "Give a value of the range named."},
    CatalogueEntry{
        "inference.decode-differs",
        error,
        "One token at a time gives other results than the whole prompt",
        "The KV cache, positions or windows do not agree with the prompt's "
        "pass; generation would drift.",
        "Report it with the model's config: this is a defect of the "
        "architecture's definition."},
    CatalogueEntry{
        "inference.no-sense",
        warning,
        "The model finds ordinary text as unlikely as chance",
        "Weights or settings are wrong (permuted rows, another rotary base, "
        "a mismatched tokenizer), or the model was never trained.",
        "Compare the config and the tokenizer with the original model's; "
        "convert from the original again."},
    CatalogueEntry{
        "http.unavailable",
        error,
        "HTTP cannot be served",
        "The library assay_http, which is loaded when something is served over "
        "HTTP, is missing, is another version's, or lacks a library that it "
        "stands on (cpp-httplib, OpenSSL, Brotli).",
        "Install Assay again (./dev install), or use standard input and output "
        "(assay mcp)."},
    CatalogueEntry{
        "inference.not-finite",
        error,
        "The model computes infinities or NaNs",
        "Some weights are damaged or overflow the type that they are stored "
        "in.",
        "Look at the findings on single tensors; fetch or convert the "
        "weights again."},
    CatalogueEntry{
        "internal.failure",
        error,
        "Something failed inside Assay",
        "An operation got what it did not expect; this is a defect of Assay.",
        "Report the command and the message; assay check MODEL may show what "
        "is unusual in the files."},
    CatalogueEntry{"mcp.port",
                   error,
                   "The port cannot be listened on",
                   "Another program holds it, or it takes rights to open.",
                   "Choose another --port, or 0 for any free one."},
    CatalogueEntry{
        "measure.logits-file",
        error,
        "A file of logits is not laid out as expected",
        "It was written in another layout than `assay logits` does.",
        "Write F32 \"logits\" [length, vocab] and I32 \"tokens\" [length] to "
        "one safetensors file."},
    CatalogueEntry{
        "measure.option",
        error,
        "An option of a measurement has a value that means nothing",
        "Windows, strides, lengths and counts of runs have a smallest value.",
        "Choose a value in the range that was expected."},
    CatalogueEntry{
        "measure.other-tokens",
        error,
        "Two files of logits belong to different tokens",
        "They were made from different texts, or by different tokenizers.",
        "Write one of them again with the tokens of the other: `--tokens`."},
    CatalogueEntry{"measure.token-id",
                   error,
                   "A token id is beyond the model's vocabulary",
                   "The ids were made by another model's tokenizer.",
                   "Use ids of this model, or give the text instead."},
    CatalogueEntry{
        "measure.too-short",
        error,
        "A text is too short to be measured on",
        "Likelihood is measured token by token, each from those before it.",
        "Give a text of some hundred words; a longer one gives a smaller "
        "error."},
    CatalogueEntry{
        "memory.exhausted",
        error,
        "The job ran out of memory",
        "The model, its cache or a result is larger than the memory left.",
        "Run assay fit MODEL; use a smaller context or fewer bits."},
    CatalogueEntry{
        "mlx.dimension",
        error,
        "A tensor is valid, but larger than MLX counts",
        "MLX keeps dimensions in 32 bits: its own loaders read another, "
        "smaller number.",
        "Split the tensor with the tool that wrote it."},
    CatalogueEntry{
        "mlx.no-type",
        warning,
        "A tensor is valid, but MLX has no such type",
        "MLX knows no F64, F8_E5M2, F8_E8M0, F6 or F4 arrays; its own "
        "loaders refuse the file or return bytes.",
        "Convert the model: Assay reads the values that it knows the meaning "
        "of as float32."},
    CatalogueEntry{"prompt-cache.empty",
                   error,
                   "There is no prompt in the caches to save",
                   "Nothing ran since the generator was made or reset.",
                   "Run a prompt first."},
    CatalogueEntry{"prompt-cache.malformed",
                   error,
                   "A prompt cache does not hold what it should",
                   "The file was written by another program, or damaged.",
                   "Make the cache again from the prompt."},
    CatalogueEntry{
        "prompt-cache.mismatch",
        error,
        "A prompt cache belongs to another model or other settings",
        "Keys and values mean nothing to other weights, and are stored "
        "otherwise with other cache options.",
        "Use the model and the cache options that it was made with, or make "
        "the cache again."},
    CatalogueEntry{
        "quantize.group-size",
        warning,
        "A layer stays unquantized: the group size does not divide its width",
        "Quantization groups run along rows and must fill them.",
        "Nothing needs to be done; a smaller group size may divide it."},
    CatalogueEntry{
        "quantize.larger",
        error,
        "The result would be larger than its source",
        "The source is quantized already; more bits cannot bring back what "
        "it lost.",
        "Choose fewer bits, start from the original weights, or allow a "
        "larger result."},
    CatalogueEntry{
        "quantize.no-mix",
        error,
        "No mix of the candidates stays within the bound",
        "Even the mildest quantization that saves anything loses more than "
        "was allowed on this text.",
        "Allow more loss, add candidates with more bits, or start from the "
        "original weights."},
    CatalogueEntry{
        "quantize.not-representable",
        error,
        "A value does not fit the type that it is to be stored in",
        "The weights hold infinities, NaNs, or values beyond the range of the "
        "type (float16 ends at 65504, also for the scales of blocks).",
        "Choose a type with float32's range (BF16, F32) for this tensor; look "
        "into the source when the value is not finite."},
};

}  // namespace

std::span<const CatalogueEntry> jobs() {
  return kJobsEntries;
}

}  // namespace assay::catalogue_parts
