// Entries of the catalogue: the rules of GGUF.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kGgufEntries = {
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
};

}  // namespace

std::span<const CatalogueEntry> gguf() {
  return kGgufEntries;
}

}  // namespace assay::catalogue_parts
