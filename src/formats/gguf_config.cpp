#include "assay/formats/gguf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using KeyKind = GgufKey::Kind;

constexpr std::array kKeys = {
    GgufKey{"{arch}.vocab_size", "vocab_size"},
    GgufKey{"{arch}.context_length", "max_position_embeddings"},
    GgufKey{"{arch}.embedding_length", "hidden_size"},
    GgufKey{"{arch}.block_count", "num_hidden_layers"},
    GgufKey{"{arch}.feed_forward_length", "intermediate_size"},
    GgufKey{"{arch}.attention.head_count", "num_attention_heads"},
    GgufKey{"{arch}.attention.head_count_kv", "num_key_value_heads"},
    GgufKey{"{arch}.attention.key_length", "head_dim"},
    GgufKey{"{arch}.attention.value_length", "head_dim"},
    GgufKey{"{arch}.attention.layer_norm_rms_epsilon",
            "rms_norm_eps",
            KeyKind::number},
    GgufKey{"{arch}.attention.layer_norm_epsilon",
            "layer_norm_epsilon",
            KeyKind::number},
    GgufKey{"{arch}.attention.sliding_window", "sliding_window"},
    GgufKey{"{arch}.attention.q_lora_rank", "q_lora_rank"},
    GgufKey{"{arch}.attention.kv_lora_rank", "kv_lora_rank"},
    GgufKey{"{arch}.attn_logit_softcapping",
            "attn_logit_softcapping",
            KeyKind::number},
    GgufKey{"{arch}.final_logit_softcapping",
            "final_logit_softcapping",
            KeyKind::number},
    GgufKey{"{arch}.rope.freq_base", "rope_theta", KeyKind::number},
    GgufKey{
        "{arch}.rope.freq_base_swa", "rope_local_base_freq", KeyKind::number},
    GgufKey{
        "{arch}.rope.scaling.type", "rope_scaling.rope_type", KeyKind::text},
    GgufKey{
        "{arch}.rope.scaling.factor", "rope_scaling.factor", KeyKind::number},
    GgufKey{"{arch}.rope.scaling.original_context_length",
            "rope_scaling.original_max_position_embeddings"},
    GgufKey{"{arch}.rope.scaling.attn_factor",
            "rope_scaling.attention_factor",
            KeyKind::number},
    GgufKey{"{arch}.rope.scaling.yarn_beta_fast",
            "rope_scaling.beta_fast",
            KeyKind::number},
    GgufKey{"{arch}.rope.scaling.yarn_beta_slow",
            "rope_scaling.beta_slow",
            KeyKind::number},
    GgufKey{"{arch}.rope.scaling.yarn_log_multiplier",
            "rope_scaling.mscale_all_dim",
            KeyKind::number,
            10},
    GgufKey{"{arch}.expert_count", "num_local_experts"},
    GgufKey{"{arch}.expert_used_count", "num_experts_per_tok"},
    GgufKey{"{arch}.expert_feed_forward_length", "moe_intermediate_size"},
    GgufKey{"{arch}.expert_shared_count", "n_shared_experts"},
    GgufKey{"{arch}.expert_group_count", "n_group"},
    GgufKey{"{arch}.expert_group_used_count", "topk_group"},
    GgufKey{"{arch}.expert_weights_scale",
            "routed_scaling_factor",
            KeyKind::number},
    GgufKey{"{arch}.expert_weights_norm", "norm_topk_prob", KeyKind::boolean},
    GgufKey{"{arch}.expert_gating_func", "scoring_func", KeyKind::gating},
    GgufKey{"{arch}.leading_dense_block_count", "first_k_dense_replace"},
    GgufKey{"tokenizer.ggml.bos_token_id", "bos_token_id"},
    GgufKey{"tokenizer.ggml.eos_token_id", "eos_token_id"},
    GgufKey{"tokenizer.ggml.padding_token_id", "pad_token_id"},
};
constexpr std::string_view kRotaryDims = "{arch}.rope.dimension_count";
constexpr std::array<std::string_view, 2> kGating = {"softmax", "sigmoid"};

