// The order in which bits are taken away, and the search along it.

#include "assay/quantize/mix.h"

#include <functional>

#include <doctest/doctest.h>

using namespace assay::quantization;

namespace {

// Candidates 0, 1, 2: fewer and fewer bytes.
Options group(double loss_each) {
  return {{kKeep, 100, 0},
          {0, 80, loss_each},
          {1, 60, 3 * loss_each},
          {2, 40, 9 * loss_each}};
}

// Runs a search against a made-up measurement; returns the last mix within.
size_t search(const MixPath& path,
              double limit,
              const std::function<double(size_t)>& measured,
              int* asked = nullptr) {
  PathSearch search(path, 0, limit);
  size_t best = 0;
  int count = 0;
  while (!search.finished() && count < 50) {
    auto index = search.next();
    double loss = measured(index);
    search.tell(index, loss);
    best = loss <= limit ? std::max(best, index) : best;
    ++count;
  }
  if (asked != nullptr) {
    *asked = count;
  }
  return best;
}

}  // namespace

TEST_CASE("a path starts with everything kept and changes one group a step") {
  auto path = mix_path({group(0.1), group(0.5)});
  REQUIRE(path.mixes.size() == 7);
  CHECK(path.mixes.front() == Mix{kKeep, kKeep});
  CHECK(path.mixes.back() == Mix{2, 2});
  CHECK(path.bytes.front() == 200);
  CHECK(path.bytes.back() == 80);
  for (size_t i = 1; i < path.mixes.size(); ++i) {
    int changed = 0;
    for (size_t g = 0; g < 2; ++g) {
      changed += path.mixes[i][g] != path.mixes[i - 1][g] ? 1 : 0;
    }
    CHECK(changed == 1);
    CHECK(path.bytes[i] < path.bytes[i - 1]);
    CHECK(path.loss[i] >= path.loss[i - 1]);
  }
}

TEST_CASE("what loses less goes first") {
  auto path = mix_path({group(0.5), group(0.1)});
  CHECK(path.mixes[1] == Mix{kKeep, 0});
  CHECK(path.mixes[2] == Mix{kKeep, 1});
}

TEST_CASE("an option off the convex hull is never taken") {
  // Candidate 0 loses nearly as much as candidate 1, which saves twice that.
  auto path = mix_path({{{kKeep, 100, 0}, {0, 80, 1.0}, {1, 60, 1.1}}});
  REQUIRE(path.mixes.size() == 2);
  CHECK(path.mixes[1] == Mix{1});
}

TEST_CASE("an option that saves nothing is never taken") {
  auto path = mix_path({{{kKeep, 100, 0}, {0, 100, 0}, {1, 120, 0}}});
  CHECK(path.mixes.size() == 1);
}

TEST_CASE(
    "the search finds the last mix within, however wrong the prediction") {
  std::vector<Options> groups;
  for (int i = 0; i < 40; ++i) {
    groups.push_back(group(0.001 * (i + 1)));
  }
  auto path = mix_path(groups);
  for (double factor : {0.01, 1.0, 30.0}) {
    CAPTURE(factor);
    auto measured = [&](size_t i) { return factor * path.loss[i]; };
    int asked = 0;
    auto best = search(path, 0.5, measured, &asked);
    CHECK(measured(best) <= 0.5);
    // The next mixes that are noticeably smaller are beyond.
    size_t next = best + 1;
    while (next < path.mixes.size() &&
           static_cast<double>(path.bytes[next]) >
               0.995 * static_cast<double>(path.bytes[best])) {
      ++next;
    }
    if (next < path.mixes.size()) {
      CHECK(measured(next) > 0.5);
    }
    CHECK(asked <= 9);
  }
}

TEST_CASE("around a step too far, the mixes before it stay") {
  std::vector<Options> groups = {group(0.1), group(0.5)};
  auto path = mix_path(groups);
  forbid_step(groups, path, 2);
  auto around = mix_path(groups);
  CHECK(around.mixes[0] == path.mixes[0]);
  CHECK(around.mixes[1] == path.mixes[1]);
  for (const auto& mix : around.mixes) {
    CHECK(mix != path.mixes[2]);
  }
  CHECK(around.bytes.back() > path.bytes.back());
}

TEST_CASE("the search ends where nothing is within") {
  auto path = mix_path({group(0.1), group(0.5)});
  int asked = 0;
  search(path, 0.5, [](size_t) { return 1.0; }, &asked);
  CHECK(asked < 10);
}
