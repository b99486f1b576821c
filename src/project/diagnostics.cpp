#include "assay/project/diagnostics.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/core/platform_process.h"
#include "assay/project/clock.h"
#include "assay/project/hash.h"
#include "assay/project/learnings.h"
#include "assay/project/text.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxOutput = 256u << 10;
constexpr size_t kKeptOutput = 4u << 10;
constexpr std::string_view kOutcomesFile = ".assay/diagnostics.json";
// Tells a child that it runs within a diagnostic.
constexpr const char* kWithin = "ASSAY_WITHIN_DIAGNOSTIC";

struct Fence {
  bool runs = false;
  bool slow = false;
  int seconds = 0;
};

[[noreturn]] void malformed(const Document& document,
                            size_t line,
                            std::string expected,
                            std::string actual) {
  fail("diagnostic.malformed",
       fmt::format("{}:{}", document.where(), line + 1),
       std::move(expected),
       std::move(actual));
}

std::vector<std::string> spaced(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    text = trim(text);
    if (text.empty()) {
      return words;
    }
    auto end = std::min(text.find_first_of(" \t"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// Four columns in, it is an example within indented code.
bool opens_fence(std::string_view line) {
  auto bare = trim(line);
  bool shown = line.starts_with("    ") || line.starts_with('\t');
  return !shown && (bare.starts_with("```") || bare.starts_with("~~~"));
}

// "```sh diagnostic slow seconds=60"
Fence read_fence(const Document& document, size_t line) {
  auto bare = trim(document.line(line));
  bare.remove_prefix(
      std::min(bare.find_first_not_of(bare.front()), bare.size()));
  auto words = spaced(bare);
  Fence fence;
  if (words.size() < 2 || words[1] != "diagnostic") {
    return fence;
  }
  fence.runs = true;
  for (size_t index = 2; index < words.size(); ++index) {
    constexpr std::string_view kSeconds = "seconds=";
    const auto& word = words[index];
    if (word == "slow") {
      fence.slow = true;
      continue;
    }
    const auto* end = word.data() + word.size();
    bool timed =
        word.starts_with(kSeconds) &&
        std::from_chars(word.data() + kSeconds.size(), end, fence.seconds)
                .ptr == end &&
        fence.seconds >= 1 && fence.seconds <= 86400;
    if (!timed) {
      malformed(document, line, "slow or seconds=N after diagnostic", word);
    }
  }
  return fence;
}

int limit_of(int seconds, bool slow, const Settings& settings) {
  if (seconds > 0) {
    return seconds;
  }
  return slow ? settings.slow_seconds : settings.quick_seconds;
}

std::vector<std::string> words_to_run(const std::string& command) {
  auto words = plain_words(command);
  return words.empty() ? std::vector<std::string>{"sh", "-c", command} : words;
}

// The paragraph between a heading and its block.
std::string words_before(const Document& document, size_t from, size_t to) {
  std::string text;
  for (auto line = from; line < to; ++line) {
    auto bare = trim(document.line(line));
    if (bare.empty() && !text.empty()) {
      break;
    }
    text += (text.empty() || bare.empty() ? "" : " ") + std::string(bare);
  }
  return text;
}

const Heading* heading_above(const Document& document, size_t line) {
  const Heading* found = nullptr;
  for (const auto& heading : document.headings()) {
    if (heading.line > line) {
      break;
    }
    found = &heading;
  }
  return found;
}

Diagnostic read_block(const Document& document,
                      size_t open,
                      size_t close,
                      const Fence& fence,
                      const Settings& settings) {
  const auto* heading = heading_above(document, open);
  if (heading == nullptr) {
    malformed(document, open, "a heading above, for its name", "none");
  }
  Diagnostic found;
  found.name = heading->title;
  found.purpose = words_before(document, heading->body, open);
  for (auto line = open + 1; line < close; ++line) {
    found.command +=
        (found.command.empty() ? "" : "\n") + std::string(document.line(line));
  }
  if (trim(found.command).empty()) {
    malformed(document, open, "a command in the block", "none");
  }
  found.words = words_to_run(found.command);
  found.slow = fence.slow;
  found.seconds = limit_of(fence.seconds, fence.slow, settings);
  found.file = document.where();
  found.line = static_cast<int>(heading->line) + 1;
  return found;
}

std::vector<Diagnostic> in_document(const Document& document,
                                    const Settings& settings) {
  std::vector<Diagnostic> found;
  const auto& lines = document.lines();
  for (size_t open = 0; open < lines.size(); ++open) {
    if (lines[open].kind != LineKind::code ||
        !opens_fence(document.line(open))) {
      continue;
    }
    auto letter = trim(document.line(open)).front();
    auto width = std::min(trim(document.line(open)).find_first_not_of(letter),
                          trim(document.line(open)).size());
    auto close = open + 1;
    while (close < lines.size() && lines[close].kind == LineKind::code &&
           !(trim(document.line(close)).size() >= width &&
             trim(document.line(close)).find_first_not_of(letter) ==
                 std::string_view::npos)) {
      ++close;
    }
    if (auto fence = read_fence(document, open); fence.runs) {
      found.push_back(read_block(document, open, close, fence, settings));
    }
    open = close;
  }
  return found;
}

Diagnostic from_setting(const DiagnosticSetting& entry,
                        const Settings& settings) {
  Diagnostic found;
  found.name = entry.name;
  found.purpose = entry.purpose;
  found.command = entry.command;
  found.words = entry.words;
  for (const auto& word : entry.words) {
    found.command += (found.command.empty() ? "" : " ") + word;
  }
  if (found.words.empty()) {
    found.words = words_to_run(entry.command);
  }
  found.slow = entry.slow;
  found.seconds = limit_of(entry.seconds, entry.slow, settings);
  found.file = kSettingsFile;
  found.line = entry.line;
  return found;
}

void expect_unique(const std::vector<Diagnostic>& all) {
  for (size_t index = 0; index < all.size(); ++index) {
    for (size_t other = 0; other < index; ++other) {
      if (to_lower(all[other].name) == to_lower(all[index].name)) {
        fail("diagnostic.malformed",
             fmt::format("{}:{}", all[index].file, all[index].line),
             "a name once",
             fmt::format("{}, also at {}:{}",
                         all[index].name,
                         all[other].file,
                         all[other].line));
      }
    }
  }
}

std::string tail_of(const std::string& output) {
  if (output.size() <= kKeptOutput) {
    return output;
  }
  auto at = output.find('\n', output.size() - kKeptOutput);
  at = at == std::string::npos ? output.size() - kKeptOutput : at + 1;
  return fmt::format("({} bytes before)\n{}", at, output.substr(at));
}

// This very program answers to `assay`, whatever the PATH holds.
std::string path_with_program() {
  const char* path = std::getenv("PATH");
  auto folder = platform::program_file().parent_path().string();
  return fmt::format("PATH={}:{}", folder, path == nullptr ? "" : path);
}

fs::path state_folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && fs::path(state).is_absolute()) {
    return fs::path(state) / "assay";
  }
  const char* home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) {
    return fs::path(home) / ".local" / "state" / "assay";
  }
  return {};
}

