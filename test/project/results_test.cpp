// The ledger of results, its view, and what counts as a regression.

#include "assay/project/results.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/blocks.h"
#include "assay/project/fingerprint.h"
#include "assay/project/plot.h"
#include "assay/project/session_results.h"
#include "assay/project/trends.h"

#include "support.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A run of a decode benchmark; `day` orders them.
Run run_of(int day, double value, std::optional<double> spread = 1.0) {
  Run run;
  run.time = fmt::format("2026-01-{:02}T10:00:00.000000Z", day);
  run.kind = "bench";
  run.model = {"m", "models/m", "s1-abc"};
  run.conditions = {{"processor", "P"}, {"device", "CPU"}, {"MLX", "0.32.4"}};
  run.values = {{.what = "decode 64",
                 .value = value,
                 .unit = "tokens/s",
                 .spread = spread,
                 .runs = 5,
                 .better = Better::more,
                 .settings = {{"prompt", "128 tokens"}}}};
  run.command = "assay measure bench models/m --record";
  return run;
}

Ledger ledger_of(const std::vector<Run>& runs) {
  std::string text;
  for (const auto& run : runs) {
    text += ledger_line(run) + "\n";
  }
  return parse_ledger(text);
}

Change newest_of(const std::vector<double>& values,
                 std::optional<double> spread) {
  std::vector<Run> runs;
  for (auto value : values) {
    runs.push_back(run_of(static_cast<int>(runs.size()) + 1, value, spread));
  }
  auto ledger = ledger_of(runs);
  auto series = series_of(ledger);
  REQUIRE(series.size() == 1);
  return series.front().newest().change;
}

}  // namespace

TEST_CASE("a run is read as it was written, whatever its words") {
  auto run = run_of(1, 69.25);
  run.model.name = "a|b \"c\" \n \xE4\xB8\x89 \xF0\x9F\x98\x80";
  run.values.push_back({.what = "KL", .value = kInfinity});
  run.values.push_back({.what = "x", .value = std::nan("")});
  run.values.push_back({.what = "size", .value = 0.1 + 0.2, .spread = 0.0});
  auto ledger = parse_ledger(ledger_line(run) + "\r\n\n");
  CHECK(ledger.findings.empty());
  REQUIRE(ledger.runs.size() == 1);
  const auto& read = ledger.runs.front();
  CHECK(read.id.size() == 12);
  CHECK(read.model == run.model);
  CHECK(read.values[0] == run.values[0]);
  CHECK(read.values[1] == run.values[1]);
  CHECK(std::isnan(read.values[2].value));
  CHECK(read.values[3] == run.values[3]);
  CHECK(read.conditions == run.conditions);
  CHECK(read.line == 1);
}

TEST_CASE("a line that is no run is named, and the others are read") {
  auto good = ledger_line(run_of(1, 1));
  for (const auto* bad :
       {"<<<<<<< HEAD",
        "[]",
        "{\"id\": \"a\"}",
        "{\"id\":\"a\",\"time\":\"now\",\"kind\":\"b\",\"values\":[]}",
        "{\"id\":\"a\",\"time\":\"2026-01-01T00:00:00Z\",\"kind\":\"b\","
        "\"values\":[]}",
        "{\"id\":\"a\",\"time\":\"2026-01-01T00:00:00Z\",\"kind\":\"b\","
        "\"values\":[{\"what\":\"x\",\"value\":\"many\"}]}",
        "\xff\xfe"}) {
    CAPTURE(bad);
    auto ledger = parse_ledger(good + "\n" + bad + "\n" + good);
    REQUIRE(ledger.findings.size() == 1);
    CHECK(ledger.findings[0].id == "results.malformed");
    CHECK(ledger.findings[0].where == "reference/results.jsonl:2");
    // The same line twice is one run: git's union of two branches.
    CHECK(ledger.runs.size() == 1);
  }
}

