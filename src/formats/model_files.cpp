#include "assay/formats/model_files.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/formats/quote.h"
#include "assay/formats/safetensors.h"
#include "assay/formats/safetensors_index.h"
#include "assay/formats/torch_tensors.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxSmallJson = 64u << 20;
constexpr uint64_t kMaxTemplate = 16u << 20;

/** How a format that is sharded by an index names its files. */
struct Naming {
  Container container;
  std::string_view single;
  std::string_view index;
  std::string_view prefix;  ///< of shards
};

constexpr Naming kSafetensors = {Container::safetensors,
                                 "model.safetensors",
                                 "model.safetensors.index.json",
                                 "model"};
constexpr Naming kTorch = {Container::torch,
                           "pytorch_model.bin",
                           "pytorch_model.bin.index.json",
                           "pytorch_model"};

/** File names of a folder by what they hold, each sorted. */
struct Listing {
  std::vector<std::string> safetensors;
  std::vector<std::string> gguf;
  std::vector<std::string> torch;
  std::vector<std::string> other_weights;  ///< formats that are not read here
};

bool is_torch_name(const fs::path& path) {
  auto suffix = path.extension().string();
  return suffix == ".bin" || suffix == ".pt" || suffix == ".pth" ||
         suffix == ".ckpt";
}

bool is_training_state(std::string_view name) {
  return name == "training_args.bin" || name == "optimizer.bin" ||
         name == "optimizer.pt" || name == "scheduler.pt" ||
         name == "scheduler.bin" || name == "scaler.pt" ||
         name.starts_with("rng_state") || name.starts_with("random_states");
}

Listing list_folder(const fs::path& folder) {
  Listing listing;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    auto name = entry->path().filename().string();
    auto suffix = entry->path().extension().string();
    if (name.starts_with('.') || entry->is_directory(error)) {
      continue;
    }
    if (suffix == ".safetensors") {
      listing.safetensors.push_back(name);
    } else if (suffix == ".gguf") {
      listing.gguf.push_back(name);
    } else if (is_torch_name(entry->path())) {
      // Of what a trainer leaves behind nothing is weights.
      if (!is_training_state(name)) {
        listing.torch.push_back(name);
      }
    } else if (suffix == ".onnx" || suffix == ".npz" || suffix == ".h5" ||
               suffix == ".msgpack") {
      listing.other_weights.push_back(name);
    }
  }
  if (error) {
    fail("file.unreadable",
         folder.string(),
         "a folder that can be read",
         error.message());
  }
  std::ranges::sort(listing.safetensors);
  std::ranges::sort(listing.gguf);
  std::ranges::sort(listing.torch);
  std::ranges::sort(listing.other_weights);
  return listing;
}

/** "a, b, c and 7 more". */
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) {
    shown.push_back(quote(names[i]));
  }
  auto text = fmt::format("{}", fmt::join(shown, ", "));
  return names.size() > kShown
             ? fmt::format("{} and {} more", text, names.size() - kShown)
             : text;
}

void report(ModelFiles& model,
            std::string_view id,
            const fs::path& where,
            std::string expected,
            const std::vector<std::string>& found) {
  if (!found.empty()) {
    model.findings.push_back(
        make_finding(id, where.string(), std::move(expected), some_of(found)));
  }
}

// Appends the tensors of one file, which the model then knows by number.
void add_file(ModelFiles& model,
              const fs::path& path,
              std::vector<TensorInfo> tensors) {
  auto number = static_cast<uint32_t>(model.files.size());
  model.files.push_back(path);
  for (auto& tensor : tensors) {
    tensor.file = number;
    model.tensors.push_back(std::move(tensor));
  }
}

void add_safetensors(ModelFiles& model, const fs::path& path) {
  auto header = read_safetensors(path);
  if (model.files.empty()) {
    model.safetensors_metadata = std::move(header.metadata);
  }
  add_file(model, path, std::move(header.tensors));
}

void add_torch(ModelFiles& model, const fs::path& path) {
  auto file = read_torch(path);
  std::ranges::move(file.findings, std::back_inserter(model.findings));
  add_file(model, path, std::move(file.tensors));
}

void add_weights(ModelFiles& model, const fs::path& path) {
  if (model.container == Container::torch) {
    add_torch(model, path);
  } else {
    add_safetensors(model, path);
  }
}

