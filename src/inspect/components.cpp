#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/formats/adapter.h"
#include "assay/formats/checkpoint_layout.h"
#include "assay/formats/component_weights.h"
#include "assay/formats/file_safety.h"
#include "assay/formats/model_kind.h"
#include "assay/formats/onnx.h"
#include "assay/formats/quote.h"
#include "assay/formats/safetensors.h"
#include "assay/inspect/inspect.h"

// inspect of what is more, or less, than one language model: the parts, each
// with its size.
namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxJson = 16u << 20;

// What a part stores most, by bytes: "F16", "BF16, F32".
std::string types_of(const std::vector<const TensorInfo*>& tensors) {
  std::map<std::string_view, uint64_t> bytes;
  for (const auto* tensor : tensors) {
    bytes[name(tensor->dtype)] += tensor->bytes;
  }
  std::vector<std::pair<uint64_t, std::string_view>> order;
  for (auto [type, count] : bytes) {
    order.emplace_back(count, type);
  }
  std::ranges::sort(order, std::ranges::greater{});
  std::vector<std::string_view> names;
  for (const auto& [count, type] : order) {
    names.push_back(type);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

void add_sizes(ComponentSummary& summary,
               const std::vector<const TensorInfo*>& tensors) {
  for (const auto* tensor : tensors) {
    summary.parameters += element_count(tensor->shape).value_or(0);
    summary.bytes += tensor->bytes;
  }
}

// To know no architecture and to have no config.json is what these kinds are.
void drop_expected(ModelReport& report) {
  std::erase_if(report.unusual, [](const Finding& finding) {
    return finding.id == "config.missing" || finding.id == "arch.unsupported" ||
           finding.id == "tokenizer.missing";
  });
}

/** A component's name and class, and where it lies. */
struct Place {
  std::string name, class_name;
  fs::path folder;
};

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of("/\\:") == std::string_view::npos &&
         is_printable_utf8(name);
}

ModelReport inspect_places(const fs::path& path,
                           const std::vector<Place>& places) {
  ModelFiles model;
  model.path = path;
  std::vector<ComponentSummary> components;
  std::set<std::string_view> containers;
  for (const auto& place : places) {
    ComponentSummary summary;
    summary.name = place.name;
    summary.class_name = place.class_name;
    std::vector<const TensorInfo*> shown;
    std::vector<TensorInfo> tensors;
    auto chosen = component_files(place.folder);
    if (!chosen.files.empty()) {
      containers.insert(name(chosen.container));
    }
    for (size_t i = 0; i < chosen.files.size(); ++i) {
      try {
        auto read = component_tensors(chosen, i, model.findings);
        auto number = static_cast<uint32_t>(model.files.size());
        model.files.push_back(chosen.files[i]);
        for (auto& tensor : read) {
          tensor.file = number;
          tensors.push_back(std::move(tensor));
        }
      } catch (const Error& error) {
        model.findings.push_back(error.finding());
      }
    }
    for (const auto& tensor : tensors) {
      shown.push_back(&tensor);
    }
    add_sizes(summary, shown);
    std::error_code error;
    if (!fs::is_directory(place.folder, error)) {
      summary.detail = "not there";
    } else {
      summary.detail = tensors.empty() ? "no weights" : types_of(shown);
    }
    bool settings = place.class_name.find("Tokenizer") != std::string::npos ||
                    place.class_name.find("Scheduler") != std::string::npos ||
                    place.class_name.find("Processor") != std::string::npos ||
                    place.class_name.find("Extractor") != std::string::npos;
    if (settings && tensors.empty() && summary.detail != "not there") {
      summary.detail = "settings";
    }
    components.push_back(std::move(summary));
    std::ranges::move(tensors, std::back_inserter(model.tensors));
  }
  // Parts of one class have tensors of one name: nothing here looks them up.
  auto report = inspect(model);
  drop_expected(report);
  report.components = std::move(components);
  if (!containers.empty()) {
    report.container = fmt::format("{}", fmt::join(containers, ", "));
  }
  return report;
}

std::string text_field(const Json& object, std::string_view name) {
  auto value = object.is_object() ? object.value(name, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : "";
}

ModelReport inspect_pipeline(const fs::path& path) {
  auto where = path / "model_index.json";
  auto index = parse_json(read_text(where, kMaxJson), where.string());
  if (!index.is_object()) {
    fail("pipeline.malformed",
         where.string(),
         "an object with a text '_class_name'",
         index.type_name());
  }
  std::vector<Place> places;
  for (const auto& [name, entry] : index.items()) {
    bool names_class = entry.is_array() && entry.size() == 2 &&
                       entry[1].is_string() && !name.starts_with('_');
    if (names_class && is_plain_name(name)) {
      places.push_back({name, entry[1].get<std::string>(), path / name});
    }
  }
  auto report = inspect_places(path, places);
  report.architecture = text_field(index, "_class_name");
  return report;
}

// Scheduler configs of diffusers may hold Python's infinities: the class alone
// is looked for where the document is no JSON.
ModelReport inspect_component(const fs::path& path, const char* config) {
  auto where = path / config;
  std::string class_name;
  Json document;
  try {
    document = parse_json(read_text(where, kMaxJson), where.string());
    class_name = text_field(document, "_class_name");
  } catch (const Error&) {
    auto text = read_text(where, kMaxJson);
    constexpr std::string_view kField = "\"_class_name\": \"";
    auto at = text.find(kField);
    if (at == std::string::npos) {
      throw;
    }
    auto begin = at + kField.size();
    class_name = text.substr(begin, text.find('"', begin) - begin);
  }
  auto report =
      inspect_places(path, {{path.filename().string(), class_name, path}});
  report.architecture = class_name;
  if (report.files.empty()) {
    report.container = "JSON";
  }
  if (document.is_object()) {
    for (const auto& [name, value] : document.items()) {
      if (value.is_primitive() && !value.is_null()) {
        report.config[name] = value;
      }
    }
  }
  return report;
}

ModelReport inspect_adapter(const fs::path& path) {
  auto adapter = open_adapter(path);
  auto report = inspect(adapter.files);
  drop_expected(report);
  report.path = path;
  report.architecture = fmt::format("{} adapter", name(adapter.dialect));
  std::map<std::string_view, std::vector<const AdapterModule*>> by_method;
  for (const auto& module : adapter.modules) {
    by_method[name(module.method)].push_back(&module);
  }
  for (const auto& [method, modules] : by_method) {
    ComponentSummary summary;
    summary.name = method;
    std::set<int64_t> ranks;
    std::set<std::string> targets;
    for (const auto* module : modules) {
      for (const auto* tensor :
           {module->down, module->up, module->middle, module->magnitude}) {
        if (tensor != nullptr) {
          add_sizes(summary, {tensor});
        }
      }
      if (module->down_rank) {
        ranks.insert(*module->down_rank);
      }
      auto target = base_name(adapter, *module);
      targets.insert(target.substr(target.rfind('.') + 1));
    }
    summary.detail = fmt::format("{} modules", modules.size());
    if (!ranks.empty() && ranks.size() <= 8) {
      summary.detail += fmt::format(", rank {}", fmt::join(ranks, ", "));
    }
    if (targets.size() <= 12) {
      summary.detail += fmt::format(": {}", fmt::join(targets, ", "));
    }
    report.components.push_back(std::move(summary));
  }
  if (!adapter.others.empty()) {
    ComponentSummary summary;
    summary.name = "saved whole";
    add_sizes(summary, adapter.others);
    summary.detail = fmt::format("{} tensors", adapter.others.size());
    report.components.push_back(std::move(summary));
  }
  for (const auto* field : {"r", "lora_alpha", "base_model_name_or_path"}) {
    if (adapter.config.is_object() && adapter.config.contains(field)) {
      report.config[field] = adapter.config[field];
    }
  }
  return report;
}

ModelReport inspect_checkpoint(const ModelFiles& files,
                               const Checkpoint& checkpoint) {
  auto report = inspect(files);
  drop_expected(report);
  report.architecture = checkpoint.family;
  for (const auto& part : checkpoint.parts) {
    ComponentSummary summary;
    summary.name = name(part.kind);
    summary.class_name = part.prefix;
    summary.parameters = part.parameters();
    summary.bytes = part.bytes();
    std::vector<const TensorInfo*> tensors;
    for (const auto& [tensor, info] : part.tensors) {
      tensors.push_back(info);
    }
    summary.detail =
        fmt::format("{} tensors, {}", tensors.size(), types_of(tensors));
    report.components.push_back(std::move(summary));
  }
  return report;
}

std::string describe(const OnnxValue& value) {
  return fmt::format("{} {} ({})",
                     value.name,
                     onnx_type_name(value.type),
                     fmt::join(value.shape, ", "));
}

void add_onnx(ModelReport& report, const fs::path& file) {
  auto model = read_onnx(file);
  std::error_code error;
  report.files.push_back({file, fs::file_size(file, error)});
  report.bytes += report.files.back().bytes;
  report.tensors += model.tensors.size();
  ComponentSummary summary;
  summary.name = file.filename().string();
  summary.class_name = model.graph;
  std::set<std::string> beside;
  for (const auto& tensor : model.tensors) {
    auto count = element_count(tensor.shape).value_or(0);
    summary.parameters += count;
    auto bits = onnx_type_bits(tensor.type);
    auto bytes = tensor.raw_bytes.value_or(
        count < (uint64_t{1} << 56) ? count * bits / 8 : 0);
    summary.bytes += bytes;
    auto type = std::string(onnx_type_name(tensor.type));
    auto share = std::ranges::find(report.stored, type, &Share::name);
    if (share == report.stored.end()) {
      report.stored.push_back({type, 0, 0, 0, static_cast<double>(bits)});
      share = report.stored.end() - 1;
    }
    ++share->tensors;
    share->parameters += count;
    share->bytes += bytes;
    if (tensor.external) {
      beside.insert(tensor.external->location);
    }
  }
  summary.detail = fmt::format("{} nodes", model.nodes);
  for (const auto& [domain, version] : model.opsets) {
    summary.detail +=
        fmt::format(", {} {}", domain.empty() ? "ai.onnx" : domain, version);
  }
  if (!beside.empty()) {
    summary.detail += fmt::format(", data in {}", fmt::join(beside, ", "));
  }
  report.parameters += summary.parameters;
  report.components.push_back(std::move(summary));
  report.config["ir_version"] = model.ir_version;
  report.config["producer"] = model.producer + " " + model.producer_version;
  for (const auto& input : model.inputs) {
    report.config["input " + input.name] = describe(input);
  }
  for (const auto& output : model.outputs) {
    report.config["output " + output.name] = describe(output);
  }
}

ModelReport inspect_onnx(const fs::path& path) {
  ModelReport report;
  report.path = path;
  report.container = "ONNX";
  report.architecture = "ONNX";
  report.config = Json::object();
  std::error_code error;
  std::vector<fs::path> files = {path};
  if (fs::is_directory(path, error)) {
    files.clear();
    for (fs::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == ".onnx") {
        files.push_back(entry->path());
      }
    }
    std::ranges::sort(files);
  }
  for (const auto& file : files) {
    add_onnx(report, file);
  }
  report.active_parameters = report.parameters;
  uint64_t bytes = 0;
  for (const auto& share : report.stored) {
    bytes += share.bytes;
  }
  if (report.parameters > 0) {
    report.bits_per_weight = 8.0 * static_cast<double>(bytes) /
                             static_cast<double>(report.parameters);
  }
  std::ranges::stable_sort(
      report.stored, std::ranges::greater{}, &Share::bytes);
  return report;
}

ModelReport inspect_files(const ModelFiles& files) {
  if (are_adapter(files.tensors)) {
    return inspect_adapter(files.path);
  }
  if (auto checkpoint = checkpoint_layout(files)) {
    return inspect_checkpoint(files, *checkpoint);
  }
  return inspect(files);
}

// What torch.load or pickle.load would take, and no weights: the pickles are
// all there is to show.
ModelReport inspect_pickles(const fs::path& path,
                            std::vector<FileSafety> pickles) {
  ModelReport report;
  report.path = path;
  report.container = pickles.front().container;
  for (const auto& file : pickles) {
    std::error_code error;
    auto size = fs::file_size(file.path, error);
    report.files.push_back({file.path, error ? 0 : size});
    report.bytes += report.files.back().bytes;
  }
  report.pickles = std::move(pickles);
  report.kind = "pickle";
  return report;
}

}  // namespace

