#include "assay/project/task_links.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/project/learnings.h"
#include "assay/project/links.h"

namespace assay::project {
namespace {

constexpr std::string_view kWord = "diagnostic:";

// "... (diagnostic: NAME)" or "diagnostic: `NAME`".
std::string named_in(std::string_view line) {
  auto at = to_lower(line).find(kWord);
  if (at == std::string::npos) {
    return {};
  }
  auto name = trim(line.substr(at + kWord.size()));
  bool quoted = name.starts_with('`');
  auto end = quoted ? name.find('`', 1) : name.find(')');
  return std::string(trim(name.substr(
      quoted ? 1 : 0,
      end == std::string_view::npos ? end : end - (quoted ? 1 : 0))));
}

std::string linked_in(std::string_view line) {
  for (const auto& link : links_in(line)) {
    auto hash = link.target.find('#');
    if (hash != std::string::npos &&
        link.target.substr(0, hash).ends_with("DIAGNOSTICS.md")) {
      return link.target.substr(hash);
    }
  }
  return {};
}

bool names(const std::string& link, const std::string& diagnostic) {
  return link.starts_with('#') ? link.substr(1) == heading_anchor(diagnostic)
                               : to_lower(link) == to_lower(diagnostic);
}

}  // namespace

std::vector<TaskLink> task_links(const Store& store,
                                 const std::vector<TaskView>& tasks) {
  auto document = store.document(kTasksFile);
  // A task within another names its own.
  std::vector<bool> begins(document.lines().size());
  for (const auto& task : document.tasks()) {
    begins[task.line] = true;
  }
  std::vector<TaskLink> found;
  for (const auto& view : tasks) {
    auto end = std::min(view.task.last + 1, document.lines().size());
    for (auto line = view.task.line; line < end; ++line) {
      if (line != view.task.line && begins[line]) {
        break;
      }
      auto text = document.line(line);
      if (text.find("iagnostic") == std::string_view::npos &&
          text.find("DIAGNOSTICS") == std::string_view::npos) {
        continue;
      }
      auto name = named_in(text);
      if (name.empty()) {
        name = linked_in(text);
      }
      if (!name.empty()) {
        found.push_back({view, name, static_cast<int>(line) + 1});
        break;
      }
    }
  }
  return found;
}

const Diagnostic* linked_diagnostic(const std::vector<Diagnostic>& all,
                                    const TaskLink& link) {
  auto found = std::ranges::find_if(all, [&](const Diagnostic& diagnostic) {
    return names(link.diagnostic, diagnostic.name);
  });
  return found == all.end() ? nullptr : &*found;
}

std::vector<Finding> done_but_failing(
    const Store& store,
    const std::vector<TaskView>& tasks,
    const std::vector<DiagnosticResult>& results) {
  std::vector<TaskView> done;
  bool all_well = std::ranges::none_of(results, [](const auto& result) {
    return result.outcome == Outcome::failed ||
           result.outcome == Outcome::timed_out;
  });
  if (all_well) {
    return {};
  }
  for (const auto& view : tasks) {
    if (view.task.state == TaskState::done) {
      done.push_back(view);
    }
  }
  std::vector<Finding> findings;
  for (const auto& link : task_links(store, done)) {
    for (const auto& result : results) {
      bool bad = result.outcome == Outcome::failed ||
                 result.outcome == Outcome::timed_out;
      if (bad && names(link.diagnostic, result.name)) {
        findings.push_back(make_finding(
            "task.contradiction",
            fmt::format("{}:{}", kTasksFile, link.task.line),
            fmt::format("done: {}", link.task.task.text),
            fmt::format(
                "its diagnostic {} {}", result.name, name(result.outcome))));
      }
    }
  }
  return findings;
}

}  // namespace assay::project