// One name, one tensor: of two holders the one that the index names stays,
// otherwise the first.
void drop_duplicates(ModelFiles& model, const SafetensorsIndex* index) {
  std::unordered_map<std::string_view, size_t> holders;
  std::vector<bool> dropped(model.tensors.size());
  std::vector<std::string> names;
  auto listed_here = [&](const TensorInfo& tensor) {
    if (index == nullptr) {
      return false;
    }
    auto entry = index->shard_of.find(tensor.name);
    return entry != index->shard_of.end() &&
           model.path / index->shards[entry->second] ==
               model.files[tensor.file];
  };
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    auto [holder, fresh] = holders.emplace(model.tensors[i].name, i);
    if (fresh) {
      continue;
    }
    names.push_back(model.tensors[i].name);
    if (listed_here(model.tensors[i])) {
      dropped[holder->second] = true;
      holder->second = i;
    } else {
      dropped[i] = true;
    }
  }
  if (names.empty()) {
    return;
  }
  report(model,
         "index.duplicate-tensor",
         model.path,
         "each tensor in one file",
         names);
  std::vector<TensorInfo> kept;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (!dropped[i]) {
      kept.push_back(std::move(model.tensors[i]));
    }
  }
  model.tensors = std::move(kept);
}

// What the index says against what the shards hold, one finding a shard.
void compare_with_index(ModelFiles& model,
                        const fs::path& index_path,
                        const SafetensorsIndex& index) {
  std::map<fs::path, std::vector<std::string>> unlisted;
  std::unordered_map<std::string_view, std::set<fs::path>> holders;
  for (const auto& tensor : model.tensors) {
    const auto& file = model.files[tensor.file];
    holders[tensor.name].insert(file);
    if (!index.shard_of.contains(tensor.name)) {
      unlisted[file].push_back(tensor.name);
    }
  }
  for (const auto& [file, names] : unlisted) {
    report(model,
           "index.unlisted-tensor",
           file,
           "only tensors that the index lists",
           names);
  }
  std::map<fs::path, std::vector<std::string>> stale;
  for (const auto& [name, shard] : index.shard_of) {
    auto file = model.path / index.shards[shard];
    bool opened = std::ranges::find(model.files, file) != model.files.end();
    auto holder = holders.find(name);
    if (opened && (holder == holders.end() || !holder->second.contains(file))) {
      stale[file].push_back(name);
    }
  }
  for (auto& [file, names] : stale) {
    std::ranges::sort(names);
    report(model,
           "index.stale-entry",
           index_path,
           fmt::format("in {} the tensors listed for it",
                       file.filename().string()),
           names);
  }
}

// Only where each tensor that the index lists is there once: otherwise another
// finding says what is wrong.
void compare_sizes(ModelFiles& model,
                   const fs::path& index_path,
                   const SafetensorsIndex& index,
                   size_t findings_before) {
  uint64_t in_tensors = 0;
  uint64_t in_files = 0;
  for (const auto& tensor : model.tensors) {
    in_tensors += tensor.bytes;
  }
  for (const auto& file : model.files) {
    in_files += fs::file_size(file);
  }
  bool whole = model.findings.size() == findings_before &&
               model.container == Container::safetensors;
  for (auto& finding :
       hold_metadata(index, index_path.string(), in_tensors, in_files)) {
    if (whole || finding.id != "index.total-size") {
      model.findings.push_back(std::move(finding));
    }
  }
}

void open_sharded(ModelFiles& model,
                  const Naming& naming,
                  const std::vector<std::string>& files) {
  auto index_path = model.path / naming.index;
  auto index =
      parse_safetensors_index(read_text(index_path), index_path.string());
  auto before = model.findings.size();
  for (const auto& shard : index.shards) {
    auto path = model.path / shard;
    if (fs::exists(path)) {
      add_weights(model, path);
    } else {
      model.findings.push_back(make_finding("index.missing-shard",
                                            path.string(),
                                            "the shard that the index names",
                                            "no such file"));
    }
  }
  if (model.files.empty()) {
    fail("index.missing-shard",
         index_path.string(),
         fmt::format("{} shards", index.shards.size()),
         "none of them in the folder");
  }
  std::vector<std::string> stray;
  for (const auto& name : files) {
    if (std::ranges::find(index.shards, name) == index.shards.end()) {
      stray.push_back(name);
    }
  }
  report(model,
         "index.stray-file",
         model.path,
         "only the shards of the index",
         stray);
  compare_with_index(model, index_path, index);
  drop_duplicates(model, &index);
  compare_sizes(model, index_path, index, before);
}

