#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "assay/check/adapter.h"

// Names of diffusers' UNet and FLUX transformer in the code bases that these
// come from (Stability's sgm, Black Forest Labs' flux), which kohya's and
// XLabs' adapters keep. Written from memory, not yet held against those code
// bases or diffusers' conversion scripts (TODO.md).
namespace assay::rules {
namespace {

struct Renamed {
  std::string_view diffusers, original;
};

// "down_blocks.1." to 1 and what follows.
std::optional<std::pair<int64_t, std::string_view>> numbered(
    std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) {
    return std::nullopt;
  }
  name.remove_prefix(prefix.size());
  int64_t number = 0;
  auto end = std::from_chars(name.data(), name.data() + name.size(), number);
  auto length = static_cast<size_t>(end.ptr - name.data());
  constexpr int64_t kMost = 1000;
  bool whole = end.ec == std::errc() && number >= 0 && number < kMost &&
               length < name.size() && name[length] == '.';
  return whole ? std::optional(std::pair(number, name.substr(length + 1)))
               : std::nullopt;
}

template <typename Table>
std::string renamed(std::string_view name, const Table& table) {
  for (const auto& one : table) {
    if (name == one.diffusers) {
      return std::string(one.original);
    }
  }
  return std::string(name);
}

constexpr std::array kResnet = {
    Renamed{"norm1", "in_layers.0"},
    Renamed{"conv1", "in_layers.2"},
    Renamed{"time_emb_proj", "emb_layers.1"},
    Renamed{"norm2", "out_layers.0"},
    Renamed{"conv2", "out_layers.3"},
    Renamed{"conv_shortcut", "skip_connection"},
};

constexpr std::array kUnet = {
    Renamed{"conv_in", "input_blocks.0.0"},
    Renamed{"conv_norm_out", "out.0"},
    Renamed{"conv_out", "out.2"},
    Renamed{"time_embedding.linear_1", "time_embed.0"},
    Renamed{"time_embedding.linear_2", "time_embed.2"},
    Renamed{"add_embedding.linear_1", "label_emb.0.0"},
    Renamed{"add_embedding.linear_2", "label_emb.0.2"},
};

/** The blocks of one UNet. */
class Unet {
 public:
  Unet(const BaseModules& modules, std::string_view prefix) {
    for (const auto& [name, shape] : modules) {
      std::string_view rest = name;
      if (!rest.starts_with(prefix)) {
        continue;
      }
      rest.remove_prefix(prefix.size());
      if (auto block = numbered(rest, "down_blocks.")) {
        if (auto resnet = numbered(block->second, "resnets.")) {
          layers_ = std::max(layers_, resnet->first + 1);
        }
      } else if (auto up = numbered(rest, "up_blocks.")) {
        attends_[up->first] |= up->second.starts_with("attentions.");
      }
    }
  }

  bool found() const { return layers_ > 0; }

  std::string original(std::string_view name) const {
    if (auto down = numbered(name, "down_blocks.")) {
      return in_block(
          "input_blocks", 1 + down->first * (layers_ + 1), layers_, *down);
    }
    if (auto up = numbered(name, "up_blocks.")) {
      return in_block("output_blocks", up->first * (layers_ + 1), layers_, *up);
    }
    constexpr std::string_view kMiddle = "mid_block.";
    if (name.starts_with(kMiddle)) {
      auto rest = name.substr(kMiddle.size());
      if (auto resnet = numbered(rest, "resnets.")) {
        return fmt::format("middle_block.{}.{}",
                           2 * resnet->first,
                           renamed(resnet->second, kResnet));
      }
      if (auto attention = numbered(rest, "attentions.")) {
        return fmt::format("middle_block.1.{}", attention->second);
      }
      return "";
    }
    auto whole = renamed(name, kUnet);
    return whole == name ? "" : whole;
  }

 private:
  using Block = std::pair<int64_t, std::string_view>;

  std::string in_block(std::string_view stack,
                       int64_t first,
                       int64_t last,
                       const Block& block) const {
    const auto& [number, rest] = block;
    if (auto resnet = numbered(rest, "resnets.")) {
      return fmt::format("{}.{}.0.{}",
                         stack,
                         first + resnet->first,
                         renamed(resnet->second, kResnet));
    }
    if (auto attention = numbered(rest, "attentions.")) {
      return fmt::format(
          "{}.{}.1.{}", stack, first + attention->first, attention->second);
    }
    if (rest == "downsamplers.0.conv") {
      return fmt::format("{}.{}.0.op", stack, first + last);
    }
    if (rest == "upsamplers.0.conv") {
      auto attends = attends_.find(number);
      bool after = attends != attends_.end() && attends->second;
      return fmt::format("{}.{}.{}.conv", stack, first + last, after ? 2 : 1);
    }
    return "";
  }

