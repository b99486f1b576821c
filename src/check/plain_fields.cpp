#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "assay/check/against.h"

namespace assay {
namespace {

constexpr int kMaxDepth = 8;  // objects deeper than this are compared whole

// Who wrote the file, with what and for what; switches of training; defaults
// of generation, which transformers 4 repeats in each nested config.
constexpr auto kIgnored =
    std::to_array<std::string_view>({"_attn_implementation",
                                     "_attn_implementation_autoset",
                                     "_commit_hash",
                                     "_diffusers_version",
                                     "_from_model_config",
                                     "_name_or_path",
                                     "_valid_processor_keys",
                                     "add_cross_attention",
                                     "auto_map",
                                     "bad_words_ids",
                                     "base_model_name_or_path",
                                     "begin_suppress_tokens",
                                     "cache_implementation",
                                     "chunk_size_feed_forward",
                                     "cross_attention_hidden_size",
                                     "data_format",
                                     "decoder_start_token_id",
                                     "device",
                                     "disable_grouping",
                                     "diversity_penalty",
                                     "do_sample",
                                     "early_stopping",
                                     "encoder_no_repeat_ngram_size",
                                     "exponential_decay_length_penalty",
                                     "finetuning_task",
                                     "forced_bos_token_id",
                                     "forced_eos_token_id",
                                     "gradient_checkpointing",
                                     "id2label",
                                     "inference_mode",
                                     "init_std",
                                     "initializer_factor",
                                     "initializer_range",
                                     "input_data_format",
                                     "is_decoder",
                                     "is_encoder_decoder",
                                     "label2id",
                                     "length_penalty",
                                     "max_length",
                                     "min_length",
                                     "name_or_path",
                                     "no_repeat_ngram_size",
                                     "num_beam_groups",
                                     "num_beams",
                                     "num_return_sequences",
                                     "output_attentions",
                                     "output_hidden_states",
                                     "output_router_logits",
                                     "output_scores",
                                     "prefix",
                                     "pretraining_tp",
                                     "problem_type",
                                     "processor_class",
                                     "pruned_heads",
                                     "remove_invalid_values",
                                     "repetition_penalty",
                                     "return_dict",
                                     "return_dict_in_generate",
                                     "return_tensors",
                                     "revision",
                                     "router_aux_loss_coef",
                                     "sep_token_id",
                                     "suppress_tokens",
                                     "task_specific_params",
                                     "temperature",
                                     "tf_legacy_loss",
                                     "tokenizer_class",
                                     "top_k",
                                     "top_p",
                                     "torchscript",
                                     "transformers.js_config",
                                     "transformers_version",
                                     "typical_p",
                                     "unsloth_fixed",
                                     "unsloth_version",
                                     "use_bfloat16",
                                     "use_cache",
                                     "use_return_dict"});

bool is_ignored(std::string_view name) {
  return std::ranges::find(kIgnored, name) != kIgnored.end() ||
         name.find("dropout") != name.npos || name.ends_with("_pdrop");
}

Json take(Json& object, const char* name) {
  Json value;
  if (auto entry = object.find(name); entry != object.end()) {
    value = *entry;
    object.erase(entry);
  }
  return value;
}

void rename(Json& object, const char* old_name, const char* new_name) {
  auto value = take(object, old_name);
  if (!value.is_null() &&
      (!object.contains(new_name) || object[new_name].is_null())) {
    object[new_name] = std::move(value);
  }
}

Json newer_rope(const Json& theta, Json scaling) {
  Json rope = scaling.is_object() ? std::move(scaling) : Json::object();
  if (!theta.is_null() && !rope.contains("rope_theta")) {
    rope["rope_theta"] = theta;
  }
  return rope;
}

void settle_type(Json& rope) {
  rename(rope, "type", "rope_type");
  auto type = rope.value("rope_type", Json("default"));
  rope["rope_type"] = type.is_null() ? Json("default") : std::move(type);
}

// transformers 4 has rope_theta and rope_scaling (with "type", earlier still),
// and rope_local_base_freq for layers with a window.
void unify_rope(Json& config) {
  auto theta = take(config, "rope_theta");
  auto scaling = take(config, "rope_scaling");
  auto local = take(config, "rope_local_base_freq");
  auto partial = take(config, "partial_rotary_factor");
  auto rope = take(config, "rope_parameters");
  if (!rope.is_object()) {
    if (theta.is_null() && !scaling.is_object()) {
      return;
    }
    rope = newer_rope(theta, std::move(scaling));
    if (!local.is_null()) {
      rope = {{"full_attention", std::move(rope)},
              {"sliding_attention", newer_rope(local, Json())}};
    }
  }
  constexpr const char* kOriginal = "original_max_position_embeddings";
  auto original = take(config, kOriginal);  // beside it, inside it, or both
  if (!original.is_null() && !rope.contains(kOriginal)) {
    rope[kOriginal] = std::move(original);
  }
  if (!partial.is_null() && !rope.contains("partial_rotary_factor")) {
    rope["partial_rotary_factor"] = std::move(partial);
  }
  bool several = false;
  for (auto& [kind, settings] : rope.items()) {
    if (settings.is_object()) {
      settle_type(settings);
      several = true;
    }
  }
  if (!several) {
    settle_type(rope);
  }
  config["rope_parameters"] = std::move(rope);
}

// 224 is short for a square; {"content": "</s>"...} for a token's text.
Json plain_value(std::string_view name, const Json& value) {
  if (value.is_object() && value.contains("content") &&
      value["content"].is_string()) {
    return value["content"];
  }
  if ((name == "size" || name == "crop_size") && value.is_object()) {
    auto height = value.value("height", Json());
    auto edge = value.value("shortest_edge", Json());
    if (value.size() == 2 && height == value.value("width", Json())) {
      return height;
    }
    if (value.size() == 1 && !edge.is_null()) {
      return edge;
    }
  }
  if (name.ends_with("_type") && value.is_string()) {
    auto text = value.get<std::string>();  // CLIPImageProcessorFast
    if (text.ends_with("Fast")) {
      text.resize(text.size() - 4);
    }
    return text;
  }
  return value;
}

void flatten(Json value,
             const std::string& path,
             int depth,
             std::map<std::string, Json>& fields) {
  if (path.find("rope_parameters") == path.npos) {
    unify_rope(value);
  }
  rename(value, "torch_dtype", "dtype");
  if (value.contains("layer_types")) {
    take(value, "_sliding_window_pattern");  // the list is what counts
  }
  rename(value, "_sliding_window_pattern", "sliding_window_pattern");
  rename(value, "num_local_experts", "num_experts");
  rename(value, "additional_special_tokens", "extra_special_tokens");
  for (const auto& [key, child] : value.items()) {
    if (child.is_null() || is_ignored(key)) {
      continue;  // null is the same as absent
    }
    auto own = path.empty() ? key : fmt::format("{}.{}", path, key);
    auto plain = plain_value(key, child);
    if (plain.is_object() && depth < kMaxDepth) {
      flatten(std::move(plain), own, depth + 1, fields);
    } else {
      fields[own] = std::move(plain);
    }
  }
}

}  // namespace

std::map<std::string, Json> plain_fields(const Json& config) {
  std::map<std::string, Json> fields;
  if (config.is_object()) {
    flatten(config, "", 0, fields);
  }
  return fields;
}

}  // namespace assay