std::string expand(std::string_view key, std::string_view arch) {
  constexpr std::string_view kPlace = "{arch}";
  return key.starts_with(kPlace)
             ? std::string(arch).append(key.substr(kPlace.size()))
             : std::string(key);
}

// The extra rows, then the general ones that none of them replaces.
std::vector<GgufKey> all_rows(std::span<const GgufKey> extra) {
  std::vector<GgufKey> rows(extra.begin(), extra.end());
  for (const auto& key : kKeys) {
    bool replaced = std::ranges::any_of(extra, [&](const GgufKey& row) {
      return row.gguf == key.gguf || row.config == key.config;
    });
    if (!replaced) {
      rows.push_back(key);
    }
  }
  std::erase_if(rows, [](const GgufKey& row) { return row.config.empty(); });
  return rows;
}

bool claimed(std::span<const GgufKey> extra, std::string_view gguf) {
  return std::ranges::find(extra, gguf, &GgufKey::gguf) != extra.end();
}

// "rope_scaling.factor" in an object of that name.
Json* place(Json& config, std::string_view path) {
  auto dot = path.find('.');
  if (dot == std::string_view::npos) {
    return &config[std::string(path)];
  }
  auto& inner = config[std::string(path.substr(0, dot))];
  return &inner[std::string(path.substr(dot + 1))];
}

const Json* look(const Json& config, std::string_view path) {
  const Json* at = &config;
  while (!path.empty()) {
    auto dot = std::min(path.find('.'), path.size());
    auto field = std::string(path.substr(0, dot));
    if (!at->is_object() || !at->contains(field)) {
      return nullptr;
    }
    at = &(*at)[field];
    path.remove_prefix(std::min(path.size(), dot + 1));
  }
  return at->is_null() ? nullptr : at;
}

[[noreturn]] void wrong(std::string_view field,
                        std::string_view expected,
                        const Json& value) {
  fail("config.invalid-value",
       fmt::format("config field {}", quote(field)),
       std::string(expected),
       value.dump().substr(0, 100));
}

// The double that the shortest decimal of a float32 means.
Json shortest(double value, std::string_view key) {
  auto narrow = static_cast<float>(value);
  if (!std::isfinite(narrow)) {
    fail("gguf.metadata-type",
         fmt::format("key {}", quote(key)),
         "a finite number",
         fmt::format("{}", value));
  }
  return Json::parse(fmt::format("{}", narrow)).get<double>();
}

// One value where all are equal, otherwise the list.
Json one_or_list(const std::vector<int64_t>& values) {
  bool equal =
      !values.empty() && std::ranges::all_of(values, [&](int64_t value) {
        return value == values.front();
      });
  return equal ? Json(values.front()) : Json(values);
}

Json read_row(const GgufMetadata& metadata,
              const GgufKey& row,
              const std::string& key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) {
    return row.absent.empty() ? Json() : Json::parse(row.absent);
  }
  switch (row.kind) {
    case KeyKind::integer:
      return value->type == GgufValue::Type::array
                 ? one_or_list(*metadata.integers(key))
                 : Json(*metadata.integer(key));
    case KeyKind::number: {
      double number = *metadata.number(key);
      if (value->type != GgufValue::Type::f32) {
        return number * row.scale;
      }
      // The decimal first, so that the product is one of decimals.
      number = shortest(number, key).get<double>();
      return row.scale == 1 ? Json(number) : shortest(number * row.scale, key);
    }
    case KeyKind::boolean:
      return *metadata.boolean(key);
    case KeyKind::text:
      return std::string(*metadata.text(key));
    case KeyKind::gating: {
      auto number = *metadata.integer(key);
      if (number < 1 || number > int64_t{kGating.size()}) {
        fail("gguf.metadata-type",
             fmt::format("key {}", quote(key)),
             "1 (softmax) or 2 (sigmoid)",
             std::to_string(number));
      }
      return std::string(kGating[static_cast<size_t>(number - 1)]);
    }
  }
  return {};
}

