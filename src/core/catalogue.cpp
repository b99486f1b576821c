#include "assay/core/catalogue.h"

#include <algorithm>
#include <array>

namespace assay {
namespace {

using enum Severity;

// Sorted by id (a test holds it so). One entry:
// {id, severity, title, cause, remedy}.
constexpr std::array kCatalogue = {
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
        "convert.destination",
        error,
        "The destination of a conversion lies in its source, or around it",
        "Putting the result in place would touch the source.",
        "Choose a destination beside the source."},
    CatalogueEntry{
        "convert.no-way-back",
        error,
        "The target format cannot hold a parameter of the model",
        "Not every layout can be said in every format.",
        "Convert to another format, or to one with floating-point values."},
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
        "one thread and no vectors; no faster one was linked ahead of it.",
        "Install OpenBLAS and build again (./dev build)."},
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
    CatalogueEntry{"file.changed",
                   error,
                   "A file is shorter than when its header was read",
                   "It was replaced or cut while in use.",
                   "Run again when nothing writes to the file."},
    CatalogueEntry{"file.exists",
                   error,
                   "The destination exists",
                   "A result is never written over something in silence.",
                   "Choose another destination, or pass --force."},
    CatalogueEntry{"file.no-space",
                   error,
                   "The disk has less space than the result needs",
                   "The sizes are known from the headers before anything is "
                   "written.",
                   "Free space, choose another disk, or fewer bits."},
    CatalogueEntry{"file.too-large",
                   error,
                   "A file is larger than its kind may be",
                   "The file is not what its name says, or is hostile.",
                   "Look at what the file really is."},
    CatalogueEntry{"file.unreadable",
                   error,
                   "A file cannot be read",
                   "It does not exist, is a folder, or access is denied.",
                   "Check the path and its permissions."},
    CatalogueEntry{"file.unwritable",
                   error,
                   "A file or folder cannot be written",
                   "The disk is full, or access is denied.",
                   "Free space or choose another destination; the source and "
                   "any earlier result are untouched."},
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
        "gguf.alignment",
        error,
        "general.alignment is no power of two",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.array-depth",
        error,
        "Metadata arrays nest too deeply",
        "No known model nests arrays: the file is hostile or broken.",
        "Do not use the file."},
    CatalogueEntry{
        "gguf.array-length",
        error,
        "The metadata holds too many array elements",
        "No known tokenizer is so large: the file is hostile or broken.",
        "Do not use the file."},
    CatalogueEntry{
        "gguf.beyond-end",
        error,
        "A tensor's data lies beyond the end of the file",
        "The file is cut short (an interrupted download), or hostile.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.big-endian",
        error,
        "The data is big-endian",
        "The file was written for a machine of the other byte order.",
        "Convert it with gguf_convert_endian of gguf-py."},
    CatalogueEntry{
        "gguf.block-size",
        error,
        "A tensor's rows are not whole blocks of its type",
        "The tensor was quantized with a type that its width does not "
        "allow, or the header is damaged.",
        "Quantize the original model again with a type that fits."},
    CatalogueEntry{
        "gguf.boolean",
        error,
        "A boolean is neither 0 nor 1",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.count",
        error,
        "The file is too small for its number of entries",
        "The file is cut short (an interrupted download), or hostile.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.dimensions",
        error,
        "A tensor has a number or size of dimensions that GGUF does not "
        "allow",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{"gguf.duplicate-key",
                   error,
                   "A metadata key occurs twice",
                   "Readers disagree on which of the two counts.",
                   "Write the file again with one of them."},
    CatalogueEntry{"gguf.duplicate-tensor",
                   error,
                   "A tensor name occurs twice",
                   "Readers disagree on which of the two counts.",
                   "Write the file again with one of them."},
    CatalogueEntry{
        "gguf.hole",
        error,
        "There is a gap between the data of two tensors",
        "Tensors must follow each other in the header's order; the gap may "
        "hide data, or offsets are damaged.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.magic",
        error,
        "The file is no GGUF",
        "Its first four bytes are not 'GGUF': another format, or an error "
        "page saved as a file.",
        "Look at what the file really is."},
    CatalogueEntry{"gguf.metadata-type",
                   error,
                   "A metadata value has another type than its key calls for",
                   "The file was written by a faulty or much older tool.",
                   "Convert the original model again with a current tool."},
    CatalogueEntry{
        "gguf.misaligned",
        error,
        "A tensor's offset is not aligned",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{"gguf.missing-part",
                   error,
                   "A part of a split GGUF is missing",
                   "Not all parts were downloaded, or one was renamed.",
                   "Put all parts in one folder under their original names."},
    CatalogueEntry{
        "gguf.name",
        error,
        "A key or tensor name is not allowed",
        "The name is empty, too long, or holds control characters or bytes "
        "that are no UTF-8.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.no-architecture",
        error,
        "A GGUF does not name its architecture",
        "The key general.architecture is required; without it no program "
        "knows what the tensors mean.",
        "Convert the original model again with a current tool."},
    CatalogueEntry{
        "gguf.no-equivalent",
        error,
        "A setting cannot be said in GGUF",
        "GGUF has no key for it; a file without it would give other numbers.",
        "Keep the model in the format it has."},
    CatalogueEntry{
        "gguf.overlap",
        error,
        "The data of two tensors overlap",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.removed-type",
        error,
        "A tensor has a type that ggml removed",
        "The file is older than the present formats; no current program "
        "reads the type.",
        "Fetch a newer file of the model, or convert the original again."},
    CatalogueEntry{"gguf.size-overflow",
                   error,
                   "A tensor's size does not fit 64 bits",
                   "No such tensor exists: the header is damaged or hostile.",
                   "Do not use the file."},
    CatalogueEntry{
        "gguf.split-mismatch",
        error,
        "The parts of a split GGUF do not belong together",
        "A part has another number, count or byte order than its place "
        "calls for: parts of two models are mixed, or one was renamed.",
        "Fetch all parts from one source again."},
    CatalogueEntry{"gguf.split-name",
                   error,
                   "A part of a split GGUF has lost its name",
                   "The other parts are found by the name's ending "
                   "-00001-of-0000N.gguf.",
                   "Give all parts their original names."},
    CatalogueEntry{
        "gguf.tensor-type",
        error,
        "A tensor has a type that GGUF does not know",
        "The file is newer than this program, damaged, or from a fork of "
        "ggml with types of its own.",
        "Convert the original model with the current llama.cpp, or update "
        "Assay."},
    CatalogueEntry{"gguf.trailing-data",
                   warning,
                   "A GGUF has data after its last tensor",
                   "Something was appended to the file. No reader looks at it.",
                   "Fetch the file again if you did not append it."},
    CatalogueEntry{
        "gguf.truncated",
        error,
        "A GGUF ends within its header",
        "The file is cut short (an interrupted download), or hostile.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.value-type",
        error,
        "A metadata value has a type that GGUF does not know",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "gguf.version",
        error,
        "A GGUF has a version that is not read",
        "Version 1 was in use for a few weeks of 2023; versions over 3 are "
        "newer than this program.",
        "Convert the original model again with a current tool, or update "
        "Assay."},
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
    CatalogueEntry{
        "index.absent",
        warning,
        "Shards have no index",
        "model.safetensors.index.json was not downloaded. mlx-lm reads all "
        "shards, transformers finds none.",
        "Fetch the index from the model's source."},
    CatalogueEntry{
        "index.duplicate-tensor",
        error,
        "A tensor is in two files",
        "Shards of two versions are mixed, or a single file lies beside the"
        " shards.",
        "Keep the files of one version only."},
    CatalogueEntry{"index.malformed",
                   error,
                   "The index of the shards does not parse",
                   "The file is cut short, or was edited by hand.",
                   "Fetch model.safetensors.index.json again."},
    CatalogueEntry{"index.missing-shard",
                   error,
                   "A shard that the index names is missing",
                   "Not all shards were downloaded.",
                   "Fetch the missing shards."},
    CatalogueEntry{"index.stale-entry",
                   error,
                   "The index lists tensors that their shard does not hold",
                   "Index and shards are of different versions.",
                   "Fetch index and shards from one source again."},
    CatalogueEntry{
        "index.stray-file",
        warning,
        "A safetensors file belongs to no set",
        "It is left over from another version, or is another form of the "
        "model. Programs that read every file in the folder take its "
        "tensors too.",
        "Remove it, or move it to a folder of its own."},
    CatalogueEntry{
        "index.unlisted-tensor",
        error,
        "A shard holds tensors that the index does not list",
        "Index and shards are of different versions. Programs that go by "
        "the index leave these tensors out in silence.",
        "Fetch index and shards from one source again."},
    CatalogueEntry{
        "index.unsafe-path",
        error,
        "The index names a file outside its folder",
        "No sound index does: it would make a program read any file of this"
        " machine.",
        "Do not use the model."},
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
    CatalogueEntry{"json.duplicate-key",
                   error,
                   "A JSON object has a key twice",
                   "Readers disagree on which of the two counts.",
                   "Remove one of the two."},
    CatalogueEntry{"json.malformed",
                   error,
                   "A JSON file does not parse",
                   "The file is cut short, or was edited by hand.",
                   "Fetch the file again, or mend it at the place named."},
    CatalogueEntry{"json.too-deep",
                   error,
                   "A JSON file nests too deeply",
                   "No known model file nests so deeply: it is hostile or "
                   "broken.",
                   "Do not use the file."},
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
        "mlx.no-type",
        warning,
        "A tensor is valid, but MLX has no such type",
        "MLX knows no F64, F8_E5M2, F8_E8M0, F6 or F4 arrays; its own "
        "loaders refuse the file or return bytes.",
        "Convert the model: Assay reads the values that it knows the meaning "
        "of as float32."},
    CatalogueEntry{
        "model.ambiguous",
        error,
        "A folder holds several models",
        "The files could be read as different models, and none has the "
        "usual name.",
        "Name one file instead of the folder."},
    CatalogueEntry{
        "model.no-weights",
        error,
        "A folder holds no weights that can be read",
        "They were not downloaded, or are in a format that is not read.",
        "Fetch the *.safetensors or *.gguf files of the model."},
    CatalogueEntry{
        "model.not-read",
        note,
        "Some files beside the weights were not read",
        "The folder holds more than one form of the model, or a part that "
        "is used by other programs.",
        "Nothing, if that is as you want it."},
    CatalogueEntry{"model.unknown-format",
                   error,
                   "A file is of no format that is read",
                   "Its name ends neither in .safetensors nor in .gguf.",
                   "Name the model's folder, or convert the file."},
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
    CatalogueEntry{
        "rope.inconsistent",
        warning,
        "Rotary settings contradict each other or the context",
        "A field was edited, or taken from another model.",
        "Compare rope_parameters (rope_theta, rope_scaling) with the "
        "original model's config.json."},
    CatalogueEntry{
        "safetensors.dtype",
        error,
        "A tensor has an unknown dtype",
        "The file is newer than this program, or damaged.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{"safetensors.duplicate-key",
                   error,
                   "A name occurs twice in a safetensors header",
                   "Readers disagree on which of the two counts.",
                   "Write the file again with one of them."},
    CatalogueEntry{
        "safetensors.entry",
        error,
        "A header entry is not dtype, shape and data_offsets",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.header-length",
        error,
        "The header's length does not fit the file",
        "The file is cut short, is no safetensors file, or is hostile. At "
        "most 100 MB are allowed.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.header-malformed",
        error,
        "A safetensors header does not parse",
        "It must be one JSON object in UTF-8, padded with spaces only.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.hole",
        error,
        "There is a gap between the data of two tensors",
        "Tensors must cover the data without gaps; bytes that no tensor "
        "owns may hide anything.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{"safetensors.metadata",
                   error,
                   "__metadata__ is not an object of strings",
                   "The file was written by a faulty tool.",
                   "Write the file again with text as values."},
    CatalogueEntry{
        "safetensors.offsets",
        error,
        "A tensor's data_offsets are not possible",
        "The file is cut short (an interrupted download), or hostile.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.overlap",
        error,
        "The data of two tensors overlap",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.shape",
        error,
        "A tensor's shape is not possible",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.size-mismatch",
        error,
        "A tensor's data is not as long as its shape and dtype call for",
        "The file is damaged, hostile, or was written by a faulty tool.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.trailing-data",
        error,
        "There is data after the last tensor",
        "Something was appended to the file, or its header was cut.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{
        "safetensors.truncated",
        error,
        "A file is too short for safetensors",
        "The file is cut short (an interrupted download), or hostile.",
        "Fetch the file again and compare its size and hash with the "
        "source."},
    CatalogueEntry{"shape.mismatch",
                   error,
                   "A tensor has another shape than the architecture gives it",
                   "The config and the weights are not of the same model, or a "
                   "converter changed one of them.",
                   "Compare the config's sizes with the stored shapes; take "
                   "both from one place."},
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

std::span<const CatalogueEntry> catalogue() {
  return kCatalogue;
}

const CatalogueEntry* find_entry(std::string_view id) {
  auto entry = std::ranges::lower_bound(
      kCatalogue, id, std::less<>{}, &CatalogueEntry::id);
  return entry != kCatalogue.end() && entry->id == id ? &*entry : nullptr;
}

}  // namespace assay
