// Entries of the catalogue: zip archives, pickles and PyTorch
// checkpoints.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kTorchEntries = {
    CatalogueEntry{"model.remote-code",
                   note,
                   "A config names code of the model's own",
                   "With trust_remote_code=True transformers runs it on this "
                   "machine, in whatever version its repository holds then.",
                   "Read the code before you trust it; Assay never runs it."},
    CatalogueEntry{"pickle.undecided",
                   note,
                   "Whether a pickle is safe could not be decided",
                   "It imports what is not known to be harmless, breaks off, "
                   "or is packed in a way that is not looked into.",
                   "Load it only if you trust its author, with torch.load's "
                   "weights_only=True; or convert it: Assay takes the tensors "
                   "and executes nothing."},
    CatalogueEntry{"pickle.unsafe",
                   error,
                   "Loading the file runs code or is made to deceive",
                   "A pickle can import and call anything when it is loaded; "
                   "this one does what no checkpoint needs to do, or its "
                   "container shows different programs different contents.",
                   "Do not load it with torch, pickle, joblib or numpy. Tell "
                   "its source; `assay convert` takes the tensors alone."},
    CatalogueEntry{"torch.malformed",
                   error,
                   "A PyTorch checkpoint cannot be read",
                   "It is cut short, damaged, or no checkpoint.",
                   "Fetch the file again and compare its size and hash with "
                   "the source."},
    CatalogueEntry{"torch.no-tensors",
                   error,
                   "A pickle holds no tensors",
                   "It is something else than a model's weights: settings, an "
                   "optimizer, a program's state.",
                   "Name the file that holds the weights."},
    CatalogueEntry{"torch.other-tensors",
                   note,
                   "A checkpoint holds tensors beside the model's",
                   "Trainers keep the optimizer's state in the same file.",
                   "Nothing: they are not needed to run the model."},
    CatalogueEntry{"torch.storage",
                   error,
                   "A tensor's storage is missing or has another size",
                   "The file is damaged, or was made so that torch reads what "
                   "lies beside it.",
                   "Fetch the file again from its source."},
    CatalogueEntry{"torch.unsupported",
                   error,
                   "A tensor is of a kind that is not read",
                   "Sparse, quantized (qint), nested and meta tensors and some "
                   "types have no equal in safetensors or MLX.",
                   "Make it dense with torch (to_dense, dequantize) and save "
                   "again."},
    CatalogueEntry{"torch.view",
                   error,
                   "A tensor reaches beyond its storage",
                   "Sizes, strides and offset lead outside the data: the file "
                   "is damaged, or made so that torch reads foreign memory.",
                   "Do not use the file."},
    CatalogueEntry{"zip.crc",
                   error,
                   "The data of an archive have another checksum",
                   "They were damaged on the way, or changed by hand. torch "
                   "does not look at it and would load them.",
                   "Fetch the file again and compare its hash with the "
                   "source."},
    CatalogueEntry{"zip.malformed",
                   error,
                   "A zip archive breaks the rules of its format",
                   "The file is cut short (its directory is at the end), or "
                   "was made to be read differently by different programs.",
                   "Fetch the file again and compare its size and hash with "
                   "the source."},
    CatalogueEntry{"zip.too-large",
                   error,
                   "An entry of an archive unpacks to more than it may",
                   "The archive is no model, or a zip bomb.",
                   "Do not use the file."},
    CatalogueEntry{"zip.unsupported",
                   error,
                   "An archive uses what torch does not read",
                   "It was encrypted, or packed again with another program.",
                   "Unpack it with that program, or fetch the original."},
};

}  // namespace

std::span<const CatalogueEntry> torch() {
  return kTorchEntries;
}

}  // namespace assay::catalogue_parts
