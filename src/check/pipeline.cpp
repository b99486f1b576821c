#include "assay/check/pipeline.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/check/document_fields.h"
#include "assay/core/file.h"
#include "assay/formats/component_weights.h"
#include "assay/formats/quote.h"
#include "assay/formats/safetensors_index.h"

namespace assay::rules {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxPipelineJson = 16u << 20;

// Python writes infinities and NaN as bare words, which JSON has not; diffusers
// does so in its own scheduler configs. They are read as null.
std::string without_infinities(std::string text) {
  constexpr std::array<std::string_view, 3> kWords = {
      "-Infinity", "Infinity", "NaN"};
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string) {
      for (auto word : kWords) {
        if (text.compare(i, word.size(), word) == 0) {
          text.replace(i, word.size(), "null");
          break;
        }
      }
    }
  }
  return text;
}

Json read_document(const fs::path& path) {
  return parse_json(without_infinities(read_text(path, kMaxPipelineJson)),
                    path.string());
}

// A name out of the index becomes a folder: it must not lead elsewhere.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of("/\\") == std::string_view::npos &&
         is_printable_utf8(name);
}

void hold_against_index(Pipeline& pipeline,
                        const ComponentFiles& chosen,
                        uint64_t tensor_bytes) {
  if (chosen.index.empty()) {
    return;
  }
  auto index =
      parse_safetensors_index(read_text(chosen.index), chosen.index.string());
  // PyTorch's shards share memory between tensors.
  bool whole = chosen.container == Container::safetensors &&
               chosen.files.size() == index.shards.size();
  for (const auto& shard : index.shards) {
    auto path = chosen.index.parent_path() / shard;
    if (!fs::exists(path)) {
      whole = false;
      pipeline.findings.push_back(make_finding("index.missing-shard",
                                               path.string(),
                                               "the shard that the index names",
                                               "no such file"));
    }
  }
  uint64_t file_bytes = 0;
  for (const auto& file : chosen.files) {
    file_bytes += fs::file_size(file);
  }
  for (auto& finding :
       hold_metadata(index, chosen.index.string(), tensor_bytes, file_bytes)) {
    if (whole || finding.id != "index.total-size") {
      pipeline.findings.push_back(std::move(finding));
    }
  }
}

// Quantizers store codes in bytes, and say so in the config.
bool is_bytes_of_floats(const Component& component, const TensorInfo& tensor) {
  bool bytes = tensor.dtype == DType::u8 || tensor.dtype == DType::i8;
  bool quantized = component.config.is_object() &&
                   component.config.contains("quantization_config");
  return bytes && !quantized && tensor.shape.size() >= 2;
}

void read_weights(Pipeline& pipeline, Component& component) {
  auto chosen = component_files(component.folder);
  uint64_t bytes = 0;
  for (auto& tensor : component_tensors(chosen, pipeline.findings)) {
    bytes += tensor.bytes;
    if (is_bytes_of_floats(component, tensor)) {
      pipeline.findings.push_back(make_finding(
          "tensor.f8-as-bytes",
          fmt::format(
              "{}: {}", chosen.files[tensor.file].string(), tensor.name),
          "a floating-point type",
          std::string(name(tensor.dtype))));
    }
    component.tensors.emplace(std::move(tensor.name), std::move(tensor.shape));
  }
  hold_against_index(pipeline, chosen, bytes);
  if (!component.tensors.empty()) {
    return;
  }
  bool others = chosen.files.empty() && chosen.others;
  pipeline.findings.push_back(
      make_finding(others ? "model.not-read" : "component.no-weights",
                   component.folder.string(),
                   "weights in safetensors or PyTorch's",
                   others                 ? "another format"
                   : chosen.files.empty() ? "none"
                                          : "a file without tensors"));
}

bool has_tokenizer(const fs::path& folder) {
  return std::ranges::any_of(
      std::to_array<const char*>({"tokenizer.json",
                                  "vocab.json",
                                  "vocab.txt",
                                  "spiece.model",
                                  "tokenizer.model"}),
      [&](const char* name) { return fs::exists(folder / name); });
}