// "model-00002-of-00003.safetensors" without its kin: the first that is not
// there.
std::optional<std::string> other_part(const std::vector<std::string>& chosen) {
  constexpr std::string_view kEnd = "-of-00000.safetensors";
  constexpr size_t kDigits = 5;
  for (const auto& name : chosen) {
    auto of = name.rfind("-of-");
    if (of == std::string::npos || of < kDigits ||
        name.size() - of != kEnd.size()) {
      continue;
    }
    int count = 0;
    const char* digits = name.data() + of + 4;
    if (std::from_chars(digits, digits + kDigits, count).ptr !=
        digits + kDigits) {
      continue;
    }
    for (int i = 1; i <= count; ++i) {
      auto part = fmt::format(
          "{}{:05}{}", name.substr(0, of - kDigits), i, name.substr(of));
      if (std::ranges::find(chosen, part) == chosen.end()) {
        return part;
      }
    }
  }
  return std::nullopt;
}

// No index: model.safetensors, or all of model*.safetensors (as mlx-lm reads
// them), or the one file there is; PyTorch's likewise.
void open_unindexed(ModelFiles& model,
                    const Naming& naming,
                    const std::vector<std::string>& files) {
  std::vector<std::string> chosen;
  std::vector<std::string> stray;
  bool single = std::ranges::find(files, naming.single) != files.end();
  for (const auto& name : files) {
    bool wanted = single ? name == naming.single
                         : name.starts_with(naming.prefix) || files.size() == 1;
    (wanted ? chosen : stray).push_back(name);
  }
  if (chosen.empty()) {
    fail("model.ambiguous",
         model.path.string(),
         fmt::format(
             "{}, or {}-* with their index", naming.single, naming.prefix),
         some_of(files));
  }
  for (const auto& name : chosen) {
    add_weights(model, model.path / name);
  }
  if (chosen.size() > 1) {
    report(model,
           "index.absent",
           model.path / naming.index,
           fmt::format("an index of the {} shards", chosen.size()),
           chosen);
  }
  if (auto other = other_part(chosen)) {
    model.findings.push_back(make_finding("index.missing-shard",
                                          (model.path / *other).string(),
                                          "the other parts, and their index",
                                          "no such file"));
  }
  report(model, "index.stray-file", model.path, "one set of weights", stray);
  drop_duplicates(model, nullptr);
}

void open_gguf(ModelFiles& model, const fs::path& path) {
  model.container = Container::gguf;
  auto parts = read_gguf_parts(path);
  model.gguf = std::move(parts[0].header.metadata);
  model.big_endian = parts[0].header.big_endian;
  for (auto& part : parts) {
    auto size = fs::file_size(part.path);
    if (size > part.header.data_end) {
      model.findings.push_back(make_finding(
          "gguf.trailing-data",
          fmt::format("{}: byte {}", part.path.string(), part.header.data_end),
          "the end of the file after the last tensor",
          fmt::format("{} more bytes", size - part.header.data_end)));
    }
    add_file(model, part.path, std::move(part.header.tensors));
  }
  if (!model.gguf->find("general.architecture")) {
    model.findings.push_back(make_finding("gguf.no-architecture",
                                          model.files[0].string(),
                                          "key 'general.architecture'",
                                          "no such key"));
  }
  if (auto text = model.gguf->text("tokenizer.chat_template")) {
    model.chat_template = *text;
  }
}

// The GGUF of a folder: one file, or the parts of one.
fs::path choose_gguf(ModelFiles& model, const Listing& listing) {
  std::vector<std::string> models;
  std::vector<std::string> projectors;
  for (const auto& name : listing.gguf) {
    (name.starts_with("mmproj") ? projectors : models).push_back(name);
  }
  if (models.empty()) {
    std::swap(models, projectors);
  }
  report(model, "model.not-read", model.path, "one GGUF", projectors);
  if (models.size() > 1) {
    auto parts = gguf_parts(model.path / models[0]);
    for (const auto& name : models) {
      if (std::ranges::find(parts, model.path / name) == parts.end()) {
        fail("model.ambiguous",
             model.path.string(),
             "one GGUF, or the parts of one",
             some_of(models));
      }
    }
  }
  return model.path / models[0];
}

Json read_json(const fs::path& path) {
  return fs::exists(path)
             ? parse_json(read_text(path, kMaxSmallJson), path.string())
             : Json();
}

