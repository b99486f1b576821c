#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/measure/compare_parts.h"

namespace assay::comparison {
namespace {

// Who wrote the file and with what, how weights are packed (compared as
// weights), and switches of programs that leave the numbers alone.
constexpr std::array<std::string_view, 14> kIgnored = {
    "_name_or_path",
    "architectures",
    "auto_map",
    "cache_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "output_attentions",
    "output_hidden_states",
    "quantization",
    "quantization_config",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "use_cache"};

constexpr const char* kRope = "rope_parameters";
constexpr const char* kType = "rope_type";

using Fields = std::map<std::string, Json>;

struct Config {
  Fields fields;
  bool has_new = false;  ///< rope_parameters or dtype
  bool has_old = false;  ///< rope_theta, rope_scaling or torch_dtype
};

void flatten(const Json& value, const std::string& path, Fields& fields) {
  if (value.is_null()) {
    return;  // the same as absent
  }
  if (!value.is_object()) {
    fields[path] = value;
    return;
  }
  for (const auto& [key, child] : value.items()) {
    flatten(
        child, path.empty() ? key : fmt::format("{}.{}", path, key), fields);
  }
}

Json take(Json& config, const char* key) {
  Json value;
  if (config.contains(key)) {
    value = config[key];
    config.erase(key);
  }
  return value;
}

Json older_rope(const Json& theta, Json scaling) {
  Json rope = Json::object();
  if (scaling.is_object()) {
    if (scaling.contains("type")) {
      auto type = take(scaling, "type");
      scaling[kType] = scaling.value(kType, type);
    }
    rope = scaling;
  } else {
    rope[kType] = "default";
  }
  if (!theta.is_null()) {
    rope["rope_theta"] = theta;
  }
  return rope;
}

// rope_theta, rope_scaling, rope_local_base_freq and partial_rotary_factor as
// rope_parameters; where both spellings stand, the newer one counts.
void unify_rope(Config& result, Json& config) {
  auto theta = take(config, "rope_theta");
  auto scaling = take(config, "rope_scaling");
  auto local = take(config, "rope_local_base_freq");
  auto partial = take(config, "partial_rotary_factor");
  auto rope = take(config, kRope);
  bool has_old = !theta.is_null() || !scaling.is_null();
  result.has_new = result.has_new || rope.is_object();
  result.has_old = result.has_old || has_old;
  if (!rope.is_object() && has_old) {
    rope = older_rope(theta, scaling);
    if (!local.is_null()) {
      rope = {{"full_attention", rope},
              {"sliding_attention", older_rope(local, Json())}};
    }
  }
  if (!partial.is_null() && rope.is_object() &&
      !rope.contains("partial_rotary_factor")) {
    rope["partial_rotary_factor"] = partial;
  }
  flatten(rope, kRope, result.fields);
}

Config unify(Json config) {
  Config result;
  if (!config.is_object()) {
    return result;
  }
  result.has_new = config.contains("dtype");
  result.has_old = config.contains("torch_dtype");
  for (auto key : kIgnored) {
    config.erase(std::string(key));
  }
  unify_rope(result, config);
  flatten(config, "", result.fields);
  return result;
}

// GGUF keeps numbers in float32.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    return a == b || a.get<float>() == b.get<float>();
  }
  if (a.is_array() && b.is_array()) {
    return std::ranges::equal(a, b, same);
  }
  return a == b;
}

}  // namespace

std::vector<FieldDifference> compare_configs(const Json& a,
                                             const Json& b,
                                             bool same_container) {
  auto left = unify(a);
  auto right = unify(b);
  bool one_sided_counts = same_container && left.has_new == right.has_new &&
                          left.has_old == right.has_old;
  std::vector<FieldDifference> differences;
  auto find = [](const Config& config, const std::string& field) {
    auto entry = config.fields.find(field);
    return entry == config.fields.end() ? Json() : entry->second;
  };
  auto all = left.fields;
  all.insert(right.fields.begin(), right.fields.end());
  for (const auto& [field, unused] : all) {
    auto x = find(left, field);
    auto y = find(right, field);
    bool one_sided = x.is_null() || y.is_null();
    if (one_sided ? one_sided_counts : !same(x, y)) {
      differences.push_back({field, x, y});
    }
  }
  return differences;
}

}  // namespace assay::comparison
