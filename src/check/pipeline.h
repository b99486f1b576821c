#pragma once

// Rules for a folder as diffusers writes it: model_index.json, and a folder a
// component. Held by headers and configs; no component is run.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/shape.h"

namespace assay::rules {

/** One entry of model_index.json that is not null. */
struct Component {
  std::string name;        ///< "unet", "text_encoder_2"
  std::string class_name;  ///< "UNet2DConditionModel"
  std::filesystem::path folder;
  std::filesystem::path config_path;  ///< empty where there is none
  Json config;                        ///< null where there is none
  std::map<std::string, Shape, std::less<>> tensors;

  /** A positive integer of the config. */
  std::optional<int64_t> size(std::string_view field) const;
  /** A number of the config. */
  std::optional<double> number(std::string_view field) const;
};

struct Pipeline {
  std::filesystem::path path;
  std::string class_name;  ///< "StableDiffusionXLPipeline"
  std::vector<Component> components;
  /** What opening found wrong and went on from. */
  std::vector<Finding> findings;

  const Component* find(std::string_view name) const;
};

/** Reads the index, configs and headers. Throws Error json.*,
 * pipeline.malformed; what is wrong with one component goes to `findings`. */
Pipeline open_pipeline(const std::filesystem::path& path);

/** A folder that holds one component by itself (config.json with a class, or
 * scheduler_config.json), as a pipeline of that component alone. */
Pipeline open_component(const std::filesystem::path& folder);

/** A component's only weights are of a format that is not read: whether they
 * fit its config cannot be told. */
bool has_unread_weights(const Pipeline& pipeline);

/** A component's class in the index against the one in its own config, and
 * the components that the pipeline's class needs. */
std::vector<Finding> component_classes(const Pipeline& pipeline);

/** A size that a class's config states and a tensor shows. */
struct ShownSize {
  std::string_view field;
  std::optional<std::string> entry;  ///< of a list: which one, as a key
  std::optional<int64_t> says, shows;
  std::string_view tensor;
  bool settable = true;  ///< one number; not the length of a list
};

/** All that a class has of these, whether they agree or not. */
std::vector<ShownSize> shown_sizes(const Component& component,
                                   std::string_view class_name);

/** The class in a component's own config; empty where it names none. */
std::string class_in_config(const Json& config);

/** Components that a pipeline of that class cannot work without. */
std::vector<std::string_view> needed_components(std::string_view class_name);

/** Each size that a config states and a stored tensor shows. */
std::vector<Finding> component_shapes(const Component& component);

/** What each config says by itself, and against the component's tensors. */
std::vector<Finding> component_configs(
    const std::vector<Component>& components);

/** Sizes and factors that two components must share: latent channels, widths
 * of text, positions of tokenizers. */
std::vector<Finding> component_agreement(const Pipeline& pipeline);

/** The factors between latents and the VAE, and the noise schedule: against
 * what diffusers accepts and what published models of the family have. */
std::vector<Finding> latent_scaling(const Pipeline& pipeline);
std::vector<Finding> noise_schedule(const Pipeline& pipeline);

/** The factors of a VAE by itself: against all families whose latents have as
 * many channels. */
std::vector<Finding> lone_scaling(const Component& vae);

/** What no scheduler of diffusers takes. */
std::vector<Finding> schedule_values(const Component& scheduler);

/** Settings that no tensor shows: against the published models of the family,
 * a field that is left out counting as what its class takes. */
std::vector<Finding> published_settings(const Pipeline& pipeline);

/** The same for a scheduler by itself whose betas are those of latents. */
std::vector<Finding> lone_schedule(const Component& scheduler);

/** A class of diffusers' own schedulers. */
bool is_scheduler_of_diffusers(std::string_view class_name);

/** The index by itself, and the settings of tokenizers and other small
 * documents in the components' folders. */
std::vector<Finding> pipeline_documents(const Pipeline& pipeline);

/** Settings of a component by itself: what all published ones of its class
 * have, and the heads and groups of published widths. */
std::vector<Finding> lone_settings(const Component& component);

/** Values that no class takes: types, head counts that divide nothing, lists
 * that are too short. */
std::vector<Finding> component_values(const Component& component);

}  // namespace assay::rules
