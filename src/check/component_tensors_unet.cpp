#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/component_tensors.h"

// UNet2DConditionModel and AutoencoderKL, block by block as diffusers builds
// them.
namespace assay::rules {
namespace {

constexpr int64_t kMost = 64;  // blocks, layers; a larger number is a mistake

std::string setting(const Component& component, std::string_view field) {
  auto value = component.config.value(field, Json());
  return value.is_string() ? value.get<std::string>() : "";
}

bool is_set(const Component& component, std::string_view field) {
  auto value = component.config.value(field, Json());
  return !value.is_null() && value != false && value != Json::array();
}

/** A number for each block: a list, or one for all of them. */
std::optional<std::vector<int64_t>> each(const Component& component,
                                         std::string_view field,
                                         size_t count,
                                         int64_t absent) {
  auto value = component.config.value(field, Json());
  if (value.is_null()) {
    return std::vector<int64_t>(count, absent);
  }
  if (value.is_number_integer() && value.get<int64_t>() > 0) {
    return std::vector<int64_t>(count, value.get<int64_t>());
  }
  if (!value.is_array() || value.size() != count) {
    return std::nullopt;
  }
  std::vector<int64_t> numbers;
  for (const auto& one : value) {
    if (!one.is_number_integer() || one.get<int64_t>() <= 0) {
      return std::nullopt;
    }
    numbers.push_back(one.get<int64_t>());
  }
  return numbers;
}

/** A size; `absent`, which its class takes, where the config is silent. */
std::optional<int64_t> size_or(const Component& component,
                               std::string_view field,
                               int64_t absent) {
  return component.config.contains(field) ? component.size(field) : absent;
}

/** What the classes of diffusers 0.42 take for the lists of blocks where a
 * config has none. */
struct UsualBlocks {
  std::vector<int64_t> widths;
  std::vector<std::string> down, up;
};

UsualBlocks usual_unet() {
  const std::string plain_down = "DownBlock2D", down = "CrossAttnDownBlock2D";
  const std::string plain_up = "UpBlock2D", up = "CrossAttnUpBlock2D";
  return {{320, 640, 1280, 1280},
          {down, down, down, plain_down},
          {plain_up, up, up, up}};
}

UsualBlocks usual_vae() {
  return {{64}, {"DownEncoderBlock2D"}, {"UpDecoderBlock2D"}};
}

std::optional<std::vector<int64_t>> widths(const Component& component,
                                           const UsualBlocks& usual) {
  auto value = component.config.value("block_out_channels", Json());
  if (value.is_null()) {
    return usual.widths;
  }
  bool few = value.is_array() && !value.empty() && value.size() <= kMost;
  return few ? each(component, "block_out_channels", value.size(), 0)
             : std::nullopt;
}

/** Kinds of blocks; nothing where one of them is none of the usual ones, which
 * are there where the config is silent. */
std::optional<std::vector<std::string>> kinds(
    const Component& component,
    std::string_view field,
    size_t count,
    const std::vector<std::string>& absent) {
  auto value = component.config.value(field, Json(absent));
  if (!value.is_array() || value.size() != count) {
    return std::nullopt;
  }
  std::vector<std::string> names;
  for (const auto& one : value) {
    auto name = one.is_string() ? one.get<std::string>() : "";
    if (std::ranges::find(absent, name) == absent.end()) {
      return std::nullopt;
    }
    names.push_back(std::move(name));
  }
  return names;
}

/** What both kinds of model are made of. */
struct Blocks {
  TensorLister& list;
  int64_t time = 0;  ///< width of the embedded time; 0 in a VAE

  void resnet(const std::string& path, int64_t in, int64_t out) const {
    list.norm(path + ".norm1", in);
    list.conv(path + ".conv1", in, out, 3);
    if (time > 0) {
      list.linear(path + ".time_emb_proj", time, out, true);
    }
    list.norm(path + ".norm2", out);
    list.conv(path + ".conv2", out, out, 3);
    if (in != out) {
      list.conv(path + ".conv_shortcut", in, out, 1);
    }
  }
};

class UNet {
 public:
  explicit UNet(const Component& unet) : unet_(unet) {}

  std::optional<TensorList> look() {
    auto blocks = widths(unet_, usual_unet());
    if (!blocks || is_rare() || !read(*blocks)) {
      return std::nullopt;
    }
    ends();
    down();
    middle();
    up();
    return std::move(list_.tensors);
  }

 private:
  bool is_rare() const {
    for (const auto* field : {"class_embed_type",
                              "encoder_hid_dim_type",
                              "encoder_hid_dim",
                              "dual_cross_attention",
                              "cross_attention_norm",
                              "time_embedding_dim",
                              "class_embeddings_concat",
                              "only_cross_attention",
                              "mid_block_only_cross_attention",
                              "reverse_transformer_layers_per_block"}) {
      if (is_set(unet_, field)) {
        return true;
      }
    }
    auto other = [&](const char* field, std::string_view usual) {
      auto value = setting(unet_, field);
      return !value.empty() && value != usual;
    };
    return other("attention_type", "default") ||
           other("time_embedding_type", "positional") ||
           other("resnet_time_scale_shift", "default") ||
           (other("mid_block_type", "UNetMidBlock2DCrossAttn") &&
            other("mid_block_type", "UNetMidBlock2D")) ||
           other("addition_embed_type", "text_time");
  }