ModelReport inspect_path(const fs::path& path) {
  auto kind = kind_of(path);
  std::error_code absent;
  auto pickles =
      fs::exists(path, absent) ? judge_path(path) : std::vector<FileSafety>();
  auto report = [&] {
    switch (kind) {
      case ModelKind::pipeline:
        return inspect_pipeline(path);
      case ModelKind::component:
        return inspect_component(path, "config.json");
      case ModelKind::scheduler:
        return inspect_component(path, "scheduler_config.json");
      case ModelKind::adapter:
        return inspect_adapter(path);
      case ModelKind::onnx:
        return inspect_onnx(path);
      case ModelKind::embedding:
      case ModelKind::model:
        break;
    }
    try {
      auto files = open_model(path);
      // With a config the file is what the config says.
      return files.config.is_null() ? inspect_files(files) : inspect(files);
    } catch (const Error& error) {
      if (pickles.empty()) {
        throw;
      }
      auto plain = inspect_pickles(path, pickles);
      plain.unusual.push_back(error.finding());
      return plain;
    }
  }();
  bool told = report.kind == "vision-language" || report.kind == "pickle";
  if (!told) {
    report.kind = name(kind);
  }
  if (!told && kind == ModelKind::model && !report.components.empty()) {
    report.kind =
        report.architecture.ends_with(" adapter") ? "adapter" : "checkpoint";
  }
  report.pickles = std::move(pickles);
  for (const auto& file : report.pickles) {
    std::ranges::move(findings_of(file), std::back_inserter(report.unusual));
  }
  return report;
}

}  // namespace assay