int64_t integer_of(const Json& value, std::string_view field) {
  if (value.is_number_integer()) {
    return value.get<int64_t>();
  }
  if (value.is_number_float()) {
    double number = value.get<double>();
    if (std::abs(number) < 9e15 && number == std::floor(number)) {
      return static_cast<int64_t>(number);
    }
  }
  wrong(field, "an integer", value);
}

GgufValue write_integer(const Json& value, std::string_view field) {
  if (value.is_array() && field == "eos_token_id" && !value.empty()) {
    return write_integer(value[0], field);
  }
  if (value.is_array()) {
    std::vector<int32_t> values;
    for (const auto& element : value) {
      auto number = integer_of(element, field);
      if (!std::in_range<int32_t>(number)) {
        wrong(field, "integers of 32 bits", value);
      }
      values.push_back(static_cast<int32_t>(number));
    }
    return gguf_i32s(values);
  }
  auto number = integer_of(value, field);
  if (!std::in_range<uint32_t>(number)) {
    wrong(field, "an integer from 0 to 2^32 - 1", value);
  }
  return gguf_u32(static_cast<uint32_t>(number));
}

GgufValue write_row(const Json& value, const GgufKey& row) {
  switch (row.kind) {
    case KeyKind::integer:
      return write_integer(value, row.config);
    case KeyKind::number:
      if (!value.is_number()) {
        wrong(row.config, "a number", value);
      }
      return gguf_f32(static_cast<float>(value.get<double>() / row.scale));
    case KeyKind::boolean:
      if (!value.is_boolean()) {
        wrong(row.config, "true or false", value);
      }
      return gguf_bool(value.get<bool>());
    case KeyKind::text:
      if (!value.is_string()) {
        wrong(row.config, "a text", value);
      }
      return gguf_text(value.get<std::string>());
    case KeyKind::gating: {
      auto found = std::ranges::find(
          kGating, value.is_string() ? value.get<std::string>() : "");
      if (found == kGating.end()) {
        wrong(row.config, "'softmax' or 'sigmoid'", value);
      }
      return gguf_u32(static_cast<uint32_t>(found - kGating.begin() + 1));
    }
  }
  wrong(row.config, "a kind of value", value);
}

/** The head dimension, stated or as the quotient; 0 if neither is there. */
int64_t head_dimension(const Json& config) {
  auto plain = [&](std::string_view field) -> int64_t {
    const Json* value = look(config, field);
    return value != nullptr && value->is_number_integer()
               ? value->get<int64_t>()
               : 0;
  };
  if (int64_t stated = plain("head_dim"); stated > 0) {
    return stated;
  }
  int64_t heads = plain("num_attention_heads");
  return heads > 0 ? plain("hidden_size") / heads : 0;
}

void complete_rope(Json& config,
                   const GgufMetadata& metadata,
                   std::string_view arch,
                   bool rotary_dims_claimed) {
  if (auto scaling = config.find("rope_scaling"); scaling != config.end()) {
    auto type = scaling->find("rope_type");
    if (type == scaling->end() && scaling->contains("factor")) {
      (*scaling)["rope_type"] = "linear";
    } else if (type != scaling->end() && *type == "none") {
      config.erase(scaling);
    }
  }
  auto dims = metadata.integer(expand(kRotaryDims, arch));
  int64_t head = head_dimension(config);
  if (!rotary_dims_claimed && dims && head > 0 && *dims != head) {
    config["partial_rotary_factor"] =
        static_cast<double>(*dims) / static_cast<double>(head);
  }
}

void rename(Json& object, const char* from, const char* to) {
  if (object.contains(from) && !object.contains(to)) {
    object[to] = object[from];
  }
  object.erase(from);
}

