// JSON configs: refused with a finding, or a document whose quantization block
// and fields are read or refused in turn.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/formats/config_reader.h"
#include "assay/formats/quantization_config.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

namespace {

template <class Call>
void attempt(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
}

void read_fields(const Json& config) {
  ConfigReader reader(config, "fuzz");
  attempt([&] { reader.dimension("hidden_size"); });
  attempt([&] { reader.real("rms_norm_eps"); });
  attempt([&] { reader.flag("tie_word_embeddings"); });
  attempt([&] { reader.text("hidden_act"); });
  attempt([&] { reader.maybe_integer("num_key_value_heads"); });
  attempt([&] { reader.maybe_numbers("short_factor"); });
  attempt([&] { reader.maybe_texts("layer_types"); });
  attempt([&] { reader.child("rope_scaling").number({"factor"}); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = std::string_view(reinterpret_cast<const char*>(data), size);
  attempt([&] {
    auto config = parse_json(text, "fuzz");
    auto again = parse_json(to_text(config), "again");
    expect(again == config, "another document when written and read");
    if (config.is_object()) {
      read_fields(config);
      attempt([&] { quantization_config(config, "fuzz"); });
    }
  });
  return 0;
}
