// Names, indexes and stray files: what the folder itself proves.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/diagnose/repairs.h"
#include "assay/formats/model_files.h"
#include "assay/formats/quote.h"
#include "assay/formats/safetensors.h"
#include "assay/formats/safetensors_index.h"
#include "assay/inspect/declared.h"

namespace assay::repair {
namespace fs = std::filesystem;

namespace {

// Names that readers look for; on a file system that tells cases apart another
// spelling is not found.
constexpr auto kNames = std::to_array<std::string_view>(
    {"config.json",
     "generation_config.json",
     "tokenizer.json",
     "tokenizer_config.json",
     "special_tokens_map.json",
     "added_tokens.json",
     "chat_template.jinja",
     "chat_template.json",
     "preprocessor_config.json",
     "processor_config.json",
     "scheduler_config.json",
     "model_index.json",
     "modules.json",
     "adapter_config.json",
     "adapter_model.safetensors",
     "adapters.safetensors",
     "model.safetensors",
     "model.safetensors.index.json",
     "diffusion_pytorch_model.safetensors",
     "diffusion_pytorch_model.safetensors.index.json"});

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

/** The one name that differs from `wanted` in case alone. */
std::optional<std::string> other_case(const std::vector<std::string>& names,
                                      std::string_view wanted) {
  std::optional<std::string> found;
  for (const auto& name : names) {
    if (name == wanted) {
      return std::nullopt;
    }
    if (lower(name) == lower(wanted)) {
      if (found) {
        return std::nullopt;  // two of them: either may be meant
      }
      found = name;
    }
  }
  return found;
}

void rename_in(Workbench& bench, const fs::path& folder) {
  auto names = bench.draft.files(folder);
  for (auto wanted : kNames) {
    if (auto found = other_case(names, wanted)) {
      bench.draft.rename(folder / *found,
                         folder / wanted,
                         fmt::format("readers look for {}", wanted));
      names = bench.draft.files(folder);
    }
  }
}

// Folders of components by the names in model_index.json.
void rename_components(Workbench& bench) {
  if (!bench.draft.exists("model_index.json")) {
    return;
  }
  auto index = bench.draft.json("model_index.json");
  for (const auto& [name, entry] : index.items()) {
    bool is_component =
        entry.is_array() && entry.size() == 2 && entry[1].is_string();
    if (!is_component || name.find_first_of("/\\") != std::string::npos) {
      continue;
    }
    if (auto found = other_case(bench.draft.folders(), name)) {
      bench.draft.rename(
          *found, name, fmt::format("model_index.json names it {}", name));
    }
  }
}

/** The tensors of some files of one folder. */
struct Shards {
  std::vector<std::string> files;
  std::map<std::string, std::string> holder;  ///< tensor to file
  uint64_t bytes = 0;
  std::string problem;  ///< why they are no whole set
};

// The number in "model-00001-of-00003.safetensors".
std::optional<int> shards_of(std::string_view name) {
  auto of = name.rfind("-of-");
  if (of == std::string_view::npos) {
    return std::nullopt;
  }
  int count = 0;
  for (auto c : name.substr(of + 4)) {
    if (c < '0' || c > '9' || count > 1'000'000) {
      break;
    }
    count = 10 * count + (c - '0');
  }
  return count;
}

Shards read_shards(const Draft& draft,
                   const fs::path& folder,
                   std::vector<std::string> files) {
  Shards shards;
  std::map<int, int> numbered;
  for (const auto& file : files) {
    if (auto count = shards_of(file)) {
      ++numbered[*count];
    }
    for (const auto& tensor :
         read_safetensors(draft.folder() / folder / file).tensors) {
      shards.bytes += tensor.bytes;
      auto [holder, fresh] = shards.holder.emplace(tensor.name, file);
      if (!fresh) {
        shards.problem = fmt::format("{} lies in {} and in {}",
                                     quote(tensor.name),
                                     quote(holder->second),
                                     quote(file));
      }
    }
  }
  for (auto [count, there] : numbered) {
    if (there != count) {
      shards.problem = fmt::format("{} of {} shards are there", there, count);
    }
  }
  shards.files = std::move(files);
  return shards;
}

std::string index_text(const Shards& shards, const Json& old) {
  Json json = Json::object();
  auto metadata =
      old.is_object() ? old.value("metadata", Json::object()) : Json::object();
  if (!metadata.is_object()) {
    metadata = Json::object();
  }
  metadata["total_size"] = shards.bytes;
  json["metadata"] = std::move(metadata);
  json["weight_map"] = shards.holder;
  return to_text(json);
}

/** One index and the shards that belong to it. */
class IndexRepair {
 public:
  IndexRepair(Workbench& bench, fs::path folder, std::string stem)
      : bench_(bench),
        folder_(std::move(folder)),
        stem_(std::move(stem)),
        index_(folder_ / (stem_ + ".safetensors.index.json")) {}