Json read_outcomes(const Store& store) {
  auto text = store.read(kOutcomesFile);
  if (!text) {
    return Json::object();
  }
  try {
    auto json = parse_json(*text, kOutcomesFile);
    return json.is_object() ? json : Json::object();
  } catch (const Error&) {
    // A cache of outcomes: what can't be read is as good as not there.
    return Json::object();
  }
}

Outcome outcome_of(std::string_view text) {
  for (auto outcome : {Outcome::passed, Outcome::failed, Outcome::timed_out}) {
    if (name(outcome) == text) {
      return outcome;
    }
  }
  return Outcome::not_run;
}

std::string key_of(const Diagnostic& diagnostic) {
  return sha256(diagnostic.command).substr(0, 16);
}

void remember(Store& store,
              const std::vector<Diagnostic>& all,
              const std::vector<DiagnosticResult>& results) {
  store.rewrite(kOutcomesFile, [&](const std::string&) {
    auto json = read_outcomes(store);
    for (const auto& result : results) {
      const auto* diagnostic = find_diagnostic(all, result.name);
      if (diagnostic == nullptr || result.outcome == Outcome::not_run) {
        continue;
      }
      auto entry = to_json(result);
      entry["command"] = key_of(*diagnostic);
      json[result.name] = std::move(entry);
    }
    return to_text(json);
  });
}

}  // namespace

