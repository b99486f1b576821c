// GPTQ's and AWQ's settings against the numbers stored: whether zeros stand in
// the middle, and inputs in the order of their groups. A few modules are looked
// at, and the beginnings of their tensors: a setting is that of the whole
// model.

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <vector>

#include <fmt/format.h>

#include "assay/check/quantization_checker.h"

namespace assay::rules {
using namespace fields;
namespace {

constexpr size_t kModules = 16;
constexpr size_t kNumbers = 16 << 10;

/** `look(tensor, its first numbers)` for modules in turn, until it is true. */
template <class Look>
void look_at_numbers(const QuantizationChecker& checker,
                     std::string_view ending,
                     const Look& look) {
  auto data = TensorData(checker.model());
  size_t count = 0;
  for (const auto& tensor : checker.model().tensors) {
    if (!tensor.name.ends_with(ending) ||
        (tensor.dtype != DType::i32 && tensor.dtype != DType::u32)) {
      continue;
    }
    auto bytes = data.bytes(tensor);
    std::vector<uint32_t> numbers(
        std::min(kNumbers, bytes.size() / sizeof(uint32_t)));
    if (numbers.empty()) {
      continue;
    }
    std::memcpy(
        numbers.data(), bytes.data(), numbers.size() * sizeof(uint32_t));
    if (look(tensor, numbers) || ++count == kModules) {
      return;
    }
  }
}

/** Word `index` of a row in which every code is this one: codes follow each
 * other from the lowest bit on, those of 3 bits across words. */
uint32_t repeated(uint32_t code, int64_t bits, size_t index) {
  uint32_t word = 0;
  for (size_t at = 0; at < 32; ++at) {
    auto place = (32 * index + at) % static_cast<size_t>(bits);
    word |= (code >> place & 1) << at;
  }
  return word;
}

void add_contradiction(QuantizationChecker& checker,
                       std::string_view field,
                       std::string expected) {
  const auto* value = member(checker.block(), field);
  checker.findings.push_back(
      make_finding("quantization.wrong-setting",
                   fmt::format("{}.{}", checker.where(), field),
                   std::move(expected),
                   value == nullptr ? "none" : shown(*value)));
}

/** Every zero is the middle of what codes may be, less one of `less`, and all
 * of them less the same; else `field` should be `otherwise`. */
void hold_middle(QuantizationChecker& checker,
                 std::string_view field,
                 std::string_view otherwise,
                 std::initializer_list<uint32_t> less) {
  auto packing = checker.found();
  if (!packing || packing->bits < 2 || packing->bits > 8) {
    return;
  }
  auto middle = uint32_t{1} << (packing->bits - 1);
  look_at_numbers(checker, ".qzeros", [&](const auto& tensor, const auto& all) {
    size_t width =
        tensor.shape.empty() ? 1 : static_cast<size_t>(tensor.shape.back());
    bool symmetric = std::ranges::any_of(less, [&](uint32_t one) {
      for (size_t i = 0; i < all.size(); ++i) {
        if (all[i] != repeated(middle - one, packing->bits, i % width)) {
          return false;
        }
      }
      return true;
    });
    if (!symmetric) {
      add_contradiction(
          checker,
          field,
          fmt::format(
              "{}: not all of {} is in the middle", otherwise, tensor.name));
    }
    return !symmetric;
  });
}

}  // namespace

void hold_gptq_zeros(QuantizationChecker& checker) {
  // The first format stores one less, gptq_v2 the zero itself.
  hold_middle(checker, "sym", "false", {1, 0});
}

void hold_awq_zeros(QuantizationChecker& checker) {
  hold_middle(checker, "zero_point", "true", {0});
}

void hold_order(QuantizationChecker& checker) {
  auto packing = checker.found();
  if (!packing) {
    return;
  }
  look_at_numbers(checker, ".g_idx", [&](const auto& tensor, const auto& all) {
    for (size_t input = 0; input < all.size(); ++input) {
      auto group = packing->group == 0
                       ? 0
                       : static_cast<int64_t>(input) / packing->group;
      if (all[input] != group) {
        add_contradiction(checker,
                          "desc_act",
                          fmt::format("true: input {} is of group {} in {}",
                                      input,
                                      all[input],
                                      tensor.name));
        return true;
      }
    }
    return false;
  });
}

}  // namespace assay::rules
