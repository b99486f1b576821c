// Chat templates of strangers: they render, or end with a finding, within the
// bounds of time and memory.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/text/chat_template.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = std::string_view(reinterpret_cast<const char*>(data), size);
  static const Json kMessages = Json::parse(
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
          {"role": "assistant", "content": "a"}, {"role": "user",
           "content": [{"type": "text", "text": "t"}]}])");
  try {
    render_chat(text, kMessages, {});
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
  return 0;
}
