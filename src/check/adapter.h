#pragma once

// Rules for adapters: by themselves, against their config, against the base.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/adapter.h"

namespace assay::rules {

/** Halves, ranks, shapes, DoRA's magnitudes, types. */
std::vector<Finding> adapter_pairs(const Adapter& adapter);

/** Rank, scale and method of adapter_config.json, of diffusers' metadata and
 * of kohya's, against what the tensors show; alphas that are stored. */
std::vector<Finding> adapter_settings(const Adapter& adapter);

/** The modules that the config names against those that have tensors, both
 * ways. */
std::vector<Finding> adapter_targets(const Adapter& adapter);

/** How a module's path matches an entry of target_modules: equal to it, or
 * ending in it after a dot. */
bool matches_module(std::string_view path, std::string_view entry);

/** A module of the base by name: (out, in), or (rows, width) of an
 * embedding. Nothing for widths that are packed in a way not known here. */
using BaseModules = std::map<std::string, std::optional<Shape>, std::less<>>;

/** Where the adapter's config says that its base is, as seen from the adapter
 * and from here; only folders that are there. */
std::optional<std::filesystem::path> named_base(const Adapter& adapter);

/** Opens the base: a model of any container, a pipeline, a component or a
 * single-file checkpoint. */
BaseModules base_modules(const std::filesystem::path& base);

/** Beside the modules of a diffusers UNet or FLUX transformer the names that
 * they have in the original code bases. */
void add_original_names(BaseModules& modules);

/** Names, layers and widths of the adapter against the base. `detail` is set
 * where names of two layouts cannot be compared. */
std::vector<Finding> adapter_base(const Adapter& adapter,
                                  const BaseModules& base,
                                  std::string& detail);

/** Reads the second factors: all of them zero. */
std::vector<Finding> adapter_values(const Adapter& adapter);

}  // namespace assay::rules