  void run() {
    if (bench_.draft.exists(index_)) {
      with_index();
    } else if (bench_.found("index.absent") && folder_.empty()) {
      without_index();
    }
  }

 private:
  void with_index() {
    std::optional<SafetensorsIndex> index;
    try {
      index = parse_safetensors_index(bench_.draft.text(index_),
                                      (bench_.draft.model() / index_).string());
    } catch (const Error& error) {
      if (error.finding().id == "index.unsafe-path") {
        throw;
      }
      rewrite("index.malformed", all_shards(), nullptr);
      return;
    }
    if (rename_shards(*index)) {
      return;  // the next round sees what they hold
    }
    std::vector<std::string> present;
    bool absent = false;
    for (const auto& shard : index->shards) {
      bool there = bench_.draft.exists(folder_ / shard);
      absent = absent || !there;
      if (there) {
        present.push_back(shard);
      }
    }
    if (absent) {
      replace_absent(*index);
    } else if (std::ranges::any_of(
                   std::to_array<const char*>({"index.stale-entry",
                                               "index.unlisted-tensor",
                                               "index.no-metadata",
                                               "index.total-size"}),
                   [&](const char* id) { return bench_.found(id); })) {
      rewrite("index.stale-entry", present, &*index);
    }
  }

  bool rename_shards(const SafetensorsIndex& index) {
    bool renamed = false;
    auto names = bench_.draft.files(folder_);
    for (const auto& shard : index.shards) {
      auto found = other_case(names, shard);
      if (found &&
          std::ranges::find(index.shards, *found) == index.shards.end()) {
        bench_.draft.rename(
            folder_ / *found, folder_ / shard, "the index names it so");
        renamed = true;
      }
    }
    return renamed;
  }

  // Files that the index names are not there: what is there may hold all the
  // same.
  void replace_absent(const SafetensorsIndex& index) {
    auto single = stem_ + ".safetensors";
    bool alone = bench_.draft.exists(folder_ / single);
    auto shards =
        read_shards(bench_.draft,
                    folder_,
                    alone ? std::vector<std::string>{single} : all_shards());
    for (const auto& [tensor, shard] : index.shard_of) {
      if (!shards.holder.contains(tensor)) {
        bench_.leave("index.missing-shard",
                     fmt::format("{} is in no file that is there: the shard "
                                 "must be fetched again",
                                 quote(tensor)));
        return;
      }
    }
    if (alone) {
      bench_.draft.drop(index_,
                        fmt::format("all of its tensors lie in {}", single));
    } else {
      rewrite("index.missing-shard", shards.files, &index);
    }
  }

  void rewrite(std::string_view id,
               std::vector<std::string> files,
               const SafetensorsIndex* old) {
    auto shards = read_shards(bench_.draft, folder_, std::move(files));
    auto lost = old == nullptr ? std::string() : lost_tensor(shards, *old);
    if (shards.problem.empty() && shards.holder.empty()) {
      shards.problem = "there are no shards";
    }
    if (!lost.empty()) {
      shards.problem = lost + " is in no shard: it must be fetched again";
    }
    if (!shards.problem.empty()) {
      for (auto one : {id,
                       std::string_view("index.stale-entry"),
                       std::string_view("index.unlisted-tensor")}) {
        bench_.leave(one, shards.problem);
      }
      return;
    }
    Json before;
    if (old != nullptr) {
      before = bench_.draft.json(index_);
    }
    bench_.draft.write(index_,
                       index_text(shards, before),
                       fmt::format("as the headers of {} shards list their {} "
                                   "tensors",
                                   shards.files.size(),
                                   shards.holder.size()));
  }

