// Indexes of shards: refused with a finding, or naming only files inside.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "assay/core/finding.h"
#include "assay/formats/safetensors_index.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = std::string_view(reinterpret_cast<const char*>(data), size);
  try {
    auto index = parse_safetensors_index(text, "fuzz");
    for (const auto& shard : index.shards) {
      auto inside = std::filesystem::path("/folder/").append(shard);
      expect(inside.lexically_normal().string().starts_with("/folder/"),
             "a shard outside the folder");
    }
    for (const auto& [name, shard] : index.shard_of) {
      expect(shard < index.shards.size(), "a tensor of no shard");
    }
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
  return 0;
}
