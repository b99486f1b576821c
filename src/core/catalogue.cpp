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
        "config.missing-field",
        error,
        "A config field that the numbers depend on is absent",
        "Older or partial exports leave out fields and count on a library's "
        "default, which differs between libraries and versions.",
        "Add the field to config.json with the value of the original model."},
    CatalogueEntry{"file.exists",
                   error,
                   "The destination exists",
                   "A result is never written over something in silence.",
                   "Choose another destination, or pass --force."},
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
