#include "assay/quantize/groups.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace assay::quantization {
namespace {

// The number of the layer in a path: its first segment that is a number.
std::optional<int> layer_of(std::string_view path) {
  while (!path.empty()) {
    auto dot = std::min(path.find('.'), path.size());
    auto segment = path.substr(0, dot);
    auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    constexpr size_t kMostDigits = 6;
    if (!segment.empty() && segment.size() <= kMostDigits &&
        std::ranges::all_of(segment, is_digit)) {
      return std::stoi(std::string(segment));
    }
    path.remove_prefix(std::min(path.size(), dot + 1));
  }
  return std::nullopt;
}

std::string layers_name(int first, int last, nn::Role role) {
  return first == last
             ? fmt::format("layer {} {}", first, nn::name(role))
             : fmt::format("layers {}-{} {}", first, last, nn::name(role));
}

}  // namespace

std::vector<Group> make_groups(const TrialModel& model, size_t most) {
  std::set<std::pair<int, nn::Role>> pairs;
  int layers = 0;
  for (size_t i = 0; i < model.parameters(); ++i) {
    auto layer = layer_of(model.spec(i).name);
    if (model.open(i) && layer) {
      pairs.insert({*layer, model.spec(i).role()});
      layers = std::max(layers, *layer + 1);
    }
  }
  auto joined =
      static_cast<int>(std::max<size_t>(1, (pairs.size() + most - 1) / most));
  std::vector<Group> groups;
  std::map<std::pair<int, nn::Role>, size_t> places;
  for (size_t i = 0; i < model.parameters(); ++i) {
    if (!model.open(i)) {
      continue;
    }
    const auto& spec = model.spec(i);
    auto layer = layer_of(spec.name);
    if (!layer) {
      groups.push_back({conversion::module_path(spec.name), {i}});
      continue;
    }
    int first = *layer / joined * joined;
    auto [place, fresh] =
        places.try_emplace({first, spec.role()}, groups.size());
    if (fresh) {
      int last = std::min(first + joined, layers) - 1;
      groups.push_back({layers_name(first, last, spec.role()), {}});
    }
    groups[place->second].parameters.push_back(i);
  }
  return groups;
}

}  // namespace assay::quantization