// What a component without a config.json has in its place.
void hold_documents(Pipeline& pipeline, const Component& component) {
  const auto& kind = component.class_name;
  bool has_own = kind.ends_with("Processor") || kind.ends_with("Extractor");
  if (kind.find("Tokenizer") != std::string::npos) {
    if (!has_tokenizer(component.folder)) {
      pipeline.findings.push_back(
          make_finding("component.no-tokenizer",
                       component.folder.string(),
                       "tokenizer.json, vocab.json or spiece.model",
                       "none"));
    }
  } else if (!has_own) {
    bool scheduler = kind.find("Scheduler") != std::string::npos;
    pipeline.findings.push_back(
        make_finding("component.no-config",
                     component.folder.string(),
                     scheduler ? "scheduler_config.json" : "config.json",
                     "none"));
  }
}

void read_component(Pipeline& pipeline, Component& component) {
  if (!fs::is_directory(component.folder)) {
    pipeline.findings.push_back(make_finding("component.missing",
                                             component.folder.string(),
                                             component.class_name,
                                             "no such folder"));
    return;
  }
  for (const auto* name : {"config.json", "scheduler_config.json"}) {
    auto path = component.folder / name;
    if (component.config.is_null() && fs::exists(path)) {
      component.config_path = path;
      component.config = read_document(path);
    }
  }
  if (fs::exists(component.folder / "config.json")) {
    read_weights(pipeline, component);
  } else if (component.config.is_null()) {
    hold_documents(pipeline, component);
  }
}

Component component_of(Pipeline& pipeline,
                       const std::string& name,
                       const Json& entry) {
  Component component;
  component.name = name;
  component.class_name = entry[1].get<std::string>();
  component.folder = pipeline.path / name;
  try {
    read_component(pipeline, component);
  } catch (const Error& error) {
    pipeline.findings.push_back(error.finding());
  }
  return component;
}

// What a class of pipeline cannot work without. An encoder of three may be left
// out (SD 3), a refiner of SD XL has only the second.
struct ComponentNeeds {
  std::string_view prefix;
  std::array<std::string_view, 7> components;
};
constexpr std::array kNeeds = {
    ComponentNeeds{"StableDiffusion3", {"transformer", "vae", "scheduler"}},
    ComponentNeeds{
        "StableDiffusionXLImg2Img",
        {"unet", "vae", "scheduler", "text_encoder_2", "tokenizer_2"}},
    ComponentNeeds{"StableDiffusionXL",
                   {"unet",
                    "vae",
                    "scheduler",
                    "text_encoder",
                    "tokenizer",
                    "text_encoder_2",
                    "tokenizer_2"}},
    ComponentNeeds{"StableDiffusionImageVariation",
                   {"unet", "vae", "scheduler"}},
    ComponentNeeds{"StableDiffusion",
                   {"unet", "vae", "scheduler", "text_encoder", "tokenizer"}},
    ComponentNeeds{"FluxPrior", {}},
    ComponentNeeds{"Flux",
                   {"transformer",
                    "vae",
                    "scheduler",
                    "text_encoder",
                    "tokenizer",
                    "text_encoder_2",
                    "tokenizer_2"}},
    ComponentNeeds{
        "PixArt",
        {"transformer", "vae", "scheduler", "text_encoder", "tokenizer"}},
};

}  // namespace

std::string class_in_config(const Json& config) {
  if (!config.is_object()) {
    return "";
  }
  if (config.contains("_class_name") && config["_class_name"].is_string()) {
    return config["_class_name"].get<std::string>();
  }
  auto list = config.value("architectures", Json());
  return list.is_array() && list.size() == 1 && list[0].is_string()
             ? list[0].get<std::string>()
             : "";
}

std::vector<std::string_view> needed_components(std::string_view class_name) {
  std::vector<std::string_view> names;
  auto needs = std::ranges::find_if(kNeeds, [&](const ComponentNeeds& one) {
    return class_name.starts_with(one.prefix);
  });
  if (needs != kNeeds.end()) {
    std::ranges::copy_if(needs->components,
                         std::back_inserter(names),
                         [](auto name) { return !name.empty(); });
  }
  return names;
}

std::optional<int64_t> Component::size(std::string_view field) const {
  if (!config.is_object()) {
    return std::nullopt;
  }
  auto entry = config.find(field);
  bool is_size = entry != config.end() && entry->is_number_integer() &&
                 entry->get<int64_t>() > 0;
  return is_size ? std::optional(entry->get<int64_t>()) : std::nullopt;
}

std::optional<double> Component::number(std::string_view field) const {
  if (!config.is_object()) {
    return std::nullopt;
  }
  auto entry = config.find(field);
  return entry != config.end() && entry->is_number()
             ? std::optional(entry->get<double>())
             : std::nullopt;
}

