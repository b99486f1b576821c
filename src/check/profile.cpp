#include "assay/check/profile.h"

#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>

#include "assay/arch/architecture.h"
#include "assay/core/file.h"
#include "assay/formats/adapter.h"
#include "assay/formats/component_weights.h"
#include "assay/formats/model_files.h"
#include "assay/formats/model_kind.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxProfile = 16u << 20;
constexpr size_t kMaxFolders = 64;
constexpr int kVersion = 1;

constexpr std::array kDocuments = {"model_index.json",
                                   "config.json",
                                   "generation_config.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "preprocessor_config.json",
                                   "processor_config.json",
                                   "video_preprocessor_config.json",
                                   "scheduler_config.json",
                                   "adapter_config.json",
                                   "modules.json",
                                   "sentence_bert_config.json",
                                   "config_sentence_transformers.json"};

// Python writes infinities as bare words, which JSON has not.
Json parse_lenient(std::string text, const std::string& where) {
  for (std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
    auto from = fmt::format(": {}", word);
    for (auto at = text.find(from); at != text.npos; at = text.find(from, at)) {
      text.replace(at, from.size(), ": null");
    }
  }
  return parse_json(text, where);
}

// As stored profiles have it.
std::string container_name(Container container) {
  return container == Container::gguf ? "gguf" : std::string(name(container));
}

// Tensors that are the same bytes of one file, each with the first name of
// its kin. A safetensors file has none: ranges there do not overlap.
std::map<std::string, std::string> same_storage(
    const std::vector<TensorInfo>& tensors) {
  using Place = std::tuple<uint32_t, uint64_t, uint64_t, uint64_t>;
  std::map<Place, std::vector<std::string>> places;
  for (const auto& tensor : tensors) {
    if (tensor.bytes > 0) {
      auto packed = tensor.packed ? tensor.packed->offset + 1 : 0;
      places[{tensor.file, packed, tensor.offset, tensor.bytes}].push_back(
          tensor.name);
    }
  }
  std::map<std::string, std::string> first_of;
  for (const auto& [place, names] : places) {
    for (const auto& one : names) {
      if (names.size() > 1) {
        first_of[one] = *std::ranges::min_element(names);
      }
    }
  }
  return first_of;
}

class Reader {
 public:
  explicit Reader(const fs::path& path) { profile_.source = path.string(); }

  void folder(const fs::path& folder, const std::string& prefix) {
    for (const auto* name : kDocuments) {
      auto file = folder / name;
      std::error_code error;
      if (fs::is_regular_file(file, error)) {
        keep([&] {
          profile_.documents[prefix + name] =
              parse_lenient(read_text(file, kMaxProfile), file.string());
        });
      }
    }
    auto tokenizer = folder / "tokenizer.json";
    std::error_code error;
    if (fs::is_regular_file(tokenizer, error)) {
      keep([&] {
        auto mapped = MappedFile(tokenizer);
        profile_.tokenizers[prefix + "tokenizer.json"] =
            tokenizer_facts(mapped.text(), tokenizer.string());
      });
    }
  }

  void tensors(const std::vector<TensorInfo>& tensors,
               const std::string& prefix) {
    auto& kept = profile_.tensors[prefix];
    for (const auto& tensor : tensors) {
      kept[tensor.name] = {tensor.dtype, tensor.shape};
    }
    for (const auto& [tensor, first] : same_storage(tensors)) {
      kept[tensor].same_as = first;
    }
  }

  // A component of a pipeline, or a module of sentence-transformers.
  void component_weights(const fs::path& folder, const std::string& prefix) {
    keep([&] {
      auto chosen = component_files(folder);
      auto found = component_tensors(chosen, profile_.findings);
      if (!chosen.files.empty()) {
        tensors(found, prefix);
        profile_.container = container_name(chosen.container);
      }
    });
  }

  void model(const fs::path& path) {
    keep([&] {
      auto files = open_model(path);
      bool gguf = files.container == Container::gguf;
      profile_.container = container_name(files.container);
      profile_.chat_template = files.chat_template;
      tensors(files.tensors, "");
      if (gguf && !profile_.documents.contains("config.json")) {
        keep([&] {
          profile_.documents["config.json"] = arch::config_of(files);
        });
      }
      if (gguf && profile_.tokenizers.empty()) {
        keep([&] {
          auto text = tokenizer_json_from_gguf(*files.gguf, path.string());
          profile_.tokenizers["tokenizer.json"] =
              tokenizer_facts(text, path.string());
        });
      }
    });
  }

  // Of the folder itself.
  void weights(const fs::path& path, ModelKind kind) {
    std::error_code error;
    switch (kind) {
      case ModelKind::component:
      case ModelKind::scheduler:
        return component_weights(path, "");
      case ModelKind::adapter:
        return keep([&] {
          auto adapter = open_adapter(path);
          tensors(adapter.files.tensors, "");
          profile_.container = container_name(adapter.files.container);
        });
      case ModelKind::pipeline:
        return;
      case ModelKind::embedding:
        // The encoder may lie in a folder of its own.
        if (!fs::exists(path / "config.json", error)) {
          return;
        }
        break;
      case ModelKind::onnx:
      case ModelKind::model:
        break;
    }
    model(path);
  }

