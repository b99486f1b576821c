#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "assay/check/adapter.h"
#include "assay/check/pipeline.h"
#include "assay/formats/model_kind.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

// An adapter against the base that it is meant for.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

constexpr std::string_view kWeight = ".weight";

std::string module_of(std::string_view tensor) {
  return std::string(tensor.substr(0, tensor.size() - kWeight.size()));
}

// Columns of a weight that MLX quantized: its scales have one a group.
std::optional<Shape> logical_shape(const ModelFiles& model,
                                   const TensorInfo& tensor) {
  if (is_floating(tensor.dtype) || is_block_quantized(tensor.dtype)) {
    return tensor.shape;
  }
  const auto* scales = model.find(module_of(tensor.name) + ".scales");
  auto settings = model.config.is_object()
                      ? model.config.value("quantization", Json())
                      : Json();
  auto group =
      settings.is_object() ? settings.value("group_size", Json()) : Json();
  if (scales == nullptr || scales->shape.empty() || tensor.shape.empty() ||
      !group.is_number_integer() || group.get<int64_t>() <= 0 ||
      group.get<int64_t>() > 1 << 20 || scales->shape.back() > 1 << 30) {
    return std::nullopt;
  }
  auto shape = tensor.shape;
  shape.back() = scales->shape.back() * group.get<int64_t>();
  return shape;
}

void add_stored(BaseModules& modules,
                const ModelFiles& model,
                std::string_view prefix) {
  for (const auto& tensor : model.tensors) {
    if (std::string_view(tensor.name).ends_with(kWeight)) {
      modules[std::string(prefix) + module_of(tensor.name)] =
          logical_shape(model, tensor);
    }
    add_clip_names(modules, tensor.name, tensor.shape);
  }
}

// The tree's own names with shapes that no container packs.
void add_declared(BaseModules& modules, const ModelFiles& model) {
  try {
    auto tree = arch::build_tree(model);
    for (const auto& match : hold_against_tree(tree, model).matches) {
      std::string_view name = match.spec->name;
      if (name.ends_with(kWeight)) {
        modules[module_of(name)] = match.shape;
      }
    }
  } catch (const Error&) {
    return;  // no tree: the stored names are what there is
  }
}

std::string underscored(std::string_view name) {
  std::string text(name);
  std::ranges::replace(text, '.', '_');
  return text;
}

/** Where kohya's names begin, and what a base calls the same part. */
struct Prefix {
  std::string_view base, adapter;
};
constexpr std::array kPrefixes = {
    Prefix{"unet.", "lora_unet_"},
    Prefix{"transformer.", "lora_unet_"},
    Prefix{"model.diffusion_model.", "lora_unet_"},
    Prefix{"text_encoder.", "lora_te_"},
    Prefix{"text_encoder.", "lora_te1_"},
    Prefix{"text_encoder_2.", "lora_te2_"},
    Prefix{"text_encoder_2.", "lora_te3_"},  // FLUX has its T5 there
    Prefix{"text_encoder_3.", "lora_te3_"},
    Prefix{"text_encoders.clip_l.transformer.", "lora_te1_"},
    Prefix{"text_encoders.clip_g.transformer.", "lora_te2_"},
    Prefix{"text_encoders.t5xxl.transformer.", "lora_te3_"},
    Prefix{"cond_stage_model.transformer.", "lora_te_"},
    Prefix{"cond_stage_model.model.", "lora_te_"},
    Prefix{"conditioner.embedders.0.transformer.", "lora_te1_"},
    Prefix{"conditioner.embedders.1.model.", "lora_te2_"},
    Prefix{"", "lora_unet_"},
    // LyCORIS outside of kohya's scripts
    Prefix{"unet.", "lycoris_"},
    Prefix{"transformer.", "lycoris_"},
    Prefix{"", "lycoris_"},
};

// transformers 5 leaves "text_model." out of a text encoder's names, kohya
// writes it.
void add_underscored(BaseModules& modules) {
  BaseModules more;
  for (const auto& [name, shape] : modules) {
    for (const auto& prefix : kPrefixes) {
      if (!name.starts_with(prefix.base)) {
        continue;
      }
      auto rest =
          underscored(std::string_view(name).substr(prefix.base.size()));
      more.emplace(std::string(prefix.adapter) + rest, shape);
      if (prefix.adapter.starts_with("lora_te")) {
        more.emplace(std::string(prefix.adapter) + "text_model_" + rest, shape);
      }
    }
  }
  modules.merge(more);
}