// Settings of RoPE in the spelling of transformers 4, whichever they are in;
// no sliding window where it is switched off.
Json normalized(const Json& config) {
  Json flat = config;
  if (const Json* use = look(config, "use_sliding_window");
      use != nullptr && *use == false) {
    flat.erase("sliding_window");
  }
  if (const Json* found = look(config, "rope_parameters")) {
    Json rope = *found;
    if (const Json* local = look(rope, "sliding_attention.rope_theta")) {
      flat["rope_local_base_freq"] = *local;
    }
    if (const Json* full = look(rope, "full_attention")) {
      rope = Json(*full);
    }
    for (const char* field : {"rope_theta", "partial_rotary_factor"}) {
      if (look(rope, field) != nullptr) {
        flat[field] = rope[field];
      }
      rope.erase(field);
    }
    flat["rope_scaling"] = rope;
    flat.erase("rope_parameters");
  }
  if (const Json* scaling = look(flat, "rope_scaling")) {
    Json rope = *scaling;
    rename(rope, "type", "rope_type");
    flat["rope_scaling"] = rope;
  }
  return flat;
}

// What GGUF says by keys stays; "default" and "llama3" need none.
void reduce_rope_scaling(Json& config) {
  const Json* type = look(config, "rope_scaling.rope_type");
  if (type == nullptr || *type == "default" || *type == "llama3") {
    config.erase("rope_scaling");
    return;
  }
  if (*type == "su") {  // an early name
    config["rope_scaling"]["rope_type"] = "longrope";
  } else if (*type != "linear" && *type != "yarn" && *type != "longrope") {
    fail("gguf.no-equivalent",
         "config field 'rope_scaling.rope_type'",
         "default, linear, yarn, longrope or llama3",
         type->dump());
  }
}

}  // namespace

std::span<const GgufKey> gguf_keys() {
  return kKeys;
}

Json config_from_gguf(const GgufMetadata& metadata,
                      std::span<const GgufKey> extra) {
  auto arch = metadata.text("general.architecture");
  if (!arch) {
    fail("gguf.no-architecture",
         "GGUF metadata",
         "key 'general.architecture'",
         "no such key");
  }
  Json config = Json::object();
  for (const auto& row : all_rows(extra)) {
    auto value = read_row(metadata, row, expand(row.gguf, *arch));
    // Of several keys for one field the first counts.
    if (!value.is_null() && look(config, row.config) == nullptr) {
      *place(config, row.config) = std::move(value);
    }
  }
  if (const auto* tokens = metadata.find("tokenizer.ggml.tokens");
      tokens != nullptr && !config.contains("vocab_size")) {
    config["vocab_size"] = array_size(*tokens);
  }
  if (!config.contains("num_key_value_heads") &&
      config.contains("num_attention_heads")) {
    config["num_key_value_heads"] = Json(config["num_attention_heads"]);
  }
  complete_rope(config, metadata, *arch, claimed(extra, kRotaryDims));
  return config;
}

GgufMetadata metadata_from_config(const Json& config,
                                  std::string_view gguf_arch,
                                  std::span<const GgufKey> extra) {
  Json flat = normalized(config);
  reduce_rope_scaling(flat);
  GgufMetadata metadata;
  metadata.set("general.architecture", gguf_text(std::string(gguf_arch)));
  for (const auto& row : all_rows(extra)) {
    if (const Json* value = look(flat, row.config)) {
      metadata.set(expand(row.gguf, gguf_arch), write_row(*value, row));
    }
  }
  int64_t head = head_dimension(flat);
  if (!claimed(extra, kRotaryDims) && head > 0 && flat.contains("rope_theta")) {
    const Json* part = look(flat, "partial_rotary_factor");
    if (part != nullptr && !part->is_number()) {
      wrong("partial_rotary_factor", "a number", *part);
    }
    double factor = part == nullptr ? 1 : part->get<double>();
    metadata.set(
        expand(kRotaryDims, gguf_arch),
        write_integer(Json(std::trunc(static_cast<double>(head) * factor)),
                      "partial_rotary_factor"));
  }
  return metadata;
}

}  // namespace assay
