// Settings of a quantization that the stored shapes prove, and the type that
// the weights are stored in. Every setting that could be meant is tried; the
// rules say which of them the tensors follow.

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/language_rules.h"
#include "assay/check/rules.h"
#include "assay/core/quantization.h"
#include "assay/diagnose/repairs.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/declared.h"

namespace assay::repair {
namespace {

constexpr auto kQuantizedDocument = "config.json";
using Path = std::vector<std::string>;

constexpr auto kIds =
    std::to_array<std::string_view>({"quantization.unused",
                                     "quantization.undeclared",
                                     "quantization.wrong-bits",
                                     "quantization.wrong-group",
                                     "quantization.wrong-method"});

void leave_all(Workbench& bench, const std::string& why) {
  for (auto id : kIds) {
    bench.leave(id, why);
  }
}

std::vector<Quantization> all_settings() {
  std::vector<Quantization> all = {
      {32, 4, "mxfp4"}, {32, 8, "mxfp8"}, {16, 4, "nvfp4"}};
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    for (int group : {32, 64, 128}) {
      all.push_back({group, bits, "affine"});
    }
  }
  return all;
}

/** What MLX's rules find with a config; nothing where it cannot be read. */
std::optional<size_t> defects(const ModelFiles& model, const Json& config) {
  try {
    auto where = model.path.string();
    auto tree = arch::build_tree(config, where);
    auto declared = hold_against_tree(tree, model);
    size_t count = declared.missing.size() + declared.unexpected.size();
    for (const auto& finding : declared.findings) {
      count += finding.severity == Severity::error ? 1 : 0;
    }
    count += rules::quantization(tree, declared, where).size();
    count += rules::mlx_quantization(tree, declared, where).size();
    return count;
  } catch (const Error&) {
    return std::nullopt;
  }
}

/** The names under which a config has MLX's block; mlx-lm writes both. */
std::vector<std::string> block_names(const Json& config) {
  std::vector<std::string> names;
  for (const auto* name : {"quantization", "quantization_config"}) {
    auto block = config.value(name, Json());
    if (block.is_object() && !block.contains("quant_method")) {
      names.emplace_back(name);
    }
  }
  return names;
}

Json with_setting(Json config,
                  const std::vector<std::string>& names,
                  const Quantization& setting) {
  for (const auto& name : names) {
    auto& block = config[name];
    block["group_size"] = setting.group_size;
    block["bits"] = setting.bits;
    if (setting.mode != "affine" || block.contains("mode")) {
      block["mode"] = setting.mode;
    }
  }
  return config;
}

void set_fields(Workbench& bench,
                const Json& before,
                const Json& after,
                const std::string& name,
                const std::string& why) {
  auto block = before.value(name, Json());
  if (!block.is_object()) {
    bench.draft.set(kQuantizedDocument, Path{name}, after.at(name), why);
    return;
  }
  for (const auto& [field, value] : after.at(name).items()) {
    if (block.value(field, Json()) != value) {
      bench.draft.set(kQuantizedDocument, Path{name, field}, value, why);
    }
  }
}

void mlx_block(Workbench& bench, const ModelFiles& model) {
  const auto& config = model.config;
  auto names = block_names(config);
  if (!names.empty()) {
    auto bare = config;
    for (const auto& name : names) {
      bare.erase(name);
    }
    if (defects(model, bare) == 0) {
      for (const auto& name : names) {
        bench.draft.remove(kQuantizedDocument,
                           Path{name},
                           "every tensor is as declared without the block");
      }
      return;
    }
  } else {
    names = {"quantization"};
  }
  std::vector<Quantization> fitting;
  for (const auto& setting : all_settings()) {
    if (defects(model, with_setting(config, names, setting)) == 0) {
      fitting.push_back(setting);
    }
  }
  if (fitting.size() != 1) {
    leave_all(bench,
              fitting.empty()
                  ? "no single setting of MLX makes all stored shapes fit"
                  : "several settings make all stored shapes fit");
    return;
  }
  const auto& setting = fitting.front();
  auto changed = with_setting(config, names, setting);
  for (const auto& name : names) {
    set_fields(bench,
               config,
               changed,
               name,
               fmt::format("{} {} bits in groups of {}: the one setting that "
                           "all stored shapes fit",
                           setting.mode,
                           setting.bits,
                           setting.group_size));
  }
}

// Blocks of other libraries: one field at a time.

struct Field {
  Path path;
  std::vector<Json> values;
};

constexpr int kMaxDepth = 5;

/** The fields of a block that shapes can prove, with what they could be. */
void collect(const Json& block,
             const Path& path,
             std::vector<Field>& fields,
             int depth) {
  if (!block.is_object() || depth > kMaxDepth) {
    return;
  }
  for (const auto& [key, value] : block.items()) {
    auto own = path;
    own.push_back(key);
    if (key == "bits" || key == "num_bits") {
      fields.push_back({own, {2, 3, 4, 5, 6, 8}});
    } else if (key == "group_size" || key == "q_group_size") {
      fields.push_back({own, {-1, 16, 32, 64, 128, 256, 512, 1024}});
    } else if (key == "weight_block_size") {
      Field field{own, {}};
      for (int rows : {1, 16, 32, 64, 128, 256}) {
        for (int columns : {16, 32, 64, 128, 256}) {
          field.values.push_back({rows, columns});
        }
      }
      fields.push_back(std::move(field));
    } else if (key == "quant_method") {
      fields.push_back({own, {"gptq", "awq"}});
    } else if (key == "bnb_4bit_quant_type") {
      fields.push_back({own, {"nf4", "fp4"}});
    } else {
      collect(value, own, fields, depth + 1);
    }
  }
}

size_t foreign_defects(const ModelFiles& model, const Json& config) {
  std::optional<arch::Tree> tree;
  try {
    auto plain = config;
    plain.erase("quantization_config");
    tree.emplace(arch::build_tree(plain, model.path.string()));
  } catch (const Error&) {
    tree.reset();  // the shapes alone must do
  }
  auto found =
      rules::foreign_quantization(model, config, tree ? &*tree : nullptr);
  return !found ? 0
                : static_cast<size_t>(std::ranges::count_if(
                      found->findings, [](const Finding& finding) {
                        return finding.id != "quantization.unsupported";
                      }));
}

Json changed_at(Json config, const Path& path, const Json& value) {
  auto* place = &config;
  for (const auto& key : path) {
    place = &(*place)[key];
  }
  *place = value;
  return config;
}

/** bitsandbytes has two switches of which one holds. */
std::optional<Json> other_width(const Json& config, const std::string& name) {
  auto changed = config;
  auto& block = changed[name];
  bool any = false;
  for (const auto* prefix : {"", "_"}) {
    auto four = fmt::format("{}load_in_4bit", prefix);
    auto eight = fmt::format("{}load_in_8bit", prefix);
    if (block.contains(four) && block.contains(eight)) {
      std::swap(block[four], block[eight]);
      any = true;
    }
  }
  return any ? std::optional(changed) : std::nullopt;
}

void foreign_block(Workbench& bench, const ModelFiles& model) {
  constexpr auto kName = "quantization_config";
  const auto& config = model.config;
  if (!config.contains(kName)) {
    leave_all(bench,
              "the settings of another library are more than shapes prove");
    return;
  }
  auto before = foreign_defects(model, config);
  struct Fit {
    Json config;
    std::string what;
    size_t left;
  };
  std::vector<Fit> fitting;
  auto consider = [&](Json changed, std::string what) {
    auto left = foreign_defects(model, changed);
    if (left >= before) {
      return;
    }
    std::erase_if(fitting, [&](const Fit& one) { return one.left > left; });
    if (fitting.empty() || fitting.front().left == left) {
      fitting.push_back({std::move(changed), std::move(what), left});
    }
  };
  std::vector<Field> fields;
  collect(config[kName], {kName}, fields, 0);
  for (const auto& field : fields) {
    for (const auto& value : field.values) {
      consider(changed_at(config, field.path, value),
               fmt::format("{} {}", fmt::join(field.path, "."), value.dump()));
    }
  }
  if (auto other = other_width(config, kName)) {
    consider(*other, "the other of load_in_4bit and load_in_8bit");
  }
  if (fitting.size() != 1) {
    leave_all(bench,
              fitting.empty() ? "no single setting makes the stored shapes fit"
                              : fmt::format("{} fits as well as {}",
                                            fitting[0].what,
                                            fitting[1].what));
    return;
  }
  auto why = fmt::format("{}: the one that all stored shapes fit",
                         fitting.front().what);
  for (const auto& field : fields) {
    auto pointer =
        Json::json_pointer(fmt::format("/{}", fmt::join(field.path, "/")));
    const auto& value = fitting.front().config.at(pointer);
    if (value != config.at(pointer)) {
      bench.draft.set(kQuantizedDocument, field.path, value, why);
    }
  }
  for (const auto& [key, value] : fitting.front().config[kName].items()) {
    if (key.find("load_in_") != std::string::npos &&
        value != config[kName].value(key, Json())) {
      bench.draft.set(kQuantizedDocument, Path{kName, key}, value, why);
    }
  }
}

bool is_foreign(const Json& config) {
  for (const auto* name : {"quantization_config", "compression_config"}) {
    auto block = config.value(name, Json());
    if (block.is_object() && block.contains("quant_method")) {
      return true;
    }
  }
  return false;
}

}  // namespace

void quantization(Workbench& bench) {
  auto model = open_model(bench.draft.folder());
  if (model.container != Container::safetensors || !model.config.is_object()) {
    leave_all(bench, "its settings lie inside the file of weights");
  } else if (is_foreign(model.config)) {
    foreign_block(bench, model);
  } else {
    mlx_block(bench, model);
  }
}

void stored_type(Workbench& bench) {
  auto model = open_model(bench.draft.folder());
  auto found = rules::most_stored(model);
  if (!found || !model.config.is_object()) {
    return;
  }
  // transformers 5 writes "dtype", 4 "torch_dtype".
  const char* field =
      model.config.contains("dtype") || model.config.contains("rope_parameters")
          ? "dtype"
          : "torch_dtype";
  std::string prefix =
      model.config.value(field, Json("")).dump().starts_with("\"torch.")
          ? "torch."
          : "";
  bench.draft.set(kQuantizedDocument,
                  Path{field},
                  prefix + std::string(rules::torch_name(*found)),
                  fmt::format("{} of the bytes are stored as {}",
                              bench.found("dtype.absent") ? "all" : "most",
                              rules::torch_name(*found)));
}

}  // namespace assay::repair
