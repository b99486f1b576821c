// Pickles: read as data, and judged; what is called safe imports nothing that
// is not on the list.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "assay/formats/pickle_globals.h"
#include "assay/formats/pickle_judge.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

namespace {

void check(const Pickle& pickle, size_t size) {
  expect(pickle.end <= size, "an end beyond the bytes");
  expect(pickle.root < pickle.values.size(), "a root that is no value");
  for (const auto& value : pickle.values) {
    expect(value.offset <= size, "a value beyond the bytes");
    expect(std::ranges::all_of(
               value.items,
               [&](PickleRef ref) { return ref < pickle.values.size(); }),
           "an item that is no value");
  }
  for (const auto& event : pickle.events) {
    expect(event.value < pickle.values.size(), "an event without a value");
    expect(event.offset < size, "an event beyond the bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = std::string_view(reinterpret_cast<const char*>(data), size);
  auto pickle = read_pickle(text);
  check(pickle, size);
  PickleScene scene;
  scene.has_storages = size % 2 == 0;
  auto verdict = judge_pickle(pickle, scene);
  expect((verdict.safety == Safety::safe) == verdict.reasons.empty(),
         "a verdict without its reason");
  if (verdict.safety == Safety::safe) {
    expect(pickle.complete, "safe, and not whole");
    for (const auto& value : pickle.values) {
      auto known = value.kind != PickleValue::Kind::global ||
                   trust_of(value.module, value.text) < Trust::unknown;
      expect(known, "safe, with an import that is not known");
    }
  }
  describe(pickle, pickle.root);
  return 0;
}