  bool read(const std::vector<int64_t>& blocks) {
    width_ = blocks;
    auto count = blocks.size();
    auto layers = each(unet_, "layers_per_block", count, 2);
    auto depth = each(unet_, "transformer_layers_per_block", count, 1);
    auto text = each(unet_, "cross_attention_dim", count, 1280);
    auto heads =
        each(unet_,
             is_set(unet_, "num_attention_heads") ? "num_attention_heads"
                                                  : "attention_head_dim",
             count,
             8);
    auto usual = usual_unet();
    auto down = kinds(unet_, "down_block_types", count, usual.down);
    auto up = kinds(unet_, "up_block_types", count, usual.up);
    auto in = size_or(unet_, "in_channels", 4);
    auto out = size_or(unet_, "out_channels", 4);
    if (!layers || !depth || !text || !heads || !down || !up || !in || !out ||
        std::ranges::max(*layers) > kMost || std::ranges::max(*depth) > kMost) {
      return false;
    }
    layers_ = *layers, depth_ = *depth, text_ = *text, heads_ = *heads;
    down_ = *down, up_ = *up, in_ = *in, out_ = *out;
    return true;
  }

  void ends() {
    auto first = width_.front();
    list_.conv("conv_in", in_, first, unet_.size("conv_in_kernel").value_or(3));
    list_.embedder("time_embedding", first, 4 * first);
    if (auto condition = unet_.size("time_cond_proj_dim")) {
      list_.linear("time_embedding.cond_proj", *condition, first, false);
    }
    if (auto classes = unet_.size("num_class_embeds")) {
      list_.add("class_embedding.weight", {*classes, 4 * first});
    }
    auto more = unet_.size("projection_class_embeddings_input_dim");
    if (setting(unet_, "addition_embed_type") == "text_time" && more) {
      list_.embedder("add_embedding", *more, 4 * first);
    }
    list_.norm("conv_norm_out", first);
    list_.conv(
        "conv_out", first, out_, unet_.size("conv_out_kernel").value_or(3));
  }

  void attention(const std::string& path, size_t block) {
    auto width = width_[block];
    // diffusers calls the number of heads attention_head_dim here.
    auto inner = heads_[block] * (width / heads_[block]);
    bool linear = is_set(unet_, "use_linear_projection");
    list_.norm(path + ".norm", width);
    auto project = [&](const char* name, int64_t in, int64_t out) {
      if (linear) {
        list_.linear(path + name, in, out, true);
      } else {
        list_.conv(path + name, in, out, 1);
      }
    };
    project(".proj_in", width, inner);
    project(".proj_out", inner, width);
    for (int64_t i = 0; i < depth_[block]; ++i) {
      auto layer = fmt::format("{}.transformer_blocks.{}", path, i);
      for (auto [name, text] :
           {std::pair(".attn1", inner), std::pair(".attn2", text_[block])}) {
        list_.linear(layer + name + ".to_q", inner, inner, false);
        list_.linear(layer + name + ".to_k", text, inner, false);
        list_.linear(layer + name + ".to_v", text, inner, false);
        list_.linear(layer + name + ".to_out.0", inner, inner, true);
      }
      for (const auto* name : {".norm1", ".norm2", ".norm3"}) {
        list_.norm(layer + name, inner);
      }
      list_.feed_forward(layer + ".ff", inner, 8 * inner);
    }
  }

  Blocks blocks() { return {list_, 4 * width_.front()}; }

  void down() {
    int64_t in = width_.front();
    for (size_t i = 0; i < width_.size(); ++i) {
      auto path = fmt::format("down_blocks.{}", i);
      for (int64_t j = 0; j < layers_[i]; ++j) {
        blocks().resnet(fmt::format("{}.resnets.{}", path, j),
                        j == 0 ? in : width_[i],
                        width_[i]);
        if (down_[i].starts_with("Cross")) {
          attention(fmt::format("{}.attentions.{}", path, j), i);
        }
      }
      if (i + 1 < width_.size()) {
        list_.conv(path + ".downsamplers.0.conv", width_[i], width_[i], 3);
      }
      in = width_[i];
    }
  }

  void middle() {
    auto kind = unet_.config.value("mid_block_type", Json("absent"));
    if (kind.is_null()) {
      return;
    }
    auto width = width_.back();
    blocks().resnet("mid_block.resnets.0", width, width);
    if (kind == "UNetMidBlock2D") {
      return;  // of distilled ones
    }
    attention("mid_block.attentions.0", width_.size() - 1);
    blocks().resnet("mid_block.resnets.1", width, width);
  }

