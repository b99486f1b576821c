#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/language_rules.h"

namespace assay::rules {
namespace {

/** Fields of one config, or of its language part; what is found wrong. */
class Fields {
 public:
  Fields(const Json& config, std::string where)
      : config_(config), where_(std::move(where)) {}

  const Json* find(std::string_view name) const {
    if (!config_.is_object()) {
      return nullptr;
    }
    auto entry = config_.find(name);
    return entry == config_.end() || entry->is_null() ? nullptr : &*entry;
  }
  std::optional<double> number(std::string_view name) const {
    const auto* value = find(name);
    return value != nullptr && value->is_number()
               ? std::optional(value->get<double>())
               : std::nullopt;
  }
  std::optional<double> first(
      std::initializer_list<std::string_view> names) const {
    for (auto name : names) {
      if (auto value = number(name)) {
        return value;
      }
    }
    return std::nullopt;
  }
  std::string text(std::string_view name) const {
    const auto* value = find(name);
    return value != nullptr && value->is_string() ? value->get<std::string>()
                                                  : "";
  }

  void hold(bool holds,
            std::string_view field,
            std::string expected,
            double actual,
            const char* id = "config.contradiction") {
    if (!holds) {
      add(id, field, std::move(expected), fmt::format("{}", actual));
    }
  }
  void add(const char* id,
           std::string_view field,
           std::string expected,
           std::string actual) {
    findings.push_back(make_finding(id,
                                    fmt::format("{}: {}", where_, field),
                                    std::move(expected),
                                    std::move(actual)));
  }

  Findings findings;