  Profile finish() {
    std::erase_if(profile_.documents, [](const auto& document) {
      return !document.second.is_object() && !document.second.is_array();
    });
    for (auto& [path, document] : profile_.documents) {
      if (path.ends_with("tokenizer_config.json") && document.is_object()) {
        // Kept apart; and what tokenizer.json says too.
        document.erase("chat_template");
        document.erase("added_tokens_decoder");
      }
    }
    return std::move(profile_);
  }

 private:
  template <typename Body>
  void keep(const Body& body) {
    try {
      body();
    } catch (const Error& error) {
      profile_.findings.push_back(error.finding());
    }
  }

  Profile profile_;
};

std::vector<fs::path> folders_of(const fs::path& path) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    auto name = entry->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with('.') && entry->is_directory(ignored)) {
      folders.push_back(entry->path());
    }
  }
  std::ranges::sort(folders);
  folders.resize(std::min(folders.size(), kMaxFolders));
  return folders;
}

[[noreturn]] void malformed(const std::string& where, std::string actual) {
  fail("profile.malformed",
       where,
       "what assay check --save-profile writes",
       std::move(actual));
}

const Json& object_in(const Json& json,
                      const char* name,
                      const std::string& where) {
  if (!json.is_object() || !json.contains(name) || !json[name].is_object()) {
    malformed(where, fmt::format("no object '{}'", name));
  }
  return json[name];
}

ProfileTensor tensor_from(const Json& json, const std::string& where) {
  bool pair = json.is_array() && (json.size() == 2 || json.size() == 3) &&
              json[0].is_string() && json[1].is_array() &&
              (json.size() == 2 || json[2].is_string()) &&
              std::ranges::all_of(json[1], [](const Json& dimension) {
                return dimension.is_number_integer();
              });
  auto dtype = pair ? dtype_from_name(json[0].get_ref<const std::string&>())
                    : std::nullopt;
  if (!dtype) {
    malformed(where, "a tensor without a type and a shape");
  }
  return {*dtype,
          json[1].get<Shape>(),
          json.size() == 3 ? json[2].get<std::string>() : ""};
}

}  // namespace

Profile profile_of(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    fail("file.unreadable", path.string(), "a file or folder", "none there");
  }
  auto reader = Reader(path);
  if (!fs::is_directory(path, error)) {
    reader.model(path);
    return reader.finish();
  }
  reader.folder(path, "");
  auto kind = kind_of(path);
  bool parts = kind == ModelKind::pipeline || kind == ModelKind::embedding;
  for (const auto& folder : folders_of(path)) {
    auto prefix = folder.filename().string() + "/";
    reader.folder(folder, prefix);
    if (parts) {
      reader.component_weights(folder, prefix);
    }
  }
  reader.weights(path, kind);
  return reader.finish();
}

Profile open_profile(const fs::path& path) {
  std::error_code error;
  if (path.extension() == ".json" && fs::is_regular_file(path, error)) {
    return profile_from_json(parse_json(read_text(path), path.string()),
                             path.string());
  }
  return profile_of(path);
}

Json to_json(const Profile& profile) {
  Json json = {{"assay_profile", kVersion},
               {"source", profile.source},
               {"container", profile.container},
               {"documents", profile.documents},
               {"tokenizers", profile.tokenizers},
               {"chat_template", profile.chat_template},
               {"tensors", Json::object()}};
  for (const auto& [prefix, tensors] : profile.tensors) {
    Json all = Json::object();
    for (const auto& [tensor, facts] : tensors) {
      all[tensor] = {name(facts.dtype), facts.shape};
      if (!facts.same_as.empty()) {
        all[tensor].push_back(facts.same_as);
      }
    }
    json["tensors"][prefix] = std::move(all);
  }
  return json;
}

Profile profile_from_json(const Json& json, const std::string& where) {
  if (!json.is_object() || json.value("assay_profile", Json()) != kVersion) {
    malformed(where, fmt::format("no \"assay_profile\": {}", kVersion));
  }
  auto text = [&](const char* field) {
    auto value = json.value(field, Json());
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  Profile profile;
  profile.source = text("source");
  profile.container = text("container");
  profile.chat_template = text("chat_template");
  for (const auto& [path, document] :
       object_in(json, "documents", where).items()) {
    profile.documents[path] = document;
  }
  for (const auto& [path, facts] :
       object_in(json, "tokenizers", where).items()) {
    profile.tokenizers[path] = facts;
  }
  const auto& folders = object_in(json, "tensors", where);
  for (const auto& [prefix, tensors] : folders.items()) {
    for (const auto& [tensor, facts] :
         object_in(folders, prefix.c_str(), where).items()) {
      profile.tensors[prefix][tensor] =
          tensor_from(facts, fmt::format("{}: {}", where, tensor));
    }
  }
  return profile;
}

}  // namespace assay
