// A project as it is after years: 5000 tasks, 500 decisions, 10000 results.
// What `session start` needs together must stay under 200 ms.

#include <filesystem>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/platform.h"
#include "assay/project/learnings.h"
#include "assay/project/recall.h"
#include "assay/project/results.h"
#include "assay/project/tasks.h"
#include "assay/project/trends.h"

namespace {

namespace fs = std::filesystem;
using namespace assay::project;

std::string tasks_text() {
  std::string text = "# TODO\n";
  for (int task = 0; task < 5000; ++task) {
    if (task % 100 == 0) {
      text += fmt::format("\n## Part {}\n\n", task / 100);
    }
    text += fmt::format("- [{}] Trace the drift of layer {} to its cause\n",
                        task % 3 == 0 ? ' ' : 'x',
                        task);
  }
  return text;
}

std::string learnings_text() {
  std::string text = "# Learnings\n\n## Decisions\n";
  for (int decision = 0; decision < 500; ++decision) {
    text += fmt::format(
        "\n### Decision: Keep part {0} in {1} bits\n\n- **Date**: 2026-01-01\n"
        "- **Rationale**: it drifts most of all parts, number {0}\n"
        "- **Trade-off**: 3% larger\n- **Validation**: perplexity\n",
        decision,
        decision % 8);
  }
  return text;
}

std::string ledger_text() {
  std::string text;
  for (int number = 0; number < 10000; ++number) {
    Run run;
    run.time = fmt::format("2026-{:02}-{:02}T10:{:02}:{:02}.000000Z",
                           number / 900 + 1,
                           number / 32 % 28 + 1,
                           number / 60 % 60,
                           number % 60);
    run.kind = "bench";
    auto model = fmt::format("models/m{}", number % 40);
    run.model = {model, model, "s1-0123456789abcdef0123456789abcdef"};
    run.settings = {{"prefill step", "512"}};
    run.conditions = {{"system", "Linux 6.18"},
                      {"processor", "AMD EPYC"},
                      {"cores", "2"},
                      {"memory", "23.5 GiB"},
                      {"MLX", "0.32.4"},
                      {"device", "CPU"},
                      {"threads", "2"},
                      {"assay", "0.1.0"}};
    run.values = {{.what = "decode 64",
                   .value = static_cast<double>(70 + number % 7),
                   .unit = "tokens/s",
                   .spread = 1.5,
                   .runs = 5,
                   .better = Better::more}};
    run.command = "assay measure bench " + model + " --record";
    text += ledger_line(run) + "\n";
  }
  return text;
}

// Made once, removed at the end of the program.
class Project {
 public:
  Project()
      : root_(fs::temp_directory_path() /
              fmt::format("assay-bench-project-{}",
                          assay::platform::process_id())) {
    fs::create_directories(root_ / "reference");
    assay::write_text(root_ / "TODO.md", tasks_text());
    assay::write_text(root_ / kLearningsFile, learnings_text());
    assay::write_text(root_ / kLedgerFile, ledger_text());
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
  recall(store(), "drift");
  for (auto _ : state) {
    benchmark::DoNotOptimize(recall(store(), "drift of layer 4711"));
  }
}
BENCHMARK(recall_again)->Unit(benchmark::kMillisecond);

void recall_first(benchmark::State& state) {
  for (auto _ : state) {
    fs::remove(store().root() / kIndexFile);
    benchmark::DoNotOptimize(recall(store(), "drift of layer 4711"));
  }
}
BENCHMARK(recall_first)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