std::string_view name(Outcome outcome) {
  switch (outcome) {
    case Outcome::passed:
      return "passed";
    case Outcome::failed:
      return "failed";
    case Outcome::timed_out:
      return "timed out";
    case Outcome::not_run:
      break;
  }
  return "not run";
}

std::vector<std::string> plain_words(std::string_view command) {
  constexpr std::string_view kShell = "|&;<>()$`*?[]{}~!#=\r\n";
  std::vector<std::string> words;
  std::string word;
  bool open = false;
  char quote = 0;
  for (char letter : command) {
    if (quote != 0) {
      // Within double quotes the shell still acts on these.
      if (quote == '"' &&
          std::string_view("$`\\!").find(letter) != std::string_view::npos) {
        return {};
      }
      if (letter == quote) {
        quote = 0;
      } else {
        word += letter;
      }
    } else if (letter == '\'' || letter == '"') {
      quote = letter;
      open = true;
    } else if (letter == '\\' ||
               (kShell.find(letter) != std::string_view::npos &&
                !(letter == '=' && !words.empty()))) {
      return {};
    } else if (letter == ' ' || letter == '\t') {
      if (open) {
        words.push_back(std::move(word));
        word.clear();
      }
      open = false;
    } else {
      word += letter;
      open = true;
    }
  }
  if (quote != 0) {
    return {};
  }
  if (open) {
    words.push_back(std::move(word));
  }
  return words;
}

std::vector<Diagnostic> list_diagnostics(const Store& store,
                                         const Settings& settings) {
  auto all = in_document(store.document(kDiagnosticsFile), settings);
  for (const auto& entry : settings.diagnostics) {
    all.push_back(from_setting(entry, settings));
  }
  expect_unique(all);
  return all;
}

void add_diagnostic(Store& store,
                    std::string_view name,
                    std::string_view command,
                    std::string_view purpose,
                    bool slow,
                    int seconds) {
  bool one_line = name.find_first_of("\r\n") == std::string_view::npos;
  if (trim(name).empty() || trim(command).empty() || !one_line) {
    fail("project.empty",
         std::string(kDiagnosticsFile),
         "a name of one line, and a command",
         trim(name).empty() || !one_line ? std::string(name) : "no command");
  }
  auto settings = read_settings(store);
  bool first = list_diagnostics(store, settings).empty();
  // A fence ends at the first one as long: this one is longer than any within.
  std::string fence = "```";
  while (command.find(fence) != std::string_view::npos) {
    fence += '`';
  }
  store.edit(kDiagnosticsFile, [&](Document& document) {
    if (document.lines().empty()) {
      document.insert(0, {"# Diagnostics"});
    }
    if (const auto* there = document.find_heading(name)) {
      fail("project.duplicate",
           fmt::format("{}:{}", document.where(), there->line + 1),
           "a name not yet taken",
           std::string(name));
    }
    std::vector<std::string> lines = {fmt::format("## {}", trim(name)), ""};
    if (!trim(purpose).empty()) {
      lines.emplace_back(trim(purpose));
      lines.emplace_back();
    }
    lines.push_back(
        fmt::format("{}sh diagnostic{}{}",
                    fence,
                    slow ? " slow" : "",
                    seconds > 0 ? fmt::format(" seconds={}", seconds) : ""));
    lines.emplace_back(command);
    lines.push_back(fence);
    document.append(lines);
  });
  if (first) {
    trust(store);
  }
}

const Diagnostic* find_diagnostic(const std::vector<Diagnostic>& all,
                                  std::string_view name) {
  auto wanted = to_lower(trim(name));
  auto found = std::ranges::find_if(all, [&](const Diagnostic& diagnostic) {
    return to_lower(diagnostic.name) == wanted;
  });
  return found == all.end() ? nullptr : &*found;
}

