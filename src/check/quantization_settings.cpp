// GPTQ's and AWQ's settings against the numbers stored: whether zeros stand in
// the middle, and inputs in the order of their groups. A few modules are looked
// at, and the beginnings of their tensors: a setting is that of the whole
// model.

#include <algorithm>
#include <array>
#include <cstring>
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

/** The code in every place of a word. */
uint32_t repeated(uint32_t code, int64_t bits) {
  uint32_t word = 0;
  for (int64_t at = 0; at < 32; at += bits) {
    word |= code << at;
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

}  // namespace

void hold_symmetric(QuantizationChecker& checker,
                    std::string_view field,
                    bool value_for_zeros) {
  auto packing = checker.found();
  if (!packing || packing->bits < 2 || 32 % packing->bits != 0) {
    return;  // 3 bits cross words
  }
  auto middle = uint32_t{1} << (packing->bits - 1);
  // GPTQ's first format stores one less, gptq_v2 and AWQ the zero itself.
  const std::array words = {repeated(middle - 1, packing->bits),
                            repeated(middle, packing->bits)};
  look_at_numbers(checker, ".qzeros", [&](const auto& tensor, const auto& all) {
    bool symmetric = std::ranges::any_of(words, [&](uint32_t middle_word) {
      return std::ranges::all_of(
          all, [&](uint32_t word) { return word == middle_word; });
    });
    if (!symmetric) {
      add_contradiction(checker,
                        field,
                        fmt::format("{}: not all of {} is in the middle",
                                    value_for_zeros,
                                    tensor.name));
    }
    return !symmetric;
  });
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