TEST_CASE("recording adds a line, lets git merge it, and renews the view") {
  Project project;
  project.write("reference/RESULTS.md", "# Mine\r\n\r\nWords of people.");
  project.write(".gitattributes", "*.bin binary");
  auto first = record(project.store, run_of(1, 70));
  CHECK(first.findings.empty());
  CHECK(project.read(".gitattributes") ==
        "*.bin binary\nreference/results.jsonl merge=union\n");
  auto text = project.read("reference/RESULTS.md");
  CHECK(text.starts_with("# Mine\r\n\r\nWords of people.\r\n\r\n<!-- assay:"));
  CHECK(text.find("| m | decode 64 | 70 tokens/s |") != std::string::npos);
  CHECK(text.find("`assay measure bench models/m --record`") !=
        std::string::npos);

  auto before = project.read("reference/results.jsonl");
  record(project.store, run_of(2, 71));
  auto after = project.read("reference/results.jsonl");
  CHECK(after.starts_with(before));
  text = project.read("reference/RESULTS.md");
  CHECK(text.find("| 70 tokens/s |") == std::string::npos);
  CHECK(text.find("| 71 tokens/s |") != std::string::npos);
  CHECK(text.starts_with("# Mine\r\n\r\nWords of people.\r\n"));
  CHECK(view_is_current(project.store));
  // Once more the very same run is no second one.
  record(project.store, run_of(2, 71));
  CHECK(project.read("reference/results.jsonl") == after);
}

TEST_CASE("a table that somebody edited is left alone; the run is kept") {
  Project project;
  record(project.store, run_of(1, 70));
  auto text = project.read("reference/RESULTS.md");
  auto place = text.find("70 tokens/s");
  REQUIRE(place != std::string::npos);
  text.replace(place, 2, "99");
  project.write("reference/RESULTS.md", text);
  auto recorded = record(project.store, run_of(2, 71));
  REQUIRE(recorded.findings.size() == 1);
  CHECK(recorded.findings[0].id == "project.edited-block");
  CHECK(project.read("reference/RESULTS.md") == text);
  CHECK(read_ledger(project.store).runs.size() == 2);
  CHECK(!view_is_current(project.store));
}

TEST_CASE("a broken line stops the view, not the ledger") {
  Project project;
  record(project.store, run_of(1, 70));
  auto view = project.read("reference/RESULTS.md");
  auto ledger = project.read("reference/results.jsonl");
  project.write("reference/results.jsonl", ledger + "=======\n");
  auto recorded = record(project.store, run_of(2, 71));
  REQUIRE(recorded.findings.size() == 1);
  CHECK(recorded.findings[0].id == "results.malformed");
  CHECK(project.read("reference/RESULTS.md") == view);
  CHECK(read_ledger(project.store).runs.size() == 2);
}

TEST_CASE("a ledger whose last line was not ended gets a new one") {
  Project project;
  project.write("reference/results.jsonl", ledger_line(run_of(1, 70)));
  record(project.store, run_of(2, 71));
  CHECK(read_ledger(project.store).runs.size() == 2);
  CHECK(read_ledger(project.store).findings.empty());
}

