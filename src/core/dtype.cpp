#include "assay/core/dtype.h"

#include <array>

namespace assay {
namespace {

// Sizes: safetensors' `Dtype::bitsize`, ggml's `type_traits` table.
constexpr std::array kInfos = {
    DTypeInfo{DType::boolean, "BOOL", 1, 1},
    DTypeInfo{DType::u8, "U8", 1, 1},
    DTypeInfo{DType::i8, "I8", 1, 1},
    DTypeInfo{DType::u16, "U16", 1, 2},
    DTypeInfo{DType::i16, "I16", 1, 2},
    DTypeInfo{DType::u32, "U32", 1, 4},
    DTypeInfo{DType::i32, "I32", 1, 4},
    DTypeInfo{DType::u64, "U64", 1, 8},
    DTypeInfo{DType::i64, "I64", 1, 8},
    DTypeInfo{DType::f16, "F16", 1, 2},
    DTypeInfo{DType::bf16, "BF16", 1, 2},
    DTypeInfo{DType::f32, "F32", 1, 4},
    DTypeInfo{DType::f64, "F64", 1, 8},
    DTypeInfo{DType::f8_e4m3, "F8_E4M3", 1, 1},
    DTypeInfo{DType::f8_e5m2, "F8_E5M2", 1, 1},
    DTypeInfo{DType::f8_e8m0, "F8_E8M0", 1, 1},
    DTypeInfo{DType::f6_e2m3, "F6_E2M3", 4, 3},
    DTypeInfo{DType::f6_e3m2, "F6_E3M2", 4, 3},
    DTypeInfo{DType::f4, "F4", 2, 1},
    DTypeInfo{DType::c64, "C64", 1, 8},
    DTypeInfo{DType::q4_0, "Q4_0", 32, 18},
    DTypeInfo{DType::q4_1, "Q4_1", 32, 20},
    DTypeInfo{DType::q5_0, "Q5_0", 32, 22},
    DTypeInfo{DType::q5_1, "Q5_1", 32, 24},
    DTypeInfo{DType::q8_0, "Q8_0", 32, 34},
    DTypeInfo{DType::q8_1, "Q8_1", 32, 36},
    DTypeInfo{DType::q2_k, "Q2_K", 256, 84},
    DTypeInfo{DType::q3_k, "Q3_K", 256, 110},
    DTypeInfo{DType::q4_k, "Q4_K", 256, 144},
    DTypeInfo{DType::q5_k, "Q5_K", 256, 176},
    DTypeInfo{DType::q6_k, "Q6_K", 256, 210},
    DTypeInfo{DType::q8_k, "Q8_K", 256, 292},
    DTypeInfo{DType::iq2_xxs, "IQ2_XXS", 256, 66},
    DTypeInfo{DType::iq2_xs, "IQ2_XS", 256, 74},
    DTypeInfo{DType::iq3_xxs, "IQ3_XXS", 256, 98},
    DTypeInfo{DType::iq1_s, "IQ1_S", 256, 50},
    DTypeInfo{DType::iq4_nl, "IQ4_NL", 32, 18},
    DTypeInfo{DType::iq3_s, "IQ3_S", 256, 110},
    DTypeInfo{DType::iq2_s, "IQ2_S", 256, 82},
    DTypeInfo{DType::iq4_xs, "IQ4_XS", 256, 136},
    DTypeInfo{DType::iq1_m, "IQ1_M", 256, 56},
    DTypeInfo{DType::tq1_0, "TQ1_0", 256, 54},
    DTypeInfo{DType::tq2_0, "TQ2_0", 256, 66},
    DTypeInfo{DType::mxfp4, "MXFP4", 32, 17},
    DTypeInfo{DType::nvfp4, "NVFP4", 64, 36},
    DTypeInfo{DType::q1_0, "Q1_0", 128, 18},
    DTypeInfo{DType::q2_0, "Q2_0", 64, 18},
};

constexpr bool in_order() {
  for (size_t i = 0; i < kInfos.size(); ++i) {
    if (static_cast<size_t>(kInfos[i].dtype) != i) {
      return false;
    }
  }
  return true;
}
static_assert(in_order(), "the table follows the enumeration");

}  // namespace

const DTypeInfo& info(DType dtype) {
  return kInfos[static_cast<size_t>(dtype)];
}

std::string_view name(DType dtype) {
  return info(dtype).name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const auto& entry : kInfos) {
    if (entry.name == name) {
      return entry.dtype;
    }
  }
  return std::nullopt;
}

bool is_block_quantized(DType dtype) {
  return dtype >= DType::q4_0;
}

bool is_floating(DType dtype) {
  return dtype >= DType::f16 && dtype <= DType::f4;
}

std::optional<uint64_t> byte_size(DType dtype, uint64_t elements) {
  const auto& block = info(dtype);
  if (elements % block.elements != 0) {
    return std::nullopt;
  }
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(
          elements / block.elements, uint64_t{block.bytes}, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace assay
