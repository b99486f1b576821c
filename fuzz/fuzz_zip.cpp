// Zip archives: refused with a finding, or every entry within the file and
// unpacked to the size that it states.

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/core/finding.h"
#include "assay/formats/zip.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

namespace {

constexpr uint64_t kLimit = 4u << 20;

void unpack_all(const Zip& zip, size_t size) {
  size_t entries = 0;
  for (const auto& entry : zip.entries) {
    if (entry.reachable) {
      expect(entry.data <= size && entry.packed <= size - entry.data,
             "an entry beyond the end");
    }
    if (++entries > 20) {
      continue;  // enough of this input
    }
    try {
      auto bytes = unpack(zip, entry, kLimit, false, "fuzz");
      expect(bytes.size() == entry.size, "another size than stated");
    } catch (const Error& error) {
      expect(!error.finding().cause.empty(), "a finding without a cause");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = std::as_bytes(std::span(data, size));
  try {
    unpack_all(read_zip(bytes, "fuzz"), size);
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
  try {
    inflate_stream(bytes, kLimit, "fuzz");
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
  return 0;
}