TEST_CASE("runs are named by id, its beginning, or from the newest back") {
  auto ledger = ledger_of({run_of(2, 71), run_of(1, 70), run_of(3, 72)});
  CHECK(find_run(ledger, "latest").values[0].value == 72);
  CHECK(find_run(ledger, "latest~2").values[0].value == 70);
  auto id = ledger.runs[1].id;
  CHECK(&find_run(ledger, id.substr(0, 6)) == &ledger.runs[1]);
  for (const auto* name : {"latest~3", "latest~", "abc", "", "zzzzzz"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(find_run(ledger, name), Error);
  }
}

TEST_CASE("a change counts where it is more than noise") {
  // Spread 1 of 5 runs: the error of each median is 1.4826 * 1.2533 / sqrt(5)
  // = 0.831, of the difference 1.175, three times that 3.53.
  CHECK(newest_of({100, 96.6}, 1.0) == Change::within);
  CHECK(newest_of({100, 96.4}, 1.0) == Change::worse);
  CHECK(newest_of({100, 103.6}, 1.0) == Change::better);
  CHECK(newest_of({100}, 1.0) == Change::first);
  // Never less than 1% where noise was measured, 10% where it was not.
  CHECK(newest_of({100, 99.1}, 0.01) == Change::within);
  CHECK(newest_of({100, 98.9}, 0.01) == Change::worse);
  CHECK(newest_of({100, 91}, {}) == Change::within);
  CHECK(newest_of({100, 89}, {}) == Change::worse);
  // What comes out the same each time has none.
  CHECK(newest_of({100, 99.98}, 0.0) == Change::worse);
  CHECK(newest_of({100, 99.995}, 0.0) == Change::within);
  // From four values on, their own deviation speaks, and one outlier does not.
  CHECK(newest_of({90, 110, 100, 95, 105, 86}, {}) == Change::within);
  CHECK(newest_of({100, 101, 100, 99, 10, 90}, {}) == Change::worse);
  CHECK(newest_of({100, kInfinity}, 0.0) == Change::better);
  CHECK(newest_of({kInfinity, kInfinity}, 0.0) == Change::within);
}

TEST_CASE("another machine, setting or model is another series") {
  auto a = run_of(1, 100);
  auto b = run_of(2, 10);
  b.conditions[0].second = "Q";
  auto c = run_of(3, 10);
  c.settings = {{"window", "512"}};
  auto d = run_of(4, 10);
  d.model.path = "other";
  auto ledger = ledger_of({a, b, c, d});
  CHECK(series_of(ledger).size() == 4);
  CHECK(regressions(ledger).empty());
  auto e = run_of(5, 10);
  e.conditions[2].second =
      "0.33";  // versions may explain a change, not hide it
  e.model.hash = "s1-def";
  ledger = ledger_of({a, e});
  REQUIRE(regressions(ledger).size() == 1);
  auto comparison = compare_runs(ledger.runs[0], ledger.runs[1]);
  REQUIRE(comparison.values.size() == 1);
  CHECK(comparison.values[0].change == Change::worse);
  CHECK(comparison.values[0].ratio == doctest::Approx(0.1));
  REQUIRE(comparison.differences.size() == 2);
  CHECK(comparison.differences[0].name == "model hash");
  CHECK(comparison.differences[1].a == "0.32.4");
}

TEST_CASE("filters choose by kind, model, figure and day") {
  auto ledger = ledger_of({run_of(1, 1), run_of(2, 2)});
  CHECK(series_of(ledger, {.kind = "bench"}).size() == 1);
  CHECK(series_of(ledger, {.kind = "perplexity"}).empty());
  CHECK(series_of(ledger, {.model = "M"}).size() == 1);
  CHECK(series_of(ledger, {.model = "s1-a"}).size() == 1);
  CHECK(series_of(ledger, {.what = "prefill"}).empty());
  CHECK(series_of(ledger, {.since = "2026-01-02"}).front().points.size() == 1);
}

TEST_CASE("figures are drawn, in a terminal and as SVG") {
  std::vector<Run> runs;
  for (int day = 1; day <= 6; ++day) {
    runs.push_back(run_of(day, day == 6 ? 50 : 100));
    runs.back().model.name = "<m> & \"co\"";
  }
  auto ledger = ledger_of(runs);
  auto series = series_of(ledger);
  auto drawn = terminal_plot(series.front(), 60);
  CHECK(drawn.find("101 tokens/s") != std::string::npos);
  CHECK(drawn.find("\u25bc") != std::string::npos);
  CHECK(drawn.find("2026-01-01") != std::string::npos);
  auto svg = svg_plot(series);
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.find("&lt;m&gt; &amp; &quot;co&quot;") != std::string::npos);
  CHECK(svg.find("#d00") != std::string::npos);
  // Values without a range, or without any number, draw as well.
  ledger = ledger_of({run_of(1, 0, 0.0), run_of(2, kInfinity, 0.0)});
  CHECK(!terminal_plot(series_of(ledger).front(), 10).empty());
  ledger = ledger_of({run_of(1, std::nan(""), 0.0)});
  CHECK(!svg_plot(series_of(ledger)).empty());
}