DiagnosticResult run_diagnostic(const Store& store,
                                const Diagnostic& diagnostic) {
  DiagnosticResult result;
  result.name = diagnostic.name;
  if (std::getenv(kWithin) != nullptr) {
    return result;
  }
  std::vector<std::string> words = {
      "env", fmt::format("{}=1", kWithin), path_with_program()};
  words.insert(words.end(), diagnostic.words.begin(), diagnostic.words.end());
  auto start = std::chrono::steady_clock::now();
  auto ended =
      platform::run_process(words,
                            {.folder = store.root(),
                             .limit = std::chrono::seconds(diagnostic.seconds),
                             .max_output = kMaxOutput});
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  result.when = now_text();
  result.exit_code = ended.exit_code;
  result.output = as_utf8(tail_of(ended.output));
  if (ended.timed_out) {
    result.outcome = Outcome::timed_out;
  } else {
    result.outcome = ended.exit_code == 0 ? Outcome::passed : Outcome::failed;
  }
  return result;
}

std::vector<DiagnosticResult> run_diagnostics(
    Store& store,
    const std::vector<Diagnostic>& all,
    Speed speed,
    const std::function<void(const DiagnosticResult&)>& seen) {
  std::vector<DiagnosticResult> results;
  if (all.empty()) {
    return results;
  }
  if (!is_trusted(store)) {
    fail("diagnostic.not-trusted",
         store.root().string(),
         "a folder whose diagnostics were allowed on this machine",
         fmt::format("{} not run", all.size()));
  }
  for (const auto& diagnostic : all) {
    if (diagnostic.slow && speed == Speed::quick) {
      continue;
    }
    results.push_back(run_diagnostic(store, diagnostic));
    if (seen) {
      seen(results.back());
    }
  }
  remember(store, all, results);
  return results;
}

std::vector<DiagnosticResult> last_results(const Store& store,
                                           const std::vector<Diagnostic>& all) {
  auto json = read_outcomes(store);
  std::vector<DiagnosticResult> results;
  for (const auto& diagnostic : all) {
    auto entry = json.find(diagnostic.name);
    if (entry == json.end() || !entry->is_object()) {
      continue;
    }
    auto text = [&](const char* key) {
      auto field = entry->find(key);
      return field != entry->end() && field->is_string()
                 ? field->get<std::string>()
                 : std::string();
    };
    auto code = entry->value("exit_code", Json());
    auto seconds = entry->value("seconds", Json());
    if (text("command") == key_of(diagnostic)) {
      results.push_back({diagnostic.name,
                         outcome_of(text("outcome")),
                         code.is_number_integer() ? code.get<int>() : 0,
                         seconds.is_number() ? seconds.get<double>() : 0,
                         text("when"),
                         text("output")});
    }
  }
  return results;
}

bool is_trusted(const Store& store) {
  auto folder = state_folder();
  std::error_code error;
  if (folder.empty() || !fs::is_regular_file(folder / "trusted", error)) {
    return false;
  }
  auto lines = split_lines(Store(folder).read("trusted").value_or(""));
  return std::ranges::find(lines, store.root().string()) != lines.end();
}

void trust(const Store& store) {
  auto folder = state_folder();
  auto line = store.root().string();
  if (folder.empty() || line.find_first_of("\r\n") != std::string::npos ||
      is_trusted(store)) {
    return;
  }
  std::error_code error;
  fs::create_directories(folder, error);
  Store(folder).rewrite(
      "trusted", [&](const std::string& now) { return now + line + "\n"; });
}

Json to_json(const Diagnostic& diagnostic) {
  return {{"name", diagnostic.name},
          {"purpose", diagnostic.purpose},
          {"command", diagnostic.command},
          {"words", diagnostic.words},
          {"slow", diagnostic.slow},
          {"seconds", diagnostic.seconds},
          {"file", diagnostic.file},
          {"line", diagnostic.line}};
}

Json to_json(const DiagnosticResult& result) {
  return {{"name", result.name},
          {"outcome", name(result.outcome)},
          {"exit_code", result.exit_code},
          {"seconds", result.seconds},
          {"when", result.when},
          {"output", result.output}};
}

}  // namespace assay::project
