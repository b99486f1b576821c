// Entries of the catalogue: scans of many models, comparison with a model
// known to be good, repairs, and checks of the user's own.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kEntries = {
    CatalogueEntry{
        "scan.limit",
        warning,
        "A folder holds more than one scan looks at",
        "The scan of a folder of models is bounded in depth, models and files, "
        "so that it ends on any disk.",
        "Check the folders below it one by one."},
    CatalogueEntry{"scan.loop",
                   note,
                   "A link leads back to a folder above it",
                   "Following it would never end.",
                   "Nothing: the folder is checked once. Remove the link if "
                   "it is there by mistake."},
};

}  // namespace

std::span<const CatalogueEntry> checks() {
  return kEntries;
}

}  // namespace assay::catalogue_parts