const Component* Pipeline::find(std::string_view name) const {
  auto entry = std::ranges::find(components, name, &Component::name);
  return entry == components.end() ? nullptr : &*entry;
}

Pipeline open_pipeline(const fs::path& path) {
  Pipeline pipeline;
  pipeline.path = path;
  auto where = path / "model_index.json";
  auto index = read_document(where);
  if (!index.is_object() || !index.contains("_class_name") ||
      !index["_class_name"].is_string()) {
    fail("pipeline.malformed",
         where.string(),
         "an object with a text '_class_name'",
         index.is_object() ? "no such text" : index.type_name());
  }
  pipeline.class_name = index["_class_name"].get<std::string>();
  for (const auto& [name, entry] : index.items()) {
    if (name.starts_with('_') || !entry.is_array()) {
      continue;  // settings of the pipeline itself
    }
    bool pair = entry.size() == 2;
    if (pair && entry[0].is_null() && entry[1].is_null()) {
      continue;  // left out on purpose
    }
    if (!is_plain_name(name) || !pair || !entry[0].is_string() ||
        !entry[1].is_string()) {
      fail("pipeline.malformed",
           fmt::format("{}: {}", where.string(), quote(name)),
           "a component's name with [library, class]",
           quote(entry.dump(-1, ' ', true)));
    }
    pipeline.components.push_back(component_of(pipeline, name, entry));
  }
  return pipeline;
}

Pipeline open_component(const fs::path& folder) {
  Pipeline pipeline;
  pipeline.path = folder;
  Component component;
  component.folder = folder;
  read_component(pipeline, component);
  component.class_name = class_in_config(component.config);
  component.name = component.config_path.filename() == "scheduler_config.json"
                       ? "scheduler"
                       : "component";
  pipeline.class_name = component.class_name;
  pipeline.components.push_back(std::move(component));
  return pipeline;
}

bool has_unread_weights(const Pipeline& pipeline) {
  return std::ranges::any_of(pipeline.findings, [](const Finding& finding) {
    return finding.id == "model.not-read";
  });
}

std::vector<Finding> component_classes(const Pipeline& pipeline) {
  std::vector<Finding> findings;
  for (auto name : needed_components(pipeline.class_name)) {
    if (pipeline.find(name) == nullptr) {
      findings.push_back(
          make_finding("pipeline.component-absent",
                       (pipeline.path / "model_index.json").string(),
                       fmt::format("a {} for {}", name, pipeline.class_name),
                       "none"));
    }
  }
  for (const auto& component : pipeline.components) {
    auto own = class_in_config(component.config);
    if (!own.empty() && own != component.class_name) {
      findings.push_back(make_finding("component.class-mismatch",
                                      component.config_path.string(),
                                      component.class_name,
                                      own));
    }
  }
  return findings;
}

}  // namespace assay::rules

namespace assay {

// By headers alone: the components have no module trees yet, so what is not
// found wrong is not called sound.
void check_pipeline(Checkup& checkup) {
  std::optional<rules::Pipeline> pipeline;
  checkup.step("components", [&](CheckStep& step) {
    pipeline.emplace(rules::open_pipeline(checkup.path()));
    checkup.name_architecture(pipeline->class_name);
    step.detail = fmt::format("{}, {} components",
                              quote(pipeline->class_name),
                              pipeline->components.size());
    auto findings = pipeline->findings;
    std::ranges::move(rules::component_classes(*pipeline),
                      std::back_inserter(findings));
    return findings;
  });
  if (!pipeline) {
    return;
  }
  if (rules::has_unread_weights(*pipeline)) {
    checkup.leave_undecided();
  }
  checkup.step("shapes", [&](CheckStep&) {
    auto findings = rules::component_configs(pipeline->components);
    rules::add_fields(findings, rules::pipeline_documents(*pipeline));
    return findings;
  });
  checkup.step("agreement", [&](CheckStep&) {
    return rules::component_agreement(*pipeline);
  });
  checkup.step("latents",
               [&](CheckStep&) { return rules::latent_scaling(*pipeline); });
  checkup.step("schedule",
               [&](CheckStep&) { return rules::noise_schedule(*pipeline); });
  checkup.step("settings", [&](CheckStep&) {
    return rules::published_settings(*pipeline);
  });
  if (!checkup.options().headers_only) {
    checkup.skip("inference", "pipelines have no module tree");
    checkup.leave_undecided();
  }
}

}  // namespace assay
