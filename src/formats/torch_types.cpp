#include "assay/formats/torch_types.h"

#include <algorithm>
#include <array>

namespace assay {
namespace {

using T = TorchType;
constexpr auto kNone = std::nullopt;

constexpr std::array kDtypes = {
    T{"bfloat16", 2, DType::bf16},  T{"bool", 1, DType::boolean},
    T{"cdouble", 16, kNone},        T{"cfloat", 8, DType::c64},
    T{"complex128", 16, kNone},     T{"complex32", 4, kNone},
    T{"complex64", 8, DType::c64},  T{"double", 8, DType::f64},
    T{"float", 4, DType::f32},      T{"float16", 2, DType::f16},
    T{"float32", 4, DType::f32},    T{"float4_e2m1fn_x2", 1, DType::f4},
    T{"float64", 8, DType::f64},    T{"float8_e4m3fn", 1, DType::f8_e4m3},
    T{"float8_e4m3fnuz", 1, kNone}, T{"float8_e5m2", 1, DType::f8_e5m2},
    T{"float8_e5m2fnuz", 1, kNone}, T{"float8_e8m0fnu", 1, DType::f8_e8m0},
    T{"half", 2, DType::f16},       T{"int", 4, DType::i32},
    T{"int16", 2, DType::i16},      T{"int32", 4, DType::i32},
    T{"int64", 8, DType::i64},      T{"int8", 1, DType::i8},
    T{"long", 8, DType::i64},       T{"qint32", 4, kNone},
    T{"qint8", 1, kNone},           T{"quint2x4", 1, kNone},
    T{"quint4x2", 1, kNone},        T{"quint8", 1, kNone},
    T{"short", 2, DType::i16},      T{"uint16", 2, DType::u16},
    T{"uint32", 4, DType::u32},     T{"uint64", 8, DType::u64},
    T{"uint8", 1, DType::u8},
};

constexpr std::array kStorageTypes = {
    T{"BFloat16Storage", 2, DType::bf16},
    T{"BoolStorage", 1, DType::boolean},
    T{"ByteStorage", 1, DType::u8},
    T{"CharStorage", 1, DType::i8},
    T{"ComplexDoubleStorage", 16, kNone},
    T{"ComplexFloatStorage", 8, DType::c64},
    T{"DoubleStorage", 8, DType::f64},
    T{"FloatStorage", 4, DType::f32},
    T{"HalfStorage", 2, DType::f16},
    T{"IntStorage", 4, DType::i32},
    T{"LongStorage", 8, DType::i64},
    T{"QInt32Storage", 4, kNone},
    T{"QInt8Storage", 1, kNone},
    T{"QUInt2x4Storage", 1, kNone},
    T{"QUInt4x2Storage", 1, kNone},
    T{"QUInt8Storage", 1, kNone},
    T{"ShortStorage", 2, DType::i16},
    T{"UntypedStorage", 1, DType::u8},
};

template <class List>
const TorchType* find(const List& list, std::string_view name) {
  auto entry = std::ranges::find(list, name, &TorchType::name);
  return entry == list.end() ? nullptr : &*entry;
}

}  // namespace

const TorchType* torch_dtype(std::string_view name) {
  return find(kDtypes, name);
}

const TorchType* torch_storage_type(std::string_view name) {
  return find(kStorageTypes, name);
}

}  // namespace assay
