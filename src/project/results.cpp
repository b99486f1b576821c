#include "assay/project/results.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::project {
namespace {

constexpr std::string_view kAttributesFile = ".gitattributes";

// The ending that the text uses.
std::string_view ending_of(std::string_view text) {
  auto end = text.find('\n');
  return end != std::string_view::npos && end > 0 && text[end - 1] == '\r'
             ? "\r\n"
             : "\n";
}

std::string with_line(const std::string& text, std::string_view line) {
  bool open = !text.empty() && text.back() != '\n';
  auto ending = ending_of(text);
  return fmt::format("{}{}{}{}", text, open ? ending : "", line, ending);
}

// Whatever a person said of the ledger there, it stays.
void let_git_merge(Store& store) {
  store.rewrite(kAttributesFile, [](const std::string& now) {
    return now.find(kLedgerFile) != std::string::npos
               ? now
               : with_line(now, fmt::format("{} merge=union", kLedgerFile));
  });
}

size_t back_count(std::string_view which) {
  constexpr std::string_view kLatest = "latest";
  if (which == kLatest) {
    return 0;
  }
  auto digits = which.substr(kLatest.size() + 1);
  size_t count = 0;
  auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), count);
  bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole ? count : static_cast<size_t>(-1);
}

}  // namespace

Ledger read_ledger(const Store& store) {
  return parse_ledger(store.read(kLedgerFile).value_or(""));
}

Recorded record(Store& store, Run run) {
  auto guard = Store::Guard(store);
  if (run.time.empty()) {
    run.time = utc_now();
  }
  auto line = ledger_line(run);
  auto parsed = parse_ledger(line);
  if (!parsed.findings.empty()) {
    throw Error(parsed.findings.front());
  }
  let_git_merge(store);
  store.rewrite(kLedgerFile, [&](const std::string& now) {
    return now.find(line) != std::string::npos ? now : with_line(now, line);
  });
  auto ledger = read_ledger(store);
  return {find_run(ledger, parsed.runs.front().id),
          refresh_view(store, ledger)};
}

const Run& find_run(const Ledger& ledger, std::string_view which) {
  constexpr size_t kShortest = 4;
  if (which == "latest" || which.starts_with("latest~")) {
    auto back = back_count(which);
    if (back < ledger.runs.size()) {
      return ledger.runs[ledger.runs.size() - 1 - back];
    }
  }
  const Run* found = nullptr;
  for (const auto& run : ledger.runs) {
    if (which.size() < kShortest || !run.id.starts_with(which)) {
      continue;
    }
    if (found != nullptr && found->id != run.id) {
      fail("project.ambiguous",
           std::string(kLedgerFile),
           fmt::format("one run \"{}\"", which),
           fmt::format("{} and {}", found->id, run.id));
    }
    found = &run;
  }
  if (found == nullptr) {
    fail("results.no-run",
         std::string(kLedgerFile),
         fmt::format("a run \"{}\"", which),
         fmt::format("none among {}", ledger.runs.size()));
  }
  return *found;
}

}  // namespace assay::project
