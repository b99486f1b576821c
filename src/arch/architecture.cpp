#include "assay/arch/architecture.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/arch/list.h"
#include "assay/core/finding.h"

namespace assay::arch {
namespace {

std::vector<Architecture> make_list() {
  return {llama(),
          mistral(),
          qwen2(),
          qwen3(),
          gemma2(),
          gemma3_text(),
          phi3(),
          olmo2(),
          smollm3(),
          granite(),
          gpt2(),
          mixtral(),
          qwen3_moe(),
          deepseek_v3(),
          gpt_oss()};
}

const Architecture* of_gguf(const GgufMetadata& metadata) {
  auto name = metadata.text("general.architecture");
  for (const auto& entry : architectures()) {
    if (name == entry.gguf &&
        (entry.claims_gguf == nullptr || entry.claims_gguf(metadata))) {
      return &entry;
    }
  }
  return nullptr;
}

Json config_from_metadata(const ModelFiles& model) {
  const auto* architecture = of_gguf(*model.gguf);
  if (architecture == nullptr) {
    return config_from_gguf(*model.gguf, {});
  }
  auto config = config_from_gguf(*model.gguf, architecture->gguf_keys);
  config["model_type"] = architecture->model_type;
  config["architectures"] = {architecture->class_name};
  auto constants = Json::parse(architecture->gguf_constants);
  for (const auto& [field, value] : constants.items()) {
    if (!config.contains(field)) {
      config[field] = value;
    }
  }
  // Not every file has the size of its vocabulary, or a tokenizer; the
  // embedding always tells.
  const auto* embedding = model.find("token_embd.weight");
  if (!config.contains("vocab_size") && embedding != nullptr &&
      !embedding->shape.empty()) {
    config["vocab_size"] = embedding->shape.front();
  }
  if (config.value("sliding_window", 1) == 0) {  // how GGUFs say "none"
    config.erase("sliding_window");
  }
  if (!config.contains("tie_word_embeddings")) {
    config["tie_word_embeddings"] = model.find("output.weight") == nullptr;
  }
  // No key says whether there are biases; the tensors do.
  auto told_by = [&](const char* field, const char* tensor) {
    if (!config.contains(field) && model.find(tensor) != nullptr) {
      config[field] = true;
    }
  };
  told_by("attention_bias", "blk.0.attn_q.bias");
  told_by("mlp_bias", "blk.0.ffn_up.bias");
  if (architecture->finish_gguf != nullptr) {
    architecture->finish_gguf(config, model);
  }
  return config;
}

[[noreturn]] void fail_unsupported(const std::string& where,
                                   const std::string& found) {
  std::vector<std::string_view> known;
  for (const auto& entry : architectures()) {
    known.push_back(entry.model_type);
  }
  fail("arch.unsupported",
       where,
       fmt::format("one of {}", fmt::join(known, ", ")),
       found);
}

}  // namespace

std::span<const Architecture> architectures() {
  static const auto list = make_list();
  return list;
}

const Architecture* find_architecture(std::string_view model_type) {
  auto list = architectures();
  auto entry = std::ranges::find(list, model_type, &Architecture::model_type);
  return entry == list.end() ? nullptr : &*entry;
}

const Architecture* architecture_of(const ModelFiles& model) {
  if (model.config.is_object()) {
    auto type = model.config.find("model_type");
    return type != model.config.end() && type->is_string()
               ? find_architecture(type->get_ref<const std::string&>())
               : nullptr;
  }
  return model.gguf ? of_gguf(*model.gguf) : nullptr;
}

Json config_of(const ModelFiles& model) {
  if (!model.config.is_null() || !model.gguf) {
    return model.config;
  }
  return config_from_metadata(model);
}

Tree build_tree(const Json& config, const std::string& where) {
  auto reader = ConfigReader(config, where);
  auto type = reader.text("model_type");
  const auto* architecture = find_architecture(type);
  if (architecture == nullptr) {
    fail_unsupported(where, fmt::format("model_type '{}'", type));
  }
  Tree tree{architecture, config, architecture->build(reader), {}};
  tree.parameters = tree.model->parameters(architecture->hf_roots);
  return tree;
}

Tree build_tree(const ModelFiles& model) {
  auto config = config_of(model);
  auto where = model.path.string();
  if (model.container == Container::gguf && model.config.is_null()) {
    if (of_gguf(*model.gguf) == nullptr) {
      auto name = model.gguf->text("general.architecture");
      fail_unsupported(
          where,
          fmt::format("general.architecture '{}'", name.value_or("(none)")));
    }
    return build_tree(config, where);
  }
  if (config.is_null()) {
    fail("config.missing", where, "a config.json beside the tensors", "none");
  }
  return build_tree(config, where + "/config.json");
}

}  // namespace assay::arch
