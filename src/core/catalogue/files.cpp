// Entries of the catalogue: what opening files, folders and JSON can find.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kFilesEntries = {
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
    CatalogueEntry{
        "file.leftover",
        note,
        "A job that was killed left its unfinished result",
        "A result is made beside its destination under another name; a job "
        "that is killed can't remove it. The next one to the same destination "
        "does.",
        "Nothing is to be done where it was removed."},
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
    CatalogueEntry{
        "index.no-metadata",
        warning,
        "The index of the shards has no metadata",
        "A writer of its own made it. transformers and diffusers stop with a "
        "KeyError: 'metadata'; mlx-lm does without.",
        "Add \"metadata\": {} to the index, or have it rewritten by "
        "`assay check --fix`."},
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
        "index.total-size",
        note,
        "The index states another size than the shards have",
        "The weights were changed or stored in another type after the index "
        "was written, or it is another model's. What loads the model passes "
        "over the figure; programs that plan downloads or memory by it are "
        "misled.",
        "Write the sum of the tensors' bytes to metadata.total_size."},
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
};

}  // namespace

std::span<const CatalogueEntry> files() {
  return kFilesEntries;
}

}  // namespace assay::catalogue_parts
