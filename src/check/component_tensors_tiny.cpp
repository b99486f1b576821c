#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/component_tensors.h"

// AutoencoderTiny (TAESD): two rows of layers, numbered one after another.
namespace assay::rules {
namespace {

constexpr int64_t kMostTiny = 64;  // blocks in a stage; more are a mistake

/** A stage of one half: its width and how many blocks stand in it. */
struct Stage {
  int64_t width = 0;
  int64_t blocks = 0;
};

std::optional<std::vector<int64_t>> numbers_or(const Component& component,
                                               std::string_view field,
                                               std::vector<int64_t> absent,
                                               int64_t least) {
  auto list = component.config.find(field);
  if (list == component.config.end()) {
    return absent;
  }
  auto fits = [&](const Json& one) {
    return one.is_number_integer() && one.get<int64_t>() >= least;
  };
  if (!list->is_array() || list->empty() || list->size() > kMostTiny ||
      !std::ranges::all_of(*list, fits)) {
    return std::nullopt;
  }
  return list->get<std::vector<int64_t>>();
}

/** The stages of "encoder" or "decoder"; what the config leaves out is the
 * class's own. */
std::optional<std::vector<Stage>> stages(const Component& vae,
                                         const std::string& half,
                                         std::vector<int64_t> usual) {
  auto widths =
      numbers_or(vae, half + "_block_out_channels", {64, 64, 64, 64}, 1);
  auto blocks =
      numbers_or(vae, fmt::format("num_{}_blocks", half), std::move(usual), 0);
  if (!widths || !blocks || widths->size() != blocks->size() ||
      std::ranges::max(*blocks) > kMostTiny) {
    return std::nullopt;
  }
  std::vector<Stage> found;
  for (size_t i = 0; i < widths->size(); ++i) {
    found.push_back({(*widths)[i], (*blocks)[i]});
  }
  return found;
}

class TinyVae {
 public:
  void encoder(const std::vector<Stage>& stages, int64_t in, int64_t latent) {
    start("encoder");
    for (size_t i = 0; i < stages.size(); ++i) {
      auto width = stages[i].width;
      if (i == 0) {
        list_.conv(next(), in, width, 3);
      } else {
        list_.add(next() + ".weight", {width, width, 3, 3});
      }
      blocks(stages[i]);
    }
    list_.conv(next(), stages.back().width, latent, 3);
  }

  // An activation and the enlargements have numbers and no tensors.
  void decoder(const std::vector<Stage>& stages, int64_t latent, int64_t out) {
    start("decoder");
    list_.conv(next(), latent, stages.front().width, 3);
    ++number_;
    for (const auto& stage : stages) {
      blocks(stage);
      if (&stage == &stages.back()) {
        list_.conv(next(), stage.width, out, 3);
      } else {
        ++number_;
        list_.add(next() + ".weight", {stage.width, stage.width, 3, 3});
      }
    }
  }

  TensorList tensors() { return std::move(list_.tensors); }

 private:
  void start(const char* half) {
    half_ = half;
    number_ = 0;
  }

  std::string next() { return fmt::format("{}.layers.{}", half_, number_++); }

  void blocks(const Stage& stage) {
    for (int64_t i = 0; i < stage.blocks; ++i) {
      auto path = next();
      for (int conv : {0, 2, 4}) {
        list_.conv(
            fmt::format("{}.conv.{}", path, conv), stage.width, stage.width, 3);
      }
    }
  }

  TensorLister list_;
  std::string_view half_;
  int64_t number_ = 0;
};

}  // namespace

std::optional<TensorList> tensors_of_tiny_vae(const Component& vae) {
  auto down = stages(vae, "encoder", {1, 3, 3, 3});
  auto up = stages(vae, "decoder", {3, 3, 3, 1});
  auto size = [&](const char* field, int64_t absent) {
    return vae.config.contains(field) ? vae.size(field) : absent;
  };
  auto in = size("in_channels", 3);
  auto out = size("out_channels", 3);
  auto latent = size("latent_channels", 4);
  if (!down || !up || !in || !out || !latent) {
    return std::nullopt;
  }
  TinyVae model;
  model.encoder(*down, *in, *latent);
  model.decoder(*up, *latent, *out);
  return model.tensors();
}

}  // namespace assay::rules
