// A project as it is after years: 5000 tasks, 500 decisions, 10000 results.
// What `session start` needs together must stay under 200 ms.

#include <filesystem>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "assay/core/platform.h"
#include "assay/project/learnings.h"
#include "assay/project/recall.h"
#include "assay/project/results.h"
#include "assay/project/tasks.h"
#include "assay/project/trends.h"

#include "../test/project/large_project.h"

namespace {

namespace fs = std::filesystem;
using namespace assay::project;

// Made once, removed at the end of the program.
class Project {
 public:
  Project()
      : root_(fs::temp_directory_path() /
              fmt::format("assay-bench-project-{}",
                          assay::platform::process_id())) {
    write_large_project(root_, {});
  }
  ~Project() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  Project(const Project&) = delete;
  Project& operator=(const Project&) = delete;
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

const Store& store() {
  static const Project project;
  static const Store opened(project.root());
  return opened;
}

void tasks(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(list_tasks(store()));
  }
}
BENCHMARK(tasks)->Unit(benchmark::kMillisecond);

void decisions(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(list_decisions(store()));
  }
}
BENCHMARK(decisions)->Unit(benchmark::kMillisecond);

void ledger_and_regressions(benchmark::State& state) {
  for (auto _ : state) {
    auto ledger = read_ledger(store());
    benchmark::DoNotOptimize(regressions(ledger));
  }
}
BENCHMARK(ledger_and_regressions)->Unit(benchmark::kMillisecond);

void recall_again(benchmark::State& state) {
  recall(store(), "rope");
  for (auto _ : state) {
    benchmark::DoNotOptimize(recall(store(), "attention of expert 4711"));
  }
}
BENCHMARK(recall_again)->Unit(benchmark::kMillisecond);

void recall_first(benchmark::State& state) {
  for (auto _ : state) {
    fs::remove(store().root() / kIndexFile);
    benchmark::DoNotOptimize(recall(store(), "attention of expert 4711"));
  }
}
BENCHMARK(recall_first)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
