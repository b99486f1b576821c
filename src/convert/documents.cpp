#include "assay/convert/documents.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/arch/gguf_extras.h"
#include "assay/formats/config_reader.h"
#include "assay/text/tokenizer.h"

namespace assay::conversion {
namespace fs = std::filesystem;

namespace {

constexpr std::array kCopied = {"tokenizer.json",
                                "tokenizer_config.json",
                                "special_tokens_map.json",
                                "added_tokens.json",
                                "vocab.json",
                                "merges.txt",
                                "tokenizer.model",
                                "chat_template.jinja",
                                "chat_template.json",
                                "generation_config.json"};

void copy_documents(const fs::path& from, const fs::path& to) {
  for (const char* name : kCopied) {
    std::error_code error;
    if (fs::is_regular_file(from / name, error)) {
      // Read and written, not linked or cloned with its permissions.
      write_text(to / name, read_text(from / name));
    }
  }
}

Json generation_config(const SpecialTokens& special) {
  Json config = Json::object();
  if (special.bos) {
    config["bos_token_id"] = *special.bos;
  }
  if (special.eos.size() == 1) {
    config["eos_token_id"] = special.eos.front();
  } else if (!special.eos.empty()) {
    config["eos_token_id"] = special.eos;
  }
  if (special.pad) {
    config["pad_token_id"] = *special.pad;
  }
  return config;
}

void write_gguf_documents(const ModelFiles& source,
                          const fs::path& folder,
                          bool load,
                          std::vector<Finding>& findings) {
  auto where = source.path.string();
  try {
    auto tokenizer = tokenizer_json_from_gguf(*source.gguf, where);
    auto config = tokenizer_config_from_gguf(*source.gguf, where);
    write_text(folder / "tokenizer.json", tokenizer);
    write_text(folder / "tokenizer_config.json", config);
    write_text(folder / "generation_config.json",
               to_text(generation_config(gguf_special_tokens(source))));
    if (load) {
      Tokenizer::from_json(tokenizer, where);
    }
    auto assumed = gguf_tokenizer_findings(*source.gguf, where);
    findings.insert(findings.end(), assumed.begin(), assumed.end());
  } catch (const Error& error) {
    // The weights are as good without it; the reader is told.
    if (!error.finding().id.starts_with("tokenizer.")) {
      throw;
    }
    findings.push_back(error.finding());
    findings.back().severity = Severity::warning;
  }
  if (!source.chat_template.empty()) {
    write_text(folder / "chat_template.jinja", source.chat_template);
  }
}

void set_absent(Json& config, const char* field, const Json& value) {
  if (!config.contains(field) || config[field].is_null()) {
    config[field] = value;
  }
}

// rope_parameters of one kind of layer as rope_scaling, and its base.
void add_rope(Json& config, const Json& rope, const char* theta) {
  if (rope.contains("rope_theta")) {
    set_absent(config, theta, rope["rope_theta"]);
  }
  if (rope.contains("partial_rotary_factor")) {
    set_absent(config, "partial_rotary_factor", rope["partial_rotary_factor"]);
  }
  if (rope.value("rope_type", "default") == "default") {
    return;
  }
  auto scaling = rope;
  scaling.erase("rope_theta");
  scaling.erase("partial_rotary_factor");
  scaling["type"] = rope["rope_type"];
  if (scaling.contains("original_max_position_embeddings")) {
    set_absent(config,
               "original_max_position_embeddings",
               scaling["original_max_position_embeddings"]);
  }
  set_absent(config, "rope_scaling", scaling);
}

void add_window_pattern(Json& config, std::vector<Finding>& findings) {
  constexpr auto* kField = "sliding_window_pattern";
  if (config.contains("_sliding_window_pattern")) {
    set_absent(config, kField, config["_sliding_window_pattern"]);
  }
  auto types = ConfigReader(config, "config.json").maybe_texts("layer_types");
  if (!types ||
      std::ranges::find(*types, "sliding_attention") == types->end()) {
    return;
  }
  if (auto pattern = arch::window_pattern(*types)) {
    config[kField] = *pattern;
  } else if (config.contains(kField)) {
    findings.push_back(make_finding(
        "convert.no-window-pattern",
        fmt::format("config field '{}'", kField),
        "the layers that layer_types names",
        fmt::format("{}, and no number says the same", config[kField].dump())));
  }
}

}  // namespace

Json result_config(Json config,
                   const std::optional<QuantizationConfig>& quantization,
                   const std::string& dtype) {
  config.erase("quantization");
  config.erase("quantization_config");
  if (!dtype.empty()) {
    bool newer = config.contains("dtype");
    if (newer) {
      config["dtype"] = dtype;
    }
    if (!newer || config.contains("torch_dtype")) {
      config["torch_dtype"] = dtype;
    }
  }
  if (quantization) {
    config["quantization"] = to_json(*quantization);
    config["quantization_config"] = config["quantization"];
  }
  return config;
}

void add_older_spelling(Json& config, std::vector<Finding>& findings) {
  if (auto rope = config.find("rope_scaling");
      rope != config.end() && rope->is_object()) {
    if (rope->contains("rope_type")) {
      set_absent(*rope, "type", (*rope)["rope_type"]);
    } else if (!rope->contains("type")) {
      config.erase(rope);  // no scaling: a GGUF's key without a kind
    }
  }
  if (config.contains("dtype")) {
    set_absent(config, "torch_dtype", config["dtype"]);
  }
  add_window_pattern(config, findings);
  if (config.contains("moe_intermediate_size") &&
      config.contains("num_local_experts")) {
    set_absent(config, "num_experts", config["num_local_experts"]);
  }
  if (!config.contains("rope_parameters") ||
      !config["rope_parameters"].is_object()) {
    return;
  }
  const Json rope = config["rope_parameters"];
  if (rope.contains("full_attention")) {
    add_rope(config, rope["full_attention"], "rope_theta");
    if (rope.contains("sliding_attention") &&
        rope["sliding_attention"].contains("rope_theta")) {
      set_absent(config,
                 "rope_local_base_freq",
                 rope["sliding_attention"]["rope_theta"]);
    }
    return;
  }
  add_rope(config, rope, "rope_theta");
}

void write_documents(const ModelFiles& source,
                     const fs::path& folder,
                     bool load,
                     std::vector<Finding>& findings) {
  bool own_tokenizer = !source.tokenizer_json.empty();
  if (source.gguf && !own_tokenizer) {
    write_gguf_documents(source, folder, load, findings);
    return;
  }
  if (fs::is_directory(source.path)) {
    copy_documents(source.path, folder);
  }
}

}  // namespace assay::conversion
