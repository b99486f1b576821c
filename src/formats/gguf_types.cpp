#include "assay/formats/gguf_types.h"

#include <array>

namespace assay {
namespace {

struct GgmlType {
  std::optional<DType> dtype;
  std::string_view removed;  ///< name of a removed type
};

// Indexed by number. The removed ones were repacked layouts and early formats
// that no current program reads.
constexpr std::array<GgmlType, 43> kTypes = {{
    {DType::f32, ""},      // 0
    {DType::f16, ""},      // 1
    {DType::q4_0, ""},     // 2
    {DType::q4_1, ""},     // 3
    {{}, "Q4_2"},          // 4
    {{}, "Q4_3"},          // 5
    {DType::q5_0, ""},     // 6
    {DType::q5_1, ""},     // 7
    {DType::q8_0, ""},     // 8
    {DType::q8_1, ""},     // 9
    {DType::q2_k, ""},     // 10
    {DType::q3_k, ""},     // 11
    {DType::q4_k, ""},     // 12
    {DType::q5_k, ""},     // 13
    {DType::q6_k, ""},     // 14
    {DType::q8_k, ""},     // 15
    {DType::iq2_xxs, ""},  // 16
    {DType::iq2_xs, ""},   // 17
    {DType::iq3_xxs, ""},  // 18
    {DType::iq1_s, ""},    // 19
    {DType::iq4_nl, ""},   // 20
    {DType::iq3_s, ""},    // 21
    {DType::iq2_s, ""},    // 22
    {DType::iq4_xs, ""},   // 23
    {DType::i8, ""},       // 24
    {DType::i16, ""},      // 25
    {DType::i32, ""},      // 26
    {DType::i64, ""},      // 27
    {DType::f64, ""},      // 28
    {DType::iq1_m, ""},    // 29
    {DType::bf16, ""},     // 30
    {{}, "Q4_0_4_4"},      // 31
    {{}, "Q4_0_4_8"},      // 32
    {{}, "Q4_0_8_8"},      // 33
    {DType::tq1_0, ""},    // 34
    {DType::tq2_0, ""},    // 35
    {{}, "IQ4_NL_4_4"},    // 36
    {{}, "IQ4_NL_4_8"},    // 37
    {{}, "IQ4_NL_8_8"},    // 38
    {DType::mxfp4, ""},    // 39
    {DType::nvfp4, ""},    // 40
    {DType::q1_0, ""},     // 41
    {DType::q2_0, ""},     // 42
}};

}  // namespace

std::optional<DType> dtype_from_ggml(uint32_t id) {
  return id < kTypes.size() ? kTypes[id].dtype : std::nullopt;
}

std::optional<uint32_t> ggml_id(DType dtype) {
  for (uint32_t id = 0; id < kTypes.size(); ++id) {
    if (kTypes[id].dtype == dtype) {
      return id;
    }
  }
  return std::nullopt;
}

std::string_view removed_ggml_type(uint32_t id) {
  return id < kTypes.size() ? kTypes[id].removed : std::string_view();
}

}  // namespace assay