  int64_t layers_ = 0;  ///< resnets of a block that goes down
  std::map<int64_t, bool> attends_;
};

constexpr std::array kFlux = {
    Renamed{"x_embedder", "img_in"},
    Renamed{"context_embedder", "txt_in"},
    Renamed{"time_text_embed.timestep_embedder.linear_1", "time_in.in_layer"},
    Renamed{"time_text_embed.timestep_embedder.linear_2", "time_in.out_layer"},
    Renamed{"time_text_embed.text_embedder.linear_1", "vector_in.in_layer"},
    Renamed{"time_text_embed.text_embedder.linear_2", "vector_in.out_layer"},
    Renamed{"time_text_embed.guidance_embedder.linear_1",
            "guidance_in.in_layer"},
    Renamed{"time_text_embed.guidance_embedder.linear_2",
            "guidance_in.out_layer"},
    Renamed{"norm_out.linear", "final_layer.adaLN_modulation.1"},
    Renamed{"proj_out", "final_layer.linear"},
};

// Of two modules with one name the original has both in one.
constexpr std::array kDouble = {
    Renamed{"norm1.linear", "img_mod.lin"},
    Renamed{"norm1_context.linear", "txt_mod.lin"},
    Renamed{"attn.to_q", "img_attn.qkv"},
    Renamed{"attn.to_k", "img_attn.qkv"},
    Renamed{"attn.to_v", "img_attn.qkv"},
    Renamed{"attn.to_out.0", "img_attn.proj"},
    Renamed{"attn.add_q_proj", "txt_attn.qkv"},
    Renamed{"attn.add_k_proj", "txt_attn.qkv"},
    Renamed{"attn.add_v_proj", "txt_attn.qkv"},
    Renamed{"attn.to_add_out", "txt_attn.proj"},
    Renamed{"ff.net.0.proj", "img_mlp.0"},
    Renamed{"ff.net.2", "img_mlp.2"},
    Renamed{"ff_context.net.0.proj", "txt_mlp.0"},
    Renamed{"ff_context.net.2", "txt_mlp.2"},
};

constexpr std::array kSingle = {
    Renamed{"norm.linear", "modulation.lin"},
    Renamed{"attn.to_q", "linear1"},
    Renamed{"attn.to_k", "linear1"},
    Renamed{"attn.to_v", "linear1"},
    Renamed{"proj_mlp", "linear1"},
    Renamed{"proj_out", "linear2"},
};

template <typename Table>
std::string in_stack(const std::pair<int64_t, std::string_view>& block,
                     std::string_view stack,
                     const Table& table) {
  auto inner = renamed(block.second, table);
  return inner == block.second
             ? ""
             : fmt::format("{}.{}.{}", stack, block.first, inner);
}

std::string flux_name(std::string_view name) {
  if (auto block = numbered(name, "transformer_blocks.")) {
    return in_stack(*block, "double_blocks", kDouble);
  }
  if (auto block = numbered(name, "single_transformer_blocks.")) {
    return in_stack(*block, "single_blocks", kSingle);
  }
  auto whole = renamed(name, kFlux);
  return whole == name ? "" : whole;
}

bool is_flux(const BaseModules& modules, std::string_view prefix) {
  return modules.contains(
      fmt::format("{}single_transformer_blocks.0.proj_mlp", prefix));
}

// Modules that the original has as one are one above the other in it.
void add(BaseModules& more,
         const std::string& name,
         std::optional<Shape> shape) {
  auto [entry, fresh] = more.emplace(name, shape);
  if (fresh) {
    return;
  }
  auto& whole = entry->second;
  bool fits = whole && shape && whole->size() == shape->size() &&
              !shape->empty() && (*shape)[0] < int64_t{1} << 40 &&
              (*whole)[0] < int64_t{1} << 40;
  if (fits) {
    (*whole)[0] += (*shape)[0];
  } else {
    whole.reset();
  }
}

}  // namespace

void add_original_names(BaseModules& modules) {
  BaseModules more;
  for (std::string_view prefix : {"", "unet.", "transformer."}) {
    Unet unet(modules, prefix);
    bool flux = is_flux(modules, prefix);
    if (!unet.found() && !flux) {
      continue;
    }
    for (const auto& [name, shape] : modules) {
      std::string_view own = name;
      if (!own.starts_with(prefix)) {
        continue;
      }
      own.remove_prefix(prefix.size());
      auto original = flux ? flux_name(own) : unet.original(own);
      if (!original.empty()) {
        add(more, original, shape);
      }
    }
  }
  modules.merge(more);
}

}  // namespace assay::rules