const BaseModules::value_type* find_module(const BaseModules& base,
                                           std::string_view name) {
  std::vector<std::string> spellings = {std::string(name)};
  for (std::string_view more : {"model.",
                                "language_model.",
                                "model.language_model.",
                                "model.diffusion_model.",
                                "transformer."}) {
    spellings.push_back(std::string(more) + std::string(name));
    if (name.starts_with(more)) {
      spellings.emplace_back(name.substr(more.size()));
    }
  }
  for (std::string_view part :
       {"unet.", "text_encoder.", "text_encoder_2.", "text_model."}) {
    // Of a component by itself, or of a text encoder as transformers 5 has it.
    auto at = name.find(part);
    if (at != std::string_view::npos) {
      std::string without(name);
      spellings.push_back(without.erase(at, part.size()));
    }
  }
  for (const auto& spelling : spellings) {
    auto entry = base.find(spelling);
    if (entry != base.end()) {
      return &*entry;
    }
  }
  return nullptr;
}

// An output head that is tied to the embedding is stored once.
const BaseModules::value_type* find_tied(const BaseModules& base,
                                         std::string_view name) {
  if (!matches_module(name, "lm_head")) {
    return nullptr;
  }
  auto entry = std::ranges::find_if(base, [](const auto& one) {
    return matches_module(one.first, "embed_tokens") ||
           matches_module(one.first, "wte");
  });
  return entry == base.end() ? nullptr : &*entry;
}

bool may_be_swapped(const Adapter& adapter, std::string_view name) {
  auto swapped = adapter.config.is_object()
                     ? adapter.config.value("fan_in_fan_out", Json())
                     : Json();
  bool embedding = matches_module(name, "embed_tokens") ||
                   matches_module(name, "wte") ||
                   name.find("embedding") != std::string_view::npos;
  bool convolution_1d = matches_module(name, "c_attn") ||
                        matches_module(name, "c_proj") ||
                        matches_module(name, "c_fc");
  return swapped == true || embedding || convolution_1d;
}

void widths(Findings& findings,
            const Adapter& adapter,
            const AdapterModule& module,
            const BaseModules::value_type& base) {
  const auto& [name, shape] = base;
  if (!shape || shape->size() < 2 || !module.in || !module.out) {
    return;
  }
  // Experts that are stored as one have a dimension before the two.
  bool convolution = module.down != nullptr && module.down->shape.size() == 4;
  size_t first = convolution || shape->size() == 2 ? 0 : shape->size() - 2;
  if (!convolution && shape->size() == 4) {
    first = 0;  // a 1x1 convolution adapted as a linear layer
  }
  auto out = (*shape)[first];
  auto in = (*shape)[first + 1];
  // Of a fused layer XLabs adapts the rows of queries, keys and values only.
  bool part = adapter.dialect == AdapterDialect::xlabs && *module.out < out;
  // LoHa and LoKr keep a convolution's window beside its inputs.
  auto inputs = element_count(Shape(
      shape->begin() + static_cast<std::ptrdiff_t>(first) + 1, shape->end()));
  bool flat = module.down == nullptr && inputs &&
              *inputs == static_cast<uint64_t>(*module.in);
  bool fits = (*module.in == in || flat) && (*module.out == out || part);
  bool swapped = *module.in == out && *module.out == in &&
                 (module.embedding || may_be_swapped(adapter, name));
  if (!fits && !swapped) {
    findings.push_back(make_finding(
        "adapter.base-shape",
        quote(module.target),
        fmt::format("{} to {}, as {} of the base", in, out, quote(name)),
        fmt::format("{} to {}", *module.in, *module.out)));
  }
}

// mlx-lm turns the last num_layers layers into adapted ones, and stops at
// tensors for any other; keys that are whole paths reach the rest.
void mlx_layers(Findings& findings,
                const Adapter& adapter,
                const BaseModules& base) {
  auto count = adapter.config.is_object()
                   ? adapter.config.value("num_layers", Json())
                   : Json();
  if (adapter.dialect != AdapterDialect::mlx || !count.is_number_integer() ||
      count.get<int64_t>() <= 0) {
    return;
  }
  auto settings = adapter.config.value("lora_parameters", Json());
  auto keys = settings.is_object() ? settings.value("keys", Json()) : Json();
  constexpr std::string_view kStack = "layers.";
  std::map<std::string, int64_t, std::less<>> depths;  // by what is before
  for (const auto& [name, shape] : base) {
    auto at = name.find(kStack);
    if (at != std::string::npos) {
      auto end = at + kStack.size();
      auto layer = layer_of(std::string_view(name).substr(end));
      auto& depth = depths[name.substr(0, end)];
      depth = std::max(depth, layer.value_or(0) + 1);
    }
  }
  for (const auto& module : adapter.modules) {
    auto at = module.target.find(kStack);
    auto layer = layer_of(module.target);
    bool whole =
        keys.is_array() && std::ranges::any_of(keys, [&](const Json& key) {
          return key == module.target;
        });
    if (at == std::string::npos || !layer || whole) {
      continue;
    }
    auto depth = depths.find(module.target.substr(0, at + kStack.size()));
    if (depth != depths.end() && *layer < depth->second &&
        *layer < depth->second - count.get<int64_t>()) {
      findings.push_back(make_finding(
          "adapter.target-unlisted",
          adapter.config_path.string() + ": num_layers",
          fmt::format("{} or more, since {} has tensors and the base has {} "
                      "layers",
                      depth->second - *layer,
                      quote(module.target),
                      depth->second),
          count.dump()));
    }
  }
}

