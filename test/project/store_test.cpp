// Several writers lose nothing; a killed one leaves the old file or the new.

#include "assay/project/store.h"

#include <csignal>
#include <functional>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/platform_process.h"
#include "assay/project/learnings.h"
#include "assay/project/results.h"
#include "assay/project/tasks.h"

#include "support.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

// The child leaves without the parent's destructors.
pid_t in_child(const std::function<int()>& work) {
  pid_t child = fork();
  if (child == 0) {
    int code = 1;
    try {
      code = work();
    } catch (...) {
      code = 2;
    }
    _exit(code);
  }
  return child;
}

}  // namespace

TEST_CASE("8 processes, 1000 edits: what reported success is there") {
  constexpr int kWriters = 8;
  constexpr int kEdits = 125;
  TemporaryFolder folder;
  write_text(folder.path / "TODO.md", "# TODO\r\n\r\n- [ ] first");
  std::vector<pid_t> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.push_back(in_child([&] {
      auto store = Store(folder.path, std::chrono::seconds(60));
      for (int edit = 0; edit < kEdits; ++edit) {
        auto text = std::to_string(writer) + "." + std::to_string(edit);
        store.edit("TODO.md", [&](Document& document) {
          document.insert(document.lines().size(), {"- [ ] " + text});
        });
      }
      return 0;
    }));
  }
  for (auto writer : writers) {
    int status = 0;
    waitpid(writer, &status, 0);
    CHECK(status == 0);
  }
  auto document = Store(folder.path).document("TODO.md");
  std::set<std::string> texts;
  for (const auto& task : document.tasks()) {
    texts.insert(task.text);
  }
  CHECK(document.tasks().size() == kWriters * kEdits + 1);
  CHECK(texts.size() == kWriters * kEdits + 1);
  CHECK(document.text().starts_with("# TODO\r\n\r\n- [ ] first\r\n"));
}

TEST_CASE("8 processes record runs, learn and decide at once: all is there") {
  constexpr int kWriters = 8;
  constexpr int kRounds = 25;
  TemporaryFolder folder;
  std::vector<pid_t> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.push_back(in_child([&] {
      auto store = Store(folder.path, std::chrono::seconds(60));
      for (int round = 0; round < kRounds; ++round) {
        auto text = std::to_string(writer) + "." + std::to_string(round);
        Run run;
        run.kind = "bench";
        run.model = {"m" + text, "m" + text, "h"};
        run.values = {{.what = "decode", .value = round + 0.5}};
        if (!record(store, run).findings.empty()) {
          return 3;
        }
        add_task(store, "task " + text);
        learn(store, "insight " + text);
        record_decision(store,
                        "decision-" + text,
                        {.title = "choice " + text,
                         .rationale = "r",
                         .trade_off = "t",
                         .validation = "v",
                         .date = "2026-01-01",
                         .supersedes = {}});
      }
      return 0;
    }));
  }
  for (auto writer : writers) {
    int status = 0;
    waitpid(writer, &status, 0);
    CHECK(status == 0);
  }
  auto store = Store(folder.path);
  constexpr size_t kAll = kWriters * kRounds;
  auto ledger = read_ledger(store);
  CHECK(ledger.findings.empty());
  std::set<std::string> ids;
  std::set<std::string> models;
  for (const auto& run : ledger.runs) {
    ids.insert(run.id);
    models.insert(run.model.name);
  }
  CHECK(ids.size() == kAll);
  CHECK(models.size() == kAll);
  CHECK(view_is_current(store));
  CHECK(list_tasks(store).size() == kAll);
  CHECK(list_decisions(store).size() == kAll);
}

