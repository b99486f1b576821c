#include "assay/arch/llm/common.h"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/formats/ggml.h"

namespace assay::arch {
namespace {

std::vector<float> floats(const std::optional<std::vector<double>>& numbers) {
  return numbers ? std::vector<float>(numbers->begin(), numbers->end())
                 : std::vector<float>();
}

std::optional<double> nonzero(std::optional<double> value) {
  return value && *value != 0 ? value : std::nullopt;
}

// The fields that both spellings keep in one object.
void read_scaling(const ConfigReader& fields, nn::RopeConfig& rope) {
  auto type = fields.maybe_text("rope_type");
  rope.type = type ? *type : fields.maybe_text("type").value_or("default");
  if (rope.type == "su") {  // the first name of longrope, in early Phi-3 files
    rope.type = "longrope";
  } else if (rope.type == "deepseek_yarn") {
    rope.type = "yarn";
  }
  auto set = [&fields](std::string_view name, double& field) {
    field = fields.maybe_number(name).value_or(field);
  };
  set("original_max_position_embeddings",
      rope.original_max_position_embeddings);
  bool scaled = rope.type == "linear" || rope.type == "dynamic" ||
                rope.type == "llama3" || rope.type == "yarn";
  if (scaled) {
    rope.factor = fields.number({"factor"});
  } else if (rope.type == "longrope") {
    rope.factor = fields.maybe_number("factor").value_or(
        rope.max_position_embeddings / rope.original_max_position_embeddings);
  }
  if (rope.type == "llama3") {
    rope.low_freq_factor = fields.number({"low_freq_factor"});
    rope.high_freq_factor = fields.number({"high_freq_factor"});
  }
  // The defaults of these are those of the YaRN paper, not of a library.
  set("beta_fast", rope.beta_fast);
  set("beta_slow", rope.beta_slow);
  rope.truncate = fields.maybe_boolean("truncate").value_or(true);
  rope.attention_factor = fields.maybe_number("attention_factor");
  rope.mscale = nonzero(fields.maybe_number("mscale"));
  rope.mscale_all_dim = nonzero(fields.maybe_number("mscale_all_dim"));
  rope.short_factor = floats(fields.maybe_numbers("short_factor"));
  rope.long_factor = floats(fields.maybe_numbers("long_factor"));
  set("partial_rotary_factor", rope.partial_rotary_factor);
}

nn::RopeConfig read_rope(const ConfigReader& config, std::string_view kind) {
  nn::RopeConfig rope;
  rope.max_position_embeddings = config.dimension("max_position_embeddings");
  rope.original_max_position_embeddings =
      config.maybe_number("original_max_position_embeddings")
          .value_or(rope.max_position_embeddings);
  rope.partial_rotary_factor =
      config.maybe_number("partial_rotary_factor").value_or(1);
  if (config.find("rope_parameters") != nullptr) {
    auto parameters = config.child("rope_parameters");
    if (parameters.find(kind) != nullptr) {
      parameters = parameters.child(kind);
    }
    rope.theta = parameters.number({"rope_theta"});
    read_scaling(parameters, rope);
    return rope;
  }
  rope.theta = config.number({"rope_theta"});
  if (config.find("rope_scaling") != nullptr) {
    read_scaling(config.child("rope_scaling"), rope);
  }
  return rope;
}

}  // namespace

nn::RopeConfig rope_config(const ConfigReader& config, std::string_view kind) {
  auto rope = read_rope(config, kind);
  // As many periods are made as this share of a head has pairs. A little more
  // than a head is for the shapes to tell: the head may be what is wrong.
  constexpr double kMost = 64;
  if (!(rope.partial_rotary_factor > 0 &&
        rope.partial_rotary_factor <= kMost)) {
    fail("rope.inconsistent",
         fmt::format("{}: partial_rotary_factor", config.where()),
         "more than 0, at most 1",
         fmt::format("{}", rope.partial_rotary_factor));
  }
  return rope;
}

std::vector<bool> sliding_layers(const ConfigReader& config,
                                 bool (*rule)(const ConfigReader&, int)) {
  int layers = config.dimension("num_hidden_layers");
  auto types = config.maybe_texts("layer_types");
  if (types && static_cast<int>(types->size()) != layers) {
    fail("config.invalid-value",
         fmt::format("{}: layer_types", config.where()),
         fmt::format("{} entries, as num_hidden_layers says", layers),
         fmt::format("{}", types->size()));
  }
  std::vector<bool> sliding;
  for (int i = 0; i < layers; ++i) {
    sliding.push_back(types ? (*types)[static_cast<size_t>(i)] ==
                                  "sliding_attention"
                            : rule(config, i));
  }
  return sliding;
}

bool upper_layers_slide(const ConfigReader& config, int layer) {
  return config.maybe_boolean("use_sliding_window").value_or(false) &&
         layer >= config.integer({"max_window_layers"});
}

bool tied_embeddings(const ConfigReader& config) {
  return config.maybe_boolean("tie_word_embeddings").value_or(true);
}

nn::CausalLmConfig causal_lm_config(const ConfigReader& config) {
  return {.vocab = config.dimension("vocab_size"),
          .width = config.dimension("hidden_size"),
          .layers = config.dimension("num_hidden_layers"),
          .tied = tied_embeddings(config),
          .norm_eps = config.real("rms_norm_eps")};
}

nn::AttentionConfig attention_config(const ConfigReader& config) {
  nn::AttentionConfig attention;
  attention.width = config.dimension("hidden_size");
  attention.heads = config.dimension("num_attention_heads");
  // Absent in configs from before grouped heads: then each head has its own.
  attention.kv_heads = config.find("num_key_value_heads")
                           ? config.dimension("num_key_value_heads")
                           : attention.heads;
  attention.head_dim = config.find("head_dim")
                           ? config.dimension("head_dim")
                           : attention.width / attention.heads;
  if (attention.heads % attention.kv_heads != 0) {
    fail("config.invalid-value",
         fmt::format("{}: num_key_value_heads", config.where()),
         fmt::format("a divisor of num_attention_heads, {}", attention.heads),
         fmt::format("{}", attention.kv_heads));
  }
  attention.norm_eps = config.real("rms_norm_eps");
  attention.rope = rope_config(config);
  return attention;
}

nn::Activation hidden_activation(const ConfigReader& config) {
  return nn::activation_from_name(
      config.text({"hidden_act", "hidden_activation"}),
      fmt::format("{}: hidden_act", config.where()));
}

std::unique_ptr<nn::GatedMlp> gated_mlp(const ConfigReader& config,
                                        std::string_view inner,
                                        bool bias) {
  return std::make_unique<nn::GatedMlp>(config.dimension("hidden_size"),
                                        config.dimension(inner),
                                        hidden_activation(config),
                                        bias);
}

std::unique_ptr<nn::LanguageModel> upper_windows_model(
    const ConfigReader& config, const nn::AttentionConfig& attention) {
  using Block = nn::PreNormBlock<nn::GatedMlp>;
  auto sliding = sliding_layers(config, upper_layers_slide);
  return std::make_unique<nn::CausalLm<Block>>(
      causal_lm_config(config), [&](int layer) {
        auto own = attention;
        if (sliding[static_cast<size_t>(layer)]) {
          own.window = config.dimension("sliding_window");
        }
        return std::make_unique<Block>(own, own.norm_eps, gated_mlp(config));
      });
}

namespace {

std::vector<float> read_floats(const ModelFiles& model,
                               const TensorInfo& tensor) {
  auto data = TensorData(model);
  std::vector<float> values(element_count(tensor.shape).value_or(0));
  ggml::dequantize(tensor.dtype, data.bytes(tensor), values);
  return values;
}

}  // namespace

namespace {

// True if these are the factors that "rope_scaling" of type llama3 gives.
bool gives(const Json& config,
           const ModelFiles& model,
           const std::vector<float>& factors) {
  auto rope = rope_config(ConfigReader(config, model.path.string()));
  auto plain = rope;
  plain.type = "default";
  auto dims = static_cast<int>(2 * factors.size());
  auto scaled = nn::rope_periods(rope, dims);
  auto base = nn::rope_periods(plain, dims);
  for (size_t i = 0; i < factors.size(); ++i) {
    if (std::abs(scaled[i] / base[i] - factors[i]) > 1e-4f * factors[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

void llama3_rope_from_gguf(Json& config, const ModelFiles& model) {
  const auto* tensor = model.find("rope_freqs.weight");
  if (tensor == nullptr) {
    return;
  }
  auto factors = read_floats(model, *tensor);
  // Every Llama 3.1 to 3.3 has these three; they differ in the factor, which
  // the longest waves show whole.
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", factors.empty() ? 1 : factors.back()},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  if (gives(config, model, factors)) {
    return;
  }
  // Any other factors are a longrope that is the same at every length.
  config["rope_scaling"] = {{"rope_type", "longrope"},
                            {"factor", 1.0},
                            {"attention_factor", 1.0},
                            {"short_factor", factors},
                            {"long_factor", factors},
                            {"original_max_position_embeddings",
                             config.at("max_position_embeddings")}};
}

void longrope_from_gguf(Json& config, const ModelFiles& model) {
  const auto* longer = model.find("rope_factors_long.weight");
  const auto* shorter = model.find("rope_factors_short.weight");
  if (longer == nullptr || shorter == nullptr) {
    return;
  }
  auto& scaling = config["rope_scaling"];
  scaling["rope_type"] = "longrope";
  scaling["long_factor"] = read_floats(model, *longer);
  scaling["short_factor"] = read_floats(model, *shorter);
}

}  // namespace assay::arch