 private:
  const Json& config_;
  std::string where_;
};

bool is_layer_type(std::string_view name) {
  constexpr std::array kTypes = {std::string_view("full_attention"),
                                 std::string_view("sliding_attention"),
                                 std::string_view("chunked_attention"),
                                 std::string_view("linear_attention"),
                                 std::string_view("attention"),
                                 std::string_view("mamba"),
                                 std::string_view("conv"),
                                 std::string_view("hybrid"),
                                 std::string_view("recurrent")};
  return std::ranges::find(kTypes, name) != kTypes.end();
}

void layers(Fields& fields) {
  auto count = fields.first({"num_hidden_layers", "n_layer"});
  bool slides = false;
  for (const auto* name : {"layer_types", "no_rope_layers"}) {
    const auto* list = fields.find(name);
    if (list == nullptr || !list->is_array()) {
      continue;
    }
    if (count && static_cast<double>(list->size()) != *count) {
      fields.hold(false,
                  name,
                  fmt::format("{} entries, as num_hidden_layers says", *count),
                  static_cast<double>(list->size()));
    }
    for (const auto& entry : *list) {
      if (!entry.is_string()) {
        continue;
      }
      const auto& type = entry.get_ref<const std::string&>();
      slides = slides || type == "sliding_attention";
      if (!is_layer_type(type)) {
        fields.add("config.invalid-value",
                   name,
                   "full_attention, sliding_attention...",
                   "'" + type + "'");
        break;
      }
    }
  }
  if (slides && !fields.number("sliding_window")) {
    fields.add("config.missing-field",
               "sliding_window",
               "a number, since layer_types name sliding attention",
               "none");
  }
  const auto* uses = fields.find("use_sliding_window");
  if (fields.number("sliding_window") == 1 &&
      (uses == nullptr || *uses != false)) {
    fields.add("config.invalid-value",
               "sliding_window",
               "2 or more: a token that sees itself alone reads no text",
               "1");
  }
  auto dense = fields.number("first_k_dense_replace");
  if (dense && count) {
    fields.hold(*dense >= 0 && *dense <= *count,
                "first_k_dense_replace",
                fmt::format("at most {} layers", *count),
                *dense);
  }
}

void attention(Fields& fields) {
  auto width = fields.first({"hidden_size", "n_embd"});
  auto heads = fields.first({"num_attention_heads", "n_head"});
  auto shared = fields.number("num_key_value_heads");
  auto head = fields.number("head_dim");
  bool latent = fields.find("kv_lora_rank") != nullptr;
  if (width && heads && *heads > 0 && !head && !latent) {
    fields.hold(std::fmod(*width, *heads) == 0,
                "num_attention_heads",
                fmt::format("a divisor of the width, {}", *width),
                *heads);
  }
  if (head) {
    fields.hold(*head > 0 && std::fmod(*head, 2) == 0,
                "head_dim",
                "an even number: rotary embeddings turn pairs",
                *head);
  }
  if (heads && shared && *shared > 0 && !latent) {
    fields.hold(std::fmod(*heads, *shared) == 0,
                "num_key_value_heads",
                fmt::format("a divisor of num_attention_heads, {}", *heads),
                *shared);
  }
  auto turned = fields.number("qk_rope_head_dim");
  if (latent && head && turned) {
    fields.hold(
        *head == *turned,
        "head_dim",
        fmt::format("{}, qk_rope_head_dim: the part that is turned", *turned),
        *head);
  }
  auto scale = fields.number("query_pre_attn_scalar");
  if (scale) {
    fields.hold(*scale > 0, "query_pre_attn_scalar", "more than 0", *scale);
  }
  for (const auto* cap : {"attn_logit_softcapping",
                          "final_logit_softcapping",
                          "logits_scaling",
                          "embedding_multiplier",
                          "residual_multiplier",
                          "attention_multiplier",
                          "routed_scaling_factor"}) {
    if (auto value = fields.number(cap)) {
      fields.hold(*value > 0, cap, "more than 0", *value);
    }
  }
  for (const auto* name :
       {"rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_eps"}) {
    if (auto value = fields.number(name)) {
      fields.hold(*value > 0 && *value < 0.1,
                  name,
                  "a small number above 0",
                  *value,
                  "config.invalid-value");
    }
  }
}

void experts(Fields& fields) {
  auto all =
      fields.first({"num_local_experts", "num_experts", "n_routed_experts"});
  auto chosen = fields.first({"num_experts_per_tok", "experts_per_token"});
  if (all && chosen) {
    fields.hold(*chosen >= 1 && *chosen <= *all,
                "num_experts_per_tok",
                fmt::format("1 to {}, the number of experts", *all),
                *chosen);
  }
  auto groups = fields.number("n_group");
  auto kept = fields.number("topk_group");
  if (all && groups && *groups > 0) {
    fields.hold(std::fmod(*all, *groups) == 0,
                "n_group",
                fmt::format("a divisor of the {} experts", *all),
                *groups);
    if (chosen && kept) {
      fields.hold(*chosen <= *all / *groups * *kept,
                  "topk_group",
                  fmt::format("enough groups for {} experts a token", *chosen),
                  *kept);
    }
  }
  if (groups && kept) {
    fields.hold(*kept >= 1 && *kept <= *groups,
                "topk_group",
                fmt::format("1 to {}, the number of groups", *groups),
                *kept);
  }
}

void rotation(Fields& fields, const ModelReport& report) {
  const auto* parameters = fields.find("rope_parameters");
  auto theta = fields.number("rope_theta");
  if (parameters != nullptr && parameters->is_object() && theta) {
    auto inner = Fields(*parameters, "").number("rope_theta");
    if (inner && *inner != *theta) {
      fields.hold(false,
                  "rope_theta",
                  fmt::format("{}, as rope_parameters says", *inner),
                  *theta,
                  "rope.inconsistent");
    }
  }
  auto rope = Fields(report.rope, "");
  auto type = rope.text("rope_type");
  auto original = rope.number("original_max_position_embeddings");
  auto factor = rope.number("factor");
  auto context = fields.number("max_position_embeddings");
  if (type == "llama3" && !original) {
    fields.add("config.missing-field",
               "rope_scaling.original_max_position_embeddings",
               "the context before it was stretched",
               "none");
  }
  if (type == "yarn" && !original) {
    fields.add("config.missing-field",
               "rope_scaling.original_max_position_embeddings",
               "the context before it was stretched; without it the whole "
               "context counts as that",
               "none");
    fields.findings.back().severity = Severity::warning;
  }
  bool stretched = type == "yarn" && original && factor && context;
  if (stretched && *original * *factor > 0) {
    fields.hold(
        *context <= 1.01 * *original * *factor,
        "max_position_embeddings",
        fmt::format("at most {} times the original {}", *factor, *original),
        *context,
        "rope.inconsistent");
    // Less is a choice: Qwen 3 is stretched beyond what its config allows.
    if (*context < 0.99 * *original * *factor) {
      fields.add("rope.inconsistent",
                 "max_position_embeddings",
                 fmt::format("{} times the original {}", *factor, *original),
                 fmt::format("{}", *context));
      fields.findings.back().severity = Severity::note;
    }
  }
  auto fast = rope.number("beta_fast");
  auto slow = rope.number("beta_slow");
  if (fast && slow) {
    fields.hold(*fast > *slow,
                "rope beta_fast",
                fmt::format("more than beta_slow, {}", *slow),
                *fast,
                "rope.inconsistent");
  }
  for (const auto* name : {"short_factor", "long_factor"}) {
    const auto* factors = rope.find(name);
    bool holds = factors == nullptr || !factors->is_array() ||
                 std::ranges::all_of(*factors, [](const Json& one) {
                   return one.is_number() && one.get<double>() > 0;
                 });
    if (!holds) {
      fields.add("rope.inconsistent",
                 fmt::format("rope {}", name),
                 "numbers above 0: wave lengths are multiplied by them",
                 factors->dump().substr(0, 80));
    }
  }
  auto share = rope.number("partial_rotary_factor");
  if (share) {
    fields.hold(*share <= 1,
                "partial_rotary_factor",
                "more than 0, at most 1",
                *share,
                "rope.inconsistent");
  }
  auto attention = rope.number("attention_factor");
  if (attention) {
    fields.hold(*attention > 0,
                "rope attention_factor",
                "more than 0",
                *attention,
                "rope.inconsistent");
  }
}

// Left out it is 1536 in transformers, and null here: only a null says to all
// that queries are not compressed.
void query_rank(Fields& fields, const ModelFiles& model) {
  auto type = fields.text("model_type");
  bool latent = type == "deepseek_v3" || type == "deepseek_v2";
  if (latent && !model.gguf && model.config.is_object() &&
      !model.config.contains("q_lora_rank")) {
    fields.add("config.missing-field",
               "q_lora_rank",
               "null, or the rank of compressed queries",
               "none, for which transformers takes 1536");
  }
}

// "LlamaForCausalLM" and "LlamaModel" are of one family.
void class_name(Fields& fields, const ModelFiles& model) {
  const auto* known = arch::architecture_of(model);
  const auto* classes = fields.find("architectures");
  if (known == nullptr || classes == nullptr || !classes->is_array() ||
      classes->empty() || !classes->front().is_string()) {
    return;
  }
  auto name = classes->front().get<std::string>();
  auto family = known->class_name.substr(
      0, std::min(known->class_name.find("For"), known->class_name.find("LM")));
  if (!name.starts_with(family)) {
    fields.add("config.class-mismatch",
               "architectures",
               fmt::format("a class of model_type '{}', as {}",
                           known->model_type,
                           known->class_name),
               name);
  }
}

// A share of the dimensions is all that a GGUF's other architectures may
// rotate; these four llama.cpp refuses ("invalid n_rot": load_hparams in
// src/llama-model.cpp), whose names for architectures are in llama-arch.cpp.
void gguf_rotation(Findings& findings,
                   const ModelFiles& model,
                   const Json& config) {
  constexpr std::array<std::string_view, 4> kWhole = {
      "llama", "deci", "falcon", "llama-embed"};
  if (!model.gguf || !config.is_object()) {
    return;
  }
  auto architecture = model.gguf->text("general.architecture").value_or("");
  auto share = config.value("partial_rotary_factor", Json());
  bool whole = std::ranges::find(kWhole, architecture) != kWhole.end();
  if (whole && share.is_number() && share != 1.0) {
    findings.push_back(
        make_finding("config.contradiction",
                     fmt::format("{}: {}.rope.dimension_count",
                                 model.files.front().string(),
                                 architecture),
                     "all dimensions of a head, or llama.cpp refuses the file",
                     fmt::format("{} of them", share.get<double>())));
  }
}

}  // namespace

Findings config_fields(const ModelFiles& model,
                       const Json& config,
                       const ModelReport& report) {
  Fields fields(config, (model.path / "config.json").string());
  class_name(fields, model);
  layers(fields);
  attention(fields);
  experts(fields);
  rotation(fields, report);
  query_rank(fields, model);
  gguf_rotation(fields.findings, model, config);
  return std::move(fields.findings);
}

namespace {

// Codes are known by what stands beside them; here, codes of which nothing
// does, and scales of no codes.
void lone_parts(Findings& findings, const ModelFiles& model) {
  auto has = [&](const std::string& name) {
    return model.find(name) != nullptr;
  };
  for (const auto& tensor : model.tensors) {
    const auto& name = tensor.name;
    std::string lacks;
    bool bytes = tensor.dtype == DType::u8 || tensor.dtype == DType::i8;
    if (name.ends_with(".qzeros")) {
      auto path = name.substr(0, name.size() - 7);
      lacks = has(path + ".qweight") ? "" : path + ".qweight";
    } else if (bytes && name.ends_with(".weight")) {
      auto path = name.substr(0, name.size() - 7);
      bool four = tensor.dtype == DType::u8;
      bool any = has(name + ".absmax") || has(path + ".SCB") ||
                 has(name + "_scale") || has(name + "_scale_inv") ||
                 has(path + ".scales");
      lacks = any ? "" : (four ? name + ".absmax" : path + ".SCB");
    }
    if (!lacks.empty()) {
      findings.push_back(make_finding("quantization.part-missing",
                                      lacks,
                                      fmt::format("a tensor beside {}", name),
                                      "none"));
    }
  }
}

bool is_packed(const Json& config) {
  auto block = config.value("quantization_config", Json());
  return block.is_object() && block.contains("quant_method");
}

constexpr std::array kFloats = {
    std::pair(DType::f32, std::string_view("float32")),
    std::pair(DType::f16, std::string_view("float16")),
    std::pair(DType::bf16, std::string_view("bfloat16"))};

uint64_t bytes_of(const ModelFiles& model, std::optional<DType> dtype) {
  uint64_t bytes = 0;
  for (const auto& tensor : model.tensors) {
    bytes += !dtype || tensor.dtype == *dtype ? tensor.bytes : 0;
  }
  return bytes;
}

}  // namespace

std::string_view torch_name(DType dtype) {
  auto entry = std::ranges::find(
      kFloats, dtype, [](const auto& one) { return one.first; });
  return entry == kFloats.end() ? "" : entry->second;
}

NamedType named_type(const Json& config) {
  Fields fields(config, "");
  NamedType type{fields.find("dtype") != nullptr ? "dtype" : "torch_dtype", ""};
  type.name = fields.text(type.field);
  if (type.name.starts_with("torch.")) {
    type.name.erase(0, 6);
  }
  return type;
}

std::optional<DType> most_stored(const ModelFiles& model) {
  for (const auto& [dtype, name] : kFloats) {
    if (2 * bytes_of(model, dtype) > bytes_of(model, std::nullopt)) {
      return dtype;
    }
  }
  return std::nullopt;
}

Findings stored_types(const ModelFiles& model, const Json& config) {
  if (model.container == Container::gguf || !config.is_object()) {
    return {};
  }
  auto most = most_stored(model);
  Fields fields(config, (model.path / "config.json").string());
  if (is_packed(config)) {
    lone_parts(fields.findings, model);
  }
  auto [field, named] = named_type(config);
  constexpr std::array<std::string_view, 6> kOthers = {
      "auto", "float64", "float8_e4m3fn", "float8_e5m2", "int8", "uint8"};
  auto entry = std::ranges::find(
      kFloats, named, [](const auto& one) { return one.second; });
  if (fields.find(field) == nullptr) {
    bool only = most && bytes_of(model, most) == bytes_of(model, std::nullopt);
    if (only && *most != DType::f32) {
      fields.add("dtype.absent",
                 "torch_dtype",
                 fmt::format("{}, as all weights are stored", name(*most)),
                 "none");
    }
  } else if (!named.empty() && entry == kFloats.end() &&
             std::ranges::find(kOthers, named) == kOthers.end()) {
    fields.add("config.invalid-value",
               field,
               "a type as torch names it: float32, float16, bfloat16",
               "'" + named + "'");
  } else if (most && (named == "float64" ||
                      (entry != kFloats.end() && entry->first != *most))) {
    fields.add("dtype.differs",
               field,
               fmt::format("{}, as most bytes are stored", name(*most)),
               named);
  }
  return std::move(fields.findings);
}

}  // namespace assay::rules
