// Entries of the catalogue: embedding models, single-file checkpoints, ONNX and
// GGUFs that are no language model.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kCheckpointsEntries = {
    CatalogueEntry{"checkpoint.block-missing",
                   error,
                   "A part of a checkpoint lacks a whole block",
                   "The file was cut or merged from others; programs fill the "
                   "gap with random weights or stop.",
                   "Take the checkpoint from its source again."},
    CatalogueEntry{
        "checkpoint.depth",
        warning,
        "No published model of this width has so many blocks",
        "The last blocks were lost, or the model is pruned.",
        "Compare with the model's description; a pruned model needs a "
        "program that knows it."},
    CatalogueEntry{"checkpoint.disagreement",
                   error,
                   "Two parts of a checkpoint do not fit each other",
                   "A VAE or text encoder of another family was merged in.",
                   "Take the parts from one family."},
    CatalogueEntry{
        "checkpoint.metadata",
        warning,
        "Metadata and contents of a checkpoint disagree",
        "The metadata was copied from another file when this one was "
        "merged or converted. Programs that trust it choose the wrong "
        "settings.",
        "Correct the metadata, or ignore it where a program asks."},
    CatalogueEntry{"checkpoint.part-absent",
                   note,
                   "The file holds a part of the whole only",
                   "Usual for files meant for a folder of parts (UNet or "
                   "transformer only).",
                   "Load it beside the VAE and text encoders of its family."},
    CatalogueEntry{
        "checkpoint.prediction",
        note,
        "The metadata names a prediction that the family is not published with",
        "The model was trained on to predict something else, or the metadata "
        "was copied from another file. Weights do not tell which; programs "
        "that go by the family take it for noise.",
        "Set the prediction by hand where pictures come out grey or burnt, "
        "or correct the metadata."},
    CatalogueEntry{"checkpoint.tensor-missing",
                   error,
                   "A part of a checkpoint lacks a tensor",
                   "The file was cut, merged by names, or saved with a filter.",
                   "Take the checkpoint from its source again."},
    CatalogueEntry{
        "embedding.causal-encoder",
        warning,
        "An encoder of texts is set to be a decoder",
        "The config was edited, or is that of a language model: each token "
        "sees only those before it, and the vectors are others.",
        "Set is_decoder to false, unless the model was trained so."},
    CatalogueEntry{
        "embedding.feature-absent",
        error,
        "A module reads what no module before it makes",
        "A name was mistyped, or a module was left out or moved: the first "
        "text ends in an error, or the step is left out without a word.",
        "Let module_input_name and module_output_name follow each other, as "
        "in the original model."},
    CatalogueEntry{
        "embedding.feature-unread",
        warning,
        "What a module makes is never read",
        "A name was mistyped: the module's work has no effect on the vectors.",
        "Let the last module make sentence_embedding."},
    CatalogueEntry{
        "embedding.foreign-code",
        note,
        "A module is code of the model's own",
        "It runs only with trust_remote_code; what it computes cannot "
        "be told from the files here.",
        "Read the code before you trust it."},
    CatalogueEntry{"embedding.invalid-value",
                   error,
                   "A setting that sentence-transformers refuses",
                   "A typing error, or a setting of another version.",
                   "Use one of the values named."},
    CatalogueEntry{"embedding.malformed",
                   error,
                   "modules.json does not list modules",
                   "It was edited by hand, or is of another program.",
                   "Take modules.json from the original model."},
    CatalogueEntry{"embedding.module-missing",
                   error,
                   "A module that modules.json lists has no files",
                   "A download left a subfolder out.",
                   "Download the folder again with its subfolders (1_Pooling, "
                   "2_Dense)."},
    CatalogueEntry{"embedding.too-long",
                   error,
                   "Texts may be longer than the encoder has positions",
                   "max_seq_length was raised without training; long texts end "
                   "in an index error.",
                   "Set max_seq_length to the encoder's positions."},
    CatalogueEntry{"embedding.unsafe-path",
                   error,
                   "A module's path leaves the model's folder",
                   "The file is hostile, or was made for a fixed place.",
                   "Do not load it; name folders inside the model only."},
    CatalogueEntry{
        "embedding.width-mismatch",
        error,
        "A module is made for vectors of another width",
        "Pooling or Dense was taken from another model, or a config "
        "was edited.",
        "Set the width to that of the encoder (hidden_size), or take "
        "the modules from one model."},
    CatalogueEntry{"imatrix.incomplete",
                   error,
                   "An importance matrix lacks half of a pair",
                   "The file was cut or filtered.",
                   "Compute the matrix again."},
    CatalogueEntry{"onnx.duplicate",
                   error,
                   "Two initializers have one name",
                   "Two graphs were merged without renaming.",
                   "Export the model again."},
    CatalogueEntry{"onnx.external-missing",
                   error,
                   "A file of external data is not there",
                   "Only the .onnx file was copied. Its tensors lie in a file "
                   "beside it.",
                   "Copy the data file (often model.onnx_data) too, under its "
                   "old name."},
    CatalogueEntry{"onnx.external-range",
                   error,
                   "External data end beyond their file",
                   "The data file was cut, or is of another export.",
                   "Copy both files of one export again."},
    CatalogueEntry{"onnx.limit",
                   error,
                   "An ONNX model is larger than any that is known",
                   "The file is hostile, or was made by a program gone wrong.",
                   "Look at where it comes from."},
    CatalogueEntry{
        "onnx.malformed",
        error,
        "The file is not the protobuf that an ONNX model is",
        "It was cut, is a Git LFS pointer, or another format under "
        "this name.",
        "Download it again; a pointer file is about 130 bytes long."},
    CatalogueEntry{"onnx.tensor",
                   error,
                   "A tensor has a size or type that ONNX does not have",
                   "The file is damaged, or made by a newer version of ONNX.",
                   "Export again, or read it with a newer program."},
    CatalogueEntry{"onnx.tensor-size",
                   error,
                   "A tensor's data are not as long as its shape and type say",
                   "The file was edited, or an exporter went wrong.",
                   "Export the model again."},
    CatalogueEntry{
        "onnx.undefined",
        error,
        "A node uses a value that nothing gives",
        "The graph was cut or edited, or its nodes are out of order.",
        "Export the model again."},
    CatalogueEntry{"onnx.unsafe-path",
                   error,
                   "External data lie outside of the model's folder",
                   "The file is hostile: loading it would read any file.",
                   "Do not load it."},
    CatalogueEntry{"onnx.version",
                   error,
                   "An ONNX model does not say which version it has",
                   "The exporter left ir_version or opset_import out; runtimes "
                   "refuse it.",
                   "Export the model again."},
    CatalogueEntry{
        "projector.key-missing",
        error,
        "A projector lacks a key that its numbers depend on",
        "An older converter, or a file that was cut; llama.cpp stops "
        "or guesses.",
        "Convert the model again with a current converter."},
    CatalogueEntry{"projector.model-mismatch",
                   error,
                   "The projector is for a language model of another width",
                   "mmproj and model of two sizes lie in one folder.",
                   "Take both files from one model."},
    CatalogueEntry{"projector.shape-mismatch",
                   error,
                   "A projector's key states another size than its tensors",
                   "Metadata was edited, or copied from another model.",
                   "Convert again from the original model."},
    CatalogueEntry{
        "projector.tensor-missing",
        error,
        "A projector lacks tensors",
        "The conversion ended early, or wrote the language part only.",
        "Convert again with --mmproj."},
    CatalogueEntry{
        "projector.unpublished-value",
        warning,
        "Pictures are scaled by values that no published model uses",
        "Nothing in the file contradicts them, but with wrong values "
        "the model sees wrong colours.",
        "Compare with preprocessor_config.json of the original model."},
};

}  // namespace

std::span<const CatalogueEntry> checkpoints() {
  return kCheckpointsEntries;
}

}  // namespace assay::catalogue_parts