TEST_CASE("kill -9 while runs are recorded: each line is whole, the view too") {
  TemporaryFolder folder;
  size_t before = 0;
  for (int round = 0; round < 30; ++round) {
    auto child = in_child([&] {
      auto store = Store(folder.path);
      for (int count = 0;; ++count) {
        Run run;
        run.kind = "bench";
        run.model = {"m", "m", std::string(5000, 'h')};
        run.values = {{.what = std::to_string(count % 7),
                       .value = static_cast<double>(count)}};
        record(store, run);
      }
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(1370 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    auto store = Store(folder.path, std::chrono::milliseconds(100));
    auto ledger = read_ledger(store);
    REQUIRE(ledger.findings.empty());
    REQUIRE(ledger.runs.size() >= before);
    before = ledger.runs.size();
    // What a killed writer left undone, the next one does.
    REQUIRE(refresh_view(store).empty());
    REQUIRE((before == 0 || view_is_current(store)));
  }
  CHECK(before > 0);
  auto store = Store(folder.path);
  Run last;
  last.kind = "bench";
  last.values = {{.what = "last", .value = 1}};
  record(store, last);
  for (const auto& entry : fs::directory_iterator(folder.path / "reference")) {
    CAPTURE(entry.path().string());
    CHECK(entry.path().string().find(".partial-") == std::string::npos);
  }
}

TEST_CASE("kill -9 at any moment leaves the old file or the new one") {
  TemporaryFolder folder;
  auto old_text = std::string(200'000, 'a') + "\n";
  auto new_text = std::string(300'000, 'b') + "\n";
  for (int round = 0; round < 60; ++round) {
    write_text(folder.path / "x.md", old_text);
    auto child = in_child([&] {
      auto store = Store(folder.path);
      for (;;) {
        store.rewrite("x.md", [&](const std::string& now) {
          return now == old_text ? new_text : old_text;
        });
      }
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(137 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    auto found = read_text(folder.path / "x.md");
    REQUIRE((found == old_text || found == new_text));
    // And the lock went with its holder.
    auto store = Store(folder.path, std::chrono::milliseconds(100));
    CHECK_NOTHROW(store.rewrite(
        "x.md", [&](const std::string&) { return old_text + "c"; }));
  }
}

TEST_CASE("while another process holds the lock an edit waits, then says so") {
  TemporaryFolder folder;
  auto holder = Store(folder.path);
  auto guard = Store::Guard(holder);
  auto other = Store(folder.path, std::chrono::milliseconds(30));
  CHECK(failure([&] { other.create("a.md", "x"); }) == "project.locked");
  CHECK(!fs::exists(folder.path / "a.md"));
}

TEST_CASE("a file changed underneath is read again, not overwritten") {
  TemporaryFolder folder;
  write_text(folder.path / "a.md", "one\n");
  auto store = Store(folder.path);
  bool meddled = false;
  store.edit("a.md", [&](Document& document) {
    if (!std::exchange(meddled, true)) {
      write_text(folder.path / "a.md", "one\nby hand\n");
    }
    document.append({"two"});
  });
  CHECK(read_text(folder.path / "a.md") == "one\nby hand\n\ntwo\n");
  int count = 0;
  CHECK(failure([&] {
          store.edit("a.md", [&](Document& document) {
            write_text(folder.path / "a.md", std::to_string(++count));
            document.append({"three"});
          });
        }) == "project.changing");
}

TEST_CASE("a refused edit changes nothing, and modes stay") {
  TemporaryFolder folder;
  write_text(folder.path / "a.md", "one\n");
  fs::permissions(folder.path / "a.md", fs::perms(0640));
  auto store = Store(folder.path);
  CHECK(failure([&] {
          store.edit("a.md", [](Document& document) {
            document.append({"two"});
            fail("project.ambiguous", "a.md", "x", "y");
          });
        }) == "project.ambiguous");
  CHECK(read_text(folder.path / "a.md") == "one\n");
  store.edit("a.md", [](Document& document) { document.append({"two"}); });
  CHECK(fs::status(folder.path / "a.md").permissions() == fs::perms(0640));
  CHECK(!store.edit("a.md", [](Document&) {}));
}

TEST_CASE("names that lead out of the project are refused") {
  TemporaryFolder folder;
  fs::create_directory_symlink("/", folder.path / "link");
  auto store = Store(folder.path);
  for (const auto* name : {"../x", "/etc/x", "a/../../x", "link/x", "", "."}) {
    CAPTURE(name);
    CHECK(failure([&] { store.create(name, ""); }) == "project.outside");
  }
}

TEST_CASE("a project is found from any folder below it") {
  TemporaryFolder folder;
  fs::create_directories(folder.path / "a/b");
  CHECK(failure([&] { find_project(folder.path); }) == "project.absent");
  fs::create_directories(folder.path / "a/.git");
  CHECK(find_project(folder.path / "a/b") == folder.path / "a");
  write_text(folder.path / "assay.toml", "");
  CHECK(find_project(folder.path / "a/b") == folder.path);
}

TEST_CASE("a program runs with its words, its folder and its limit") {
  TemporaryFolder folder;
  auto run = [&](std::vector<std::string> words) {
    return platform::run_process(
        words,
        {.folder = folder.path, .limit = std::chrono::milliseconds(300)});
  };
  CHECK(run({"pwd"}).output == folder.path.string() + "\n");
  CHECK(run({"sh", "-c", "echo a; echo b >&2; exit 3"}).output == "a\nb\n");
  CHECK(run({"sh", "-c", "exit 3"}).exit_code == 3);
  CHECK(run({"no-such-program-here"}).exit_code == 127);
  CHECK(run({"sleep", "9"}).timed_out);
  CHECK(run({"sh", "-c", "exec >&- 2>&-; sleep 9"}).timed_out);
}
