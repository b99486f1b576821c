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

/** diffusers' "lora_adapter_metadata" by component: {"unet": {"r": 4}}. Empty
 * where there is none. */
std::map<std::string, Json> component_settings(const Adapter& adapter);

/** The modules that the config names against those that have tensors, both
 * ways. */
std::vector<Finding> adapter_targets(const Adapter& adapter);

/** Where a config of PEFT names no modules: those that PEFT takes by the type
 * of the base, against those that have tensors. */
std::vector<Finding> adapter_default_targets(const Adapter& adapter);

/** "model.layers.0" of PEFT's "base_model.model.model.layers.0". */
std::string_view module_in_base(std::string_view target);

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

/** Beside the modules of diffusers' UNet or its transformers of FLUX, Stable
 * Diffusion 3 and Lumina 2 the names that they have in the original code
 * bases. */
void add_original_names(BaseModules& modules);

/** Beside the modules of a single-file UNet and its text encoders the names
 * that a pipeline of diffusers has for them, with its components' names. */
void add_diffusers_names(BaseModules& modules);

/** For a tensor of an OpenCLIP text encoder in a single file the names that
 * the module has in transformers, which adapters use; its queries, keys and
 * values are stored as one. */
void add_clip_names(BaseModules& modules,
                    std::string_view tensor,
                    const Shape& shape);

/** Names, layers and widths of the adapter against the base. `detail` is set
 * where names of two layouts cannot be compared. */
std::vector<Finding> adapter_base(const Adapter& adapter,
                                  const BaseModules& base,
                                  std::string& detail);

/** Reads the second factors: all of them zero. */
std::vector<Finding> adapter_values(const Adapter& adapter);

}  // namespace assay::rules
