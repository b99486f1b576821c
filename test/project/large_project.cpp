#include "large_project.h"

#include <array>
#include <random>
#include <string>

#include <fmt/format.h>

#include "assay/core/file.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

class Words {
 public:
  // Fixed arithmetic: distributions of the library differ between systems.
  const char* word() {
    constexpr std::array<const char*, 24> kWords = {
        "attention", "quantize", "group",   "perplexity", "tokenizer",
        "template",  "cache",    "context", "memory",     "kernel",
        "expert",    "window",   "scale",   "rope",       "norm",
        "embedding", "prompt",   "batch",   "decode",     "prefill",
        "adapter",   "export",   "header",  "shard"};
    return kWords.at(random_() % kWords.size());
  }
  std::string sentence(int count) {
    std::string text;
    for (int index = 0; index < count; ++index) {
      text += (index == 0 ? "" : " ") + std::string(word());
    }
    return text;
  }
  unsigned number(unsigned below) {
    return static_cast<unsigned>(random_() % below);
  }

 private:
  std::mt19937 random_{7};
};

std::string tasks_text(int count, Words& words) {
  std::string text = "# TODO\n";
  for (int task = 0; task < count; ++task) {
    if (task % 100 == 0) {
      text += fmt::format("\n## Part {}\n\n", task / 100);
    }
    auto state = words.number(10);
    text += fmt::format("- [{}] {} {}\n",
                        state == 0 ? "/" : (state < 4 ? " " : "x"),
                        words.sentence(7),
                        task);
    if (task % 5 == 0) {
      text += fmt::format("  - {}\n", words.sentence(9));
    }
  }
  return text;
}

std::string learnings_text(int decisions, Words& words) {
  std::string text = "# Learnings\n\n## Insights\n\n";
  for (int index = 0; index < decisions * 2; ++index) {
    text += fmt::format("- 2026-01-02: {} {}\n  {}\n",
                        words.sentence(9),
                        index,
                        words.sentence(10));
  }
  text += "\n## Failed Approaches\n\n";
  for (int index = 0; index < decisions; ++index) {
    text += fmt::format("- 2026-01-02: {} {}\n", words.sentence(11), index);
  }
  text += "\n## Decisions\n";
  for (int index = 0; index < decisions; ++index) {
    text += fmt::format(
        "\n### Decision: {} {}\n\n- **Date**: 2026-01-02\n"
        "- **Rationale**: {}\n- **Trade-off**: {}\n- **Validation**: {}\n",
        words.sentence(4),
        index,
        words.sentence(12),
        words.sentence(8),
        words.sentence(6));
  }
  return text;
}

std::string results_text(int count, Words& words) {
  std::string text;
  for (int index = 0; index < count; ++index) {
    text += fmt::format(
        R"({{"id": "{:012x}", "time": "2026-01-{:02}T{:02}:{:02}:{:02}.0Z", )"
        R"("kind": "bench", "model": {{"name": "model-{}", )"
        R"("path": "models/model-{}", "hash": "s1-{:032x}"}}, )"
        R"("settings": {{"prompt": "512"}}, "conditions": )"
        R"({{"machine": "a machine", "assay": "0.1.0"}}, "values": )"
        R"([{{"what": "decode 64", "value": {}.5, "unit": "tokens/s", )"
        R"("spread": 1.5, "runs": 3, "better": "more"}}], )"
        R"("command": "assay measure bench models/model-{}"}})"
        "\n",
        index,
        index / 86400 % 28 + 1,
        index / 3600 % 24,
        index / 60 % 60,
        index % 60,
        index % 20,
        index % 20,
        index % 20,
        60 + words.number(10),
        index % 20);
  }
  return text;
}

}  // namespace

void write_large_project(const fs::path& folder, const LargeSize& size) {
  Words words;
  fs::create_directories(folder / "reference");
  fs::create_directories(folder / "test");
  write_text(folder / "assay.toml", "name = \"large\"\nkind = \"llm\"\n");
  write_text(folder / "README.md", "# Large\n");
  write_text(folder / "test/README.md", "# Tests\n");
  write_text(folder / "TODO.md", tasks_text(size.tasks, words));
  write_text(folder / "reference/LEARNINGS.md",
             learnings_text(size.decisions, words));
  write_text(folder / "reference/DIAGNOSTICS.md", "# Diagnostics\n");
  write_text(folder / "reference/RESULTS.md", "# Results\n");
  write_text(folder / "reference/results.jsonl",
             results_text(size.results, words));
}

}  // namespace assay::project
