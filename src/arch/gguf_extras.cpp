#include "assay/arch/gguf_extras.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "assay/arch/llm/common.h"
#include "assay/nn/rope_scale.h"

namespace assay::arch {
namespace {

// Latent attention: GGUF has the width of whole keys and values, inside the
// latent's space and outside it.
void add_latent_attention(const Architecture& architecture,
                          const Json& config,
                          GgufMetadata& metadata) {
  for (const char* field :
       {"kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim"}) {
    if (!config.contains(field)) {
      return;
    }
  }
  auto reader = ConfigReader(config, "config.json");
  int rank = reader.dimension("kv_lora_rank");
  int rotated = reader.dimension("qk_rope_head_dim");
  int plain = reader.dimension("qk_nope_head_dim");
  auto set = [&](const char* key, int value) {
    metadata.set(std::string(architecture.gguf) + ".attention." + key,
                 gguf_u32(static_cast<uint32_t>(value)));
  };
  set("head_count_kv", 1);
  set("key_length", rank + rotated);
  set("value_length", rank);
  set("key_length_mla", plain + rotated);
}

// Which layers slide, where an architecture's GGUFs have a key for it: the
// period, or a list where there is none.
void add_window_pattern(const Architecture& architecture,
                        const Json& config,
                        GgufMetadata& metadata) {
  bool has_key =
      std::ranges::find(architecture.gguf_keys,
                        kWindowPatternKey,
                        &GgufKey::gguf) != architecture.gguf_keys.end();
  if (!has_key) {
    return;
  }
  auto reader = ConfigReader(config, "config.json");
  auto key =
      std::string(architecture.gguf) + ".attention." + "sliding_window_pattern";
  auto types = reader.maybe_texts("layer_types");
  if (!types) {
    auto pattern = reader.integer(  // as the tree takes it; 0: all slide
        {"sliding_window_pattern", "_sliding_window_pattern"});
    metadata.set(key, gguf_u32(static_cast<uint32_t>(pattern)));
  } else if (auto pattern = window_pattern(*types)) {
    metadata.set(key, gguf_u32(static_cast<uint32_t>(*pattern)));
  } else {
    std::vector<uint64_t> sliding;
    for (const auto& type : *types) {
      sliding.push_back(type == "sliding_attention" ? 1 : 0);
    }
    metadata.set(
        key,
        {GgufValue::Type::array, GgufValue::Type::boolean, std::move(sliding)});
  }
}

// llama.cpp takes 1 where there is no factor, whatever the stretch.
void add_longrope(const Architecture& architecture,
                  const Json& config,
                  GgufMetadata& metadata) {
  auto reader = ConfigReader(config, "config.json");
  if (reader.find("rope_theta") == nullptr &&
      reader.find("rope_parameters") == nullptr) {
    return;
  }
  auto rope = rope_config(reader);
  if (rope.type != "longrope") {
    return;
  }
  auto prefix = std::string(architecture.gguf) + ".rope.scaling.";
  metadata.set(prefix + "attn_factor",
               gguf_f32(static_cast<float>(nn::attention_factor(rope))));
  metadata.set(
      prefix + "original_context_length",
      gguf_u32(static_cast<uint32_t>(rope.original_max_position_embeddings)));
}

}  // namespace

std::optional<int> window_pattern(const std::vector<std::string>& layer_types) {
  auto full = std::ranges::find(layer_types, "full_attention");
  if (full == layer_types.end()) {
    return std::nullopt;
  }
  auto period = static_cast<size_t>(full - layer_types.begin()) + 1;
  for (size_t i = 0; i < layer_types.size(); ++i) {
    bool slides = (i + 1) % period != 0;
    if (layer_types[i] != (slides ? "sliding_attention" : "full_attention")) {
      return std::nullopt;
    }
  }
  return static_cast<int>(period);
}

GgufMetadata gguf_metadata(const Architecture& architecture,
                           const Json& config) {
  auto whole = config;
  const auto constants = Json::parse(architecture.gguf_constants);
  for (const auto& [field, value] : constants.items()) {
    if (!whole.contains(field)) {
      whole[field] = value;
    }
  }
  // One number of experts under the names of two library versions.
  for (auto [name, other] : {std::pair("num_experts", "num_local_experts"),
                             std::pair("num_local_experts", "num_experts")}) {
    if (!whole.contains(name) && whole.contains(other)) {
      whole[name] = Json(whole[other]);
    }
  }
  // GPT-2's own rule where the field is null.
  if (whole.contains("n_embd") &&
      (!whole.contains("n_inner") || whole["n_inner"].is_null())) {
    whole["n_inner"] =
        4 * ConfigReader(whole, "config.json").dimension("n_embd");
  }
  auto metadata =
      metadata_from_config(whole, architecture.gguf, architecture.gguf_keys);
  add_latent_attention(architecture, whole, metadata);
  add_window_pattern(architecture, whole, metadata);
  add_longrope(architecture, whole, metadata);
  return metadata;
}

std::vector<GgufFactors> gguf_rope_factors(const Json& config) {
  auto reader = ConfigReader(config, "config.json");
  if (reader.find("rope_theta") == nullptr &&
      reader.find("rope_parameters") == nullptr) {
    return {};
  }
  auto rope = rope_config(reader);
  if (rope.type == "longrope") {
    return {{"rope_factors_long.weight", rope.long_factor},
            {"rope_factors_short.weight", rope.short_factor}};
  }
  if (rope.type != "llama3") {
    return {};
  }
  int dims = attention_config(reader).head_dim;
  auto plain = rope;
  plain.type = "default";
  auto scaled = nn::rope_periods(rope, dims);
  auto base = nn::rope_periods(plain, dims);
  GgufFactors factors{"rope_freqs.weight", {}};
  for (size_t i = 0; i < scaled.size(); ++i) {
    factors.values.push_back(scaled[i] / base[i]);
  }
  return {factors};
}

}  // namespace assay::arch
