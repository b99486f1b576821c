#include "assay/core/catalogue.h"

#include <algorithm>
#include <vector>

#include "assay/core/catalogue/parts.h"

namespace assay {
namespace {

std::vector<CatalogueEntry> all_parts() {
  std::vector<CatalogueEntry> entries;
  for (auto part : {catalogue_parts::adapters(),
                    catalogue_parts::checkpoints(),
                    catalogue_parts::checks(),
                    catalogue_parts::diagnose(),
                    catalogue_parts::diffusion(),
                    catalogue_parts::files(),
                    catalogue_parts::gguf(),
                    catalogue_parts::config(),
                    catalogue_parts::text(),
                    catalogue_parts::torch(),
                    catalogue_parts::jobs(),
                    catalogue_parts::language(),
                    catalogue_parts::project(),
                    catalogue_parts::sessions(),
                    catalogue_parts::vision()}) {
    entries.insert(entries.end(), part.begin(), part.end());
  }
  std::ranges::sort(entries, std::less<>{}, &CatalogueEntry::id);
  return entries;
}

}  // namespace

std::span<const CatalogueEntry> catalogue() {
  static const std::vector<CatalogueEntry> entries = all_parts();
  return entries;
}

const CatalogueEntry* find_entry(std::string_view id) {
  auto entries = catalogue();
  auto entry =
      std::ranges::lower_bound(entries, id, std::less<>{}, &CatalogueEntry::id);
  return entry != entries.end() && entry->id == id ? &*entry : nullptr;
}

}  // namespace assay