TEST_CASE("a fingerprint knows a model again, and any change of its weights") {
  TemporaryFolder folder;
  auto write = [&](const std::string& name, const std::string& bytes) {
    write_text(folder.path / name, bytes);
  };
  std::string weights(6'000'000, 'w');
  write("model.safetensors", weights);
  write("config.json", "{}");
  auto before = fingerprint(folder.path);
  CHECK(before.size() == 35);
  write("README.md", "words");
  CHECK(fingerprint(folder.path) == before);
  write("config.json", "{ }");
  CHECK(fingerprint(folder.path) != before);
  write("config.json", "{}");
  for (size_t at = 1'100'000; at < weights.size(); at += 16'000) {
    weights[at] = 'v';  // as training does, everywhere
  }
  write("model.safetensors", weights);
  CHECK(fingerprint(folder.path) != before);
  write("x-00001-of-00002.gguf", "a");
  write("x-00002-of-00002.gguf", "b");
  auto split = fingerprint(folder.path / "x-00001-of-00002.gguf");
  CHECK(split == fingerprint(folder.path / "x-00002-of-00002.gguf"));
  write("x-00002-of-00002.gguf", "c");
  CHECK(split != fingerprint(folder.path / "x-00001-of-00002.gguf"));
  CHECK_THROWS_AS(fingerprint(folder.path / "absent"), Error);
  auto store = Store(folder.path);
  auto identity = identify(store, folder.path / "config.json");
  CHECK(identity.path == "config.json");
  CHECK(identity.name == "config.json");
}

TEST_CASE("a model that changed since its newest run is told") {
  Project project;
  auto& store = project.store;
  auto said = [&] {
    std::vector<Finding> findings;
    check_results(store, findings);
    return findings;
  };
  project.write("models/m/model.safetensors", "weights");
  auto run = run_of(1, 70);
  run.model = identify(store, project.folder.path / "models/m");
  record(store, run);
  CHECK(said().empty());
  project.write("models/m/model.safetensors", "others!");
  auto findings = said();
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].id == "result.model-changed");
  CHECK(findings[0].where == "reference/results.jsonl:1");
  CHECK(findings[0].expected == "models/m with " + run.model.hash);
  CHECK(findings[0].actual == fingerprint(project.folder.path / "models/m"));
  // Measured again, the newest run speaks of what lies there.
  run = run_of(2, 71);
  run.model = identify(store, project.folder.path / "models/m");
  record(store, run);
  CHECK(said().empty());
  // A machine without the model can't tell.
  fs::remove_all(project.folder.path / "models");
  CHECK(said().empty());
}

TEST_CASE("a RESULTS.md older than its ledger is told, until it is renewed") {
  Project project;
  record(project.store, run_of(1, 70));
  auto said = [&] {
    std::vector<Finding> findings;
    check_results(project.store, findings);
    return findings;
  };
  CHECK(said().empty());
  // As a merge does it: a line more in the ledger alone.
  auto ledger = project.read("reference/results.jsonl");
  project.write("reference/results.jsonl",
                ledger + ledger_line(run_of(2, 71)) + "\n");
  auto findings = said();
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].id == "document.stale");
  CHECK(findings[0].where == "reference/RESULTS.md");
  CHECK(refresh_view(project.store).empty());
  CHECK(said().empty());
}

TEST_CASE("a written block is renewed, but never over somebody's words") {
  auto document = Document("x\r\n", "a.md");
  write_block(document, "b", {"one  ", "two"});
  write_block(document, "b", {"three"});
  auto text = document.text();
  CHECK(text.find("one") == std::string::npos);
  // An editor that takes spaces off changes nothing.
  document = Document("", "a.md");
  write_block(document, "b", {"one  "});
  auto trimmed = document.text();
  trimmed.erase(trimmed.find("one") + 3, 2);
  document = Document(trimmed, "a.md");
  CHECK_NOTHROW(write_block(document, "b", {"two"}));
  for (const auto* edited : {"<!-- assay:b -->\nmine\n<!-- /assay:b -->\n",
                             "<!-- assay:b -->\nmine\n"
                             "<!-- assay-written 000000000000 -->\n"
                             "<!-- /assay:b -->\n"}) {
    document = Document(edited, "a.md");
    CHECK_THROWS_AS(write_block(document, "b", {"two"}), Error);
    CHECK(document.text() == edited);
  }
  CHECK(block_id("x", "a b") != block_id("x", "a-b"));
  CHECK(block_id("x", "A") != block_id("x", "a"));
}
