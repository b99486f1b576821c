// Entries of the catalogue: zip archives and PyTorch checkpoints.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kEntries = {
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
  return kEntries;
}

}  // namespace assay::catalogue_parts