  void up() {
    auto count = width_.size();
    int64_t before = width_.back();
    for (size_t i = 0; i < count; ++i) {
      auto block = count - 1 - i;
      auto width = width_[block];
      auto skipped = width_[block == 0 ? 0 : block - 1];
      auto path = fmt::format("up_blocks.{}", i);
      for (int64_t j = 0; j <= layers_[block]; ++j) {
        auto beside = j == layers_[block] ? skipped : width;
        blocks().resnet(fmt::format("{}.resnets.{}", path, j),
                        (j == 0 ? before : width) + beside,
                        width);
        if (up_[i].starts_with("Cross")) {
          attention(fmt::format("{}.attentions.{}", path, j), block);
        }
      }
      if (i + 1 < count) {
        list_.conv(path + ".upsamplers.0.conv", width, width, 3);
      }
      before = width;
    }
  }

  const Component& unet_;
  TensorLister list_;
  std::vector<int64_t> width_, layers_, depth_, text_, heads_;
  std::vector<std::string> down_, up_;
  int64_t in_ = 0, out_ = 0;
};

class Vae {
 public:
  Vae(TensorLister& list,
      const std::vector<int64_t>& widths,
      int64_t layers,
      bool attends)
      : list_(list), width_(widths), layers_(layers), attends_(attends) {}

  void encoder(int64_t in, int64_t latent) {
    const std::string path = "encoder";
    list_.conv(path + ".conv_in", in, width_.front(), 3);
    int64_t before = width_.front();
    for (size_t i = 0; i < width_.size(); ++i) {
      auto block = fmt::format("{}.down_blocks.{}", path, i);
      resnets(block, before, width_[i], layers_);
      if (i + 1 < width_.size()) {
        list_.conv(block + ".downsamplers.0.conv", width_[i], width_[i], 3);
      }
      before = width_[i];
    }
    middle(path);
    list_.norm(path + ".conv_norm_out", width_.back());
    list_.conv(path + ".conv_out", width_.back(), 2 * latent, 3);
  }

  void decoder(int64_t out, int64_t latent) {
    const std::string path = "decoder";
    list_.conv(path + ".conv_in", latent, width_.back(), 3);
    middle(path);
    int64_t before = width_.back();
    for (size_t i = 0; i < width_.size(); ++i) {
      auto width = width_[width_.size() - 1 - i];
      auto block = fmt::format("{}.up_blocks.{}", path, i);
      resnets(block, before, width, layers_ + 1);
      if (i + 1 < width_.size()) {
        list_.conv(block + ".upsamplers.0.conv", width, width, 3);
      }
      before = width;
    }
    list_.norm(path + ".conv_norm_out", width_.front());
    list_.conv(path + ".conv_out", width_.front(), out, 3);
  }

 private:
  void resnets(const std::string& block,
               int64_t in,
               int64_t out,
               int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      Blocks{list_}.resnet(
          fmt::format("{}.resnets.{}", block, i), i == 0 ? in : out, out);
    }
  }

  void middle(const std::string& path) const {
    auto width = width_.back();
    for (int i = 0; i < 2; ++i) {
      Blocks{list_}.resnet(
          fmt::format("{}.mid_block.resnets.{}", path, i), width, width);
    }
    if (!attends_) {
      return;
    }
    auto place = path + ".mid_block.attentions.0";
    list_.norm(place + ".group_norm", width);
    for (const auto* name : {".to_q", ".to_k", ".to_v", ".to_out.0"}) {
      list_.linear(place + name, width, width, true);
    }
  }

  TensorLister& list_;
  const std::vector<int64_t>& width_;
  int64_t layers_;
  bool attends_;
};

}  // namespace

std::optional<TensorList> tensors_of_unet(const Component& unet) {
  return UNet(unet).look();
}

std::optional<TensorList> tensors_of_vae(const Component& vae) {
  auto usual = usual_vae();
  auto blocks = widths(vae, usual);
  auto latent = size_or(vae, "latent_channels", 4);
  auto in = size_or(vae, "in_channels", 3);
  auto out = size_or(vae, "out_channels", 3);
  auto layers = size_or(vae, "layers_per_block", 1);
  if (!blocks || !latent || !in || !out || !layers || *layers > kMost ||
      !kinds(vae, "down_block_types", blocks->size(), usual.down) ||
      !kinds(vae, "up_block_types", blocks->size(), usual.up)) {
    return std::nullopt;
  }
  auto on = [&](const char* field) {
    auto value = vae.config.value(field, Json(true));
    return !value.is_boolean() || value.get<bool>();
  };
  TensorLister list;
  Vae model(list, *blocks, *layers, on("mid_block_add_attention"));
  model.encoder(*in, *latent);
  model.decoder(*out, *latent);
  if (on("use_quant_conv")) {
    list.conv("quant_conv", 2 * *latent, 2 * *latent, 1);
  }
  if (on("use_post_quant_conv")) {
    list.conv("post_quant_conv", *latent, *latent, 1);
  }
  return std::move(list.tensors);
}

}  // namespace assay::rules