// "chat_template" is one text, or a list of {"name", "template"}.
std::string template_in(ModelFiles& model,
                        const Json& document,
                        const fs::path& path) {
  if (!document.is_object() || !document.contains("chat_template")) {
    return "";
  }
  const auto& value = document["chat_template"];
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_array()) {
    for (const auto& named : value) {
      if (named.is_object() && named.value("name", Json()) == "default" &&
          named.value("template", Json()).is_string()) {
        return named["template"].get<std::string>();
      }
    }
  }
  if (!value.is_null()) {
    model.findings.push_back(
        make_finding("template.unusable",
                     fmt::format("{}: chat_template", path.string()),
                     "a text, or a list with one named 'default'",
                     value.is_array() ? "a list without it"
                                      : std::string(value.type_name())));
  }
  return "";
}

void read_documents(ModelFiles& model) {
  const auto& folder = model.path;
  model.config = read_json(folder / "config.json");
  model.generation_config = read_json(folder / "generation_config.json");
  model.tokenizer_config = read_json(folder / "tokenizer_config.json");
  if (fs::exists(folder / "tokenizer.json")) {
    model.tokenizer_json = folder / "tokenizer.json";
  }
  std::string text;
  if (fs::exists(folder / "chat_template.jinja")) {
    text = read_text(folder / "chat_template.jinja", kMaxTemplate);
  }
  if (text.empty()) {
    text = template_in(
        model, model.tokenizer_config, folder / "tokenizer_config.json");
  }
  if (text.empty()) {
    auto path = folder / "chat_template.json";
    text = template_in(model, read_json(path), path);
  }
  if (!text.empty()) {
    model.chat_template = std::move(text);
  }
}

void open_named(ModelFiles& model,
                const Naming& naming,
                const std::vector<std::string>& files) {
  model.container = naming.container;
  if (fs::exists(model.path / naming.index)) {
    open_sharded(model, naming, files);
  } else {
    open_unindexed(model, naming, files);
  }
}

void open_folder(ModelFiles& model) {
  auto listing = list_folder(model.path);
  if (!listing.safetensors.empty() ||
      fs::exists(model.path / kSafetensors.index)) {
    open_named(model, kSafetensors, listing.safetensors);
  } else if (!listing.gguf.empty()) {
    open_gguf(model, choose_gguf(model, listing));
  } else if (!listing.torch.empty() || fs::exists(model.path / kTorch.index)) {
    open_named(model, kTorch, listing.torch);
  } else {
    fail("model.no-weights",
         model.path.string(),
         "*.safetensors, *.gguf or PyTorch's *.bin",
         listing.other_weights.empty() ? "neither"
                                       : some_of(listing.other_weights));
  }
  if (model.container == Container::safetensors) {
    report(model,
           "model.not-read",
           model.path,
           "one format of weights: the safetensors are read",
           listing.gguf);
  }
  if (model.container != Container::torch) {
    std::ranges::copy(listing.torch, std::back_inserter(listing.other_weights));
  }
  report(model,
         "model.not-read",
         model.path,
         "one format of weights",
         listing.other_weights);
  read_documents(model);
}

}  // namespace

std::string_view name(Container container) {
  switch (container) {
    case Container::safetensors:
      return "safetensors";
    case Container::gguf:
      return "GGUF";
    case Container::torch:
      return "PyTorch";
  }
  return "";
}

ModelFiles open_model(const fs::path& path) {
  ModelFiles model;
  model.path = path;
  if (fs::is_directory(path)) {
    open_folder(model);
  } else if (!fs::exists(path)) {
    fail("file.unreadable", path.string(), "a file or folder", "none there");
  } else if (path.extension() == ".gguf") {
    open_gguf(model, path);
  } else if (path.extension() == ".safetensors") {
    add_safetensors(model, path);
  } else if (is_torch_name(path)) {
    model.container = Container::torch;
    add_torch(model, path);
  } else {
    fail("model.unknown-format",
         path.string(),
         "a folder, a .gguf, a .safetensors file or PyTorch's .bin, .pt, "
         ".pth or .ckpt",
         quote(path.filename().string()));
  }
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    model.by_name.emplace(model.tensors[i].name, i);
  }
  return model;
}

const TensorInfo* ModelFiles::find(std::string_view tensor) const {
  auto entry = by_name.find(tensor);
  return entry == by_name.end() ? nullptr : &tensors[entry->second];
}

}  // namespace assay