std::optional<int64_t> most_layers(const BaseModules& base) {
  std::optional<int64_t> most;
  for (const auto& [name, shape] : base) {
    if (auto layer = layer_of(name)) {
      most = std::max(most.value_or(0), *layer + 1);
    }
  }
  return most;
}

bool any_holds(const BaseModules& base,
               std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(base, [&](const auto& one) {
    return std::ranges::any_of(parts, [&](std::string_view part) {
      return one.first.find(part) != std::string::npos;
    });
  });
}

// Blocks as the original code bases name them.
bool has_original_names(const BaseModules& base) {
  return any_holds(
      base,
      {"input_blocks.", "double_blocks.", "joint_blocks.", "attention.qkv"});
}

bool has_diffusers_names(const BaseModules& base) {
  return any_holds(base, {"down_blocks.", "transformer_blocks."});
}

/** "lora_unet" of "lora_unet_down_blocks_0", "unet" of "unet.down_blocks". */
std::string_view part_of(std::string_view target) {
  constexpr std::string_view kKohya = "lora_";
  auto end = target.starts_with(kKohya) ? target.find('_', kKohya.size())
                                        : target.find('.');
  return target.substr(0, end);
}

/** Why names of the adapter that are not in the base say nothing against
 * either: they are of a layout that the base has no names in. */
std::string_view other_layout(const Adapter& adapter, const BaseModules& base) {
  bool original = has_original_names(base);
  bool diffusers = has_diffusers_names(base);
  bool kohya = adapter.dialect == AdapterDialect::kohya ||
               adapter.dialect == AdapterDialect::xlabs;
  if (kohya && diffusers && !original) {
    return "names of the original layout: give its single file as --base";
  }
  if (adapter.dialect == AdapterDialect::diffusers && original && !diffusers) {
    return "names of diffusers: give its folder as --base";
  }
  return "";
}

}  // namespace

BaseModules base_modules(const std::filesystem::path& base) {
  BaseModules modules;
  auto kind = kind_of(base);
  if (kind == ModelKind::pipeline || kind == ModelKind::component) {
    auto pipeline = kind == ModelKind::pipeline ? open_pipeline(base)
                                                : open_component(base);
    for (const auto& component : pipeline.components) {
      auto prefix =
          kind == ModelKind::pipeline ? component.name + "." : std::string();
      for (const auto& [name, shape] : component.tensors) {
        if (name.ends_with(kWeight)) {
          modules[prefix + module_of(name)] = shape;
        }
      }
    }
  } else {
    auto model = open_model(base);
    add_declared(modules, model);
    add_stored(modules, model, "");
  }
  add_original_names(modules);
  add_diffusers_names(modules);
  add_underscored(modules);
  return modules;
}

std::vector<Finding> adapter_base(const Adapter& adapter,
                                  const BaseModules& base,
                                  std::string& detail) {
  Findings findings;
  size_t found = 0;
  auto layers = most_layers(base);
  std::set<std::string_view> known;  // parts that the base has names of
  std::vector<std::pair<const AdapterModule*, std::string>> missing;
  for (const auto& module : adapter.modules) {
    auto name = base_name(adapter, module);
    const auto* entry = find_module(base, name);
    entry = entry == nullptr ? find_tied(base, name) : entry;
    if (entry != nullptr) {
      ++found;
      known.insert(part_of(module.target));
      widths(findings, adapter, module, *entry);
    } else {
      missing.emplace_back(&module, std::move(name));
    }
  }
  detail = fmt::format("{} of {} modules", found, adapter.modules.size());
  auto layout = other_layout(adapter, base);
  for (const auto& [module, name] : missing) {
    if (!layout.empty() && !known.contains(part_of(module->target))) {
      detail = found == 0 ? std::string(layout)
                          : fmt::format("{} of {} modules, {}",
                                        found,
                                        adapter.modules.size(),
                                        layout);
      continue;
    }
    auto layer = layer_of(name);
    bool beyond = layer && layers && *layer >= *layers;
    findings.push_back(
        make_finding("adapter.base-target",
                     quote(module->target),
                     beyond ? fmt::format("a layer below {}", *layers)
                            : "a module of the base",
                     beyond ? fmt::format("layer {}", *layer) : quote(name)));
  }
  mlx_layers(findings, adapter, base);
  return shorten(std::move(findings));
}

}  // namespace assay::rules
