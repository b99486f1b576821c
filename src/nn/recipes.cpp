#include "assay/nn/recipes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/core/finding.h"

namespace assay::nn {
namespace {

constexpr std::array kRecipes = {
    Recipe{"mixed_2_6", 2, 6},
    Recipe{"mixed_3_4", 3, 4},
    Recipe{"mixed_3_6", 3, 6},
    Recipe{"mixed_4_6", 4, 6},
};

constexpr std::string_view kDown = "down_proj";
constexpr std::array<std::string_view, 3> kValues = {
    "v_proj", "v_a_proj", "v_b_proj"};
constexpr std::string_view kHead = "lm_head";

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    auto dot = std::min(path.find('.'), path.size());
    parts.push_back(path.substr(0, dot));
    path.remove_prefix(std::min(path.size(), dot + 1));
  }
  return parts;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Recipe find_recipe(std::string_view name) {
  auto found = std::ranges::find(kRecipes, name, &Recipe::name);
  if (found == kRecipes.end()) {
    std::vector<std::string_view> names;
    for (const auto& recipe : kRecipes) {
      names.push_back(recipe.name);
    }
    fail("convert.option",
         "recipe",
         fmt::format("one of {}", fmt::join(names, ", ")),
         std::string(name));
  }
  return *found;
}

}  // namespace

std::span<const Recipe> recipes() {
  return kRecipes;
}

MixedRecipe::MixedRecipe(std::string_view name,
                         const std::vector<ParameterSpec>& parameters,
                         int group_size)
    : recipe_(find_recipe(name)), group_size_(group_size) {
  auto down = std::ranges::find_if(parameters, [](const ParameterSpec& spec) {
    return contains(spec.name, kDown);
  });
  if (down == parameters.end()) {
    fail("convert.option",
         "recipe",
         "a model with down projections, which mixed recipes tell apart",
         "none");
  }
  auto parts = segments(down->name);
  layer_segment_ = static_cast<size_t>(
      std::ranges::find_if(parts,
                           [](auto part) { return number(part).has_value(); }) -
      parts.begin());
  for (const auto& spec : parameters) {
    auto own = segments(spec.name);
    if (own.size() > layer_segment_) {
      layers_ = std::max(layers_, number(own[layer_segment_]).value_or(-1) + 1);
    }
  }
}

Quantization MixedRecipe::operator()(const ParameterSpec& spec) const {
  auto parts = segments(spec.name);
  int layer = 0;
  if (parts.size() > layer_segment_) {
    layer = number(parts[layer_segment_]).value_or(0);
  }
  int eighth = layers_ / 8;
  // Below the first third-step the remainder is negative here and not in
  // Python; those layers are in the first eighth anyway.
  bool more =
      layer < eighth || layer >= 7 * layers_ / 8 || (layer - eighth) % 3 == 2;
  bool chosen = contains(spec.name, kDown) ||
                std::ranges::any_of(kValues, [&spec](std::string_view value) {
                  return contains(spec.name, value);
                });
  bool high = (chosen && more) || contains(spec.name, kHead);
  return {group_size_, high ? recipe_.high_bits : recipe_.low_bits, "affine"};
}

}  // namespace assay::nn