  // An entry without a tensor is stale only where nothing needs it.
  std::string lost_tensor(const Shards& shards,
                          const SafetensorsIndex& index) const {
    for (const auto& [tensor, shard] : index.shard_of) {
      if (!shards.holder.contains(tensor)) {
        return tree_is_whole() ? "" : quote(tensor);
      }
    }
    return "";
  }

  bool tree_is_whole() const {
    try {
      auto model = open_model(bench_.draft.folder());
      auto tree = arch::build_tree(model);
      return hold_against_tree(tree, model).missing.empty();
    } catch (const Error&) {
      return false;
    }
  }

  void without_index() {
    rewrite("index.absent", all_shards(), nullptr);
    if (!bench_.draft.exists(index_)) {
      auto shards = read_shards(bench_.draft, folder_, all_shards());
      bench_.leave("index.absent", shards.problem);
    }
  }

  std::vector<std::string> all_shards() const {
    std::vector<std::string> found;
    for (const auto& name : bench_.draft.files(folder_)) {
      if (name.starts_with(stem_) && name.ends_with(".safetensors") &&
          name != stem_ + ".safetensors") {
        found.push_back(name);
      }
    }
    return found;
  }

  Workbench& bench_;
  fs::path folder_;
  std::string stem_;
  fs::path index_;
};

bool same_bytes(const ModelFiles& a,
                const TensorInfo& x,
                const ModelFiles& b,
                const TensorInfo& y) {
  TensorData data_a(a);
  TensorData data_b(b);
  auto bytes_a = data_a.bytes(x);
  auto bytes_b = data_b.bytes(y);
  return bytes_a.size() == bytes_b.size() &&
         std::memcmp(bytes_a.data(), bytes_b.data(), bytes_a.size()) == 0;
}

// Empty where the model holds all of the file's tensors too.
std::string not_a_copy(const ModelFiles& model, const ModelFiles& stray) {
  for (const auto& tensor : stray.tensors) {
    const auto* own = model.find(tensor.name);
    if (own == nullptr) {
      return fmt::format("{} is not in the model", quote(tensor.name));
    }
    if (own->dtype != tensor.dtype || own->shape != tensor.shape ||
        !same_bytes(model, *own, stray, tensor)) {
      return fmt::format(
          "{} has other values there: which file is meant cannot be told",
          quote(tensor.name));
    }
  }
  return "";
}

}  // namespace

void file_names(Workbench& bench) {
  rename_components(bench);
  rename_in(bench, "");
  for (const auto& folder : bench.draft.folders()) {
    rename_in(bench, folder);
  }
}

void index(Workbench& bench) {
  IndexRepair(bench, "", "model").run();
  IndexRepair(bench, "", "diffusion_pytorch_model").run();
  for (const auto& folder : bench.draft.folders()) {
    IndexRepair(bench, folder, "model").run();
    IndexRepair(bench, folder, "diffusion_pytorch_model").run();
  }
}

void stray_files(Workbench& bench) {
  auto model = open_model(bench.draft.folder());
  for (const auto& name : bench.draft.files()) {
    auto path = bench.draft.folder() / name;
    bool belongs = std::ranges::find(model.files, path) != model.files.end();
    if (!name.ends_with(".safetensors") || belongs) {
      continue;
    }
    auto why = not_a_copy(model, open_model(path));
    if (why.empty()) {
      bench.draft.drop(name, "each of its tensors lies in the model too");
    } else {
      bench.leave("index.stray-file", fmt::format("{}: {}", name, why));
    }
  }
}

}  // namespace assay::repair
