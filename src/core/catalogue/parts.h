#pragma once

// The parts of the catalogue, a file a topic. A new id goes into the part it
// belongs to: {id, severity, title, cause, remedy}; the order is free.

#include <span>

#include "assay/core/catalogue.h"

namespace assay::catalogue_parts {

std::span<const CatalogueEntry> checks();
std::span<const CatalogueEntry> adapters();
std::span<const CatalogueEntry> checkpoints();
std::span<const CatalogueEntry> files();
std::span<const CatalogueEntry> gguf();
std::span<const CatalogueEntry> config();
std::span<const CatalogueEntry> diagnose();
std::span<const CatalogueEntry> diffusion();
std::span<const CatalogueEntry> text();
std::span<const CatalogueEntry> torch();
std::span<const CatalogueEntry> jobs();
std::span<const CatalogueEntry> language();
std::span<const CatalogueEntry> project();
std::span<const CatalogueEntry> vision();
std::span<const CatalogueEntry> sessions();

}  // namespace assay::catalogue_parts
