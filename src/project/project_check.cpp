#include "assay/project/project_check.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "assay/project/changes.h"
#include "assay/project/diagnostics.h"
#include "assay/project/learnings.h"
#include "assay/project/links.h"
#include "assay/project/naming.h"
#include "assay/project/session_results.h"
#include "assay/project/settings.h"
#include "assay/project/task_links.h"
#include "assay/project/tasks.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 6> kExpected = {
    "README.md",
    "TODO.md",
    "reference/LEARNINGS.md",
    "reference/DIAGNOSTICS.md",
    "reference/RESULTS.md",
    "test/README.md"};

using Findings = std::vector<Finding>;

void append(Findings& all, Findings more) {
  all.insert(all.end(),
             std::make_move_iterator(more.begin()),
             std::make_move_iterator(more.end()));
}

void check_missing(const Store& store, Findings& findings) {
  for (auto path : kExpected) {
    if (!store.exists(path)) {
      findings.push_back(make_finding("document.missing",
                                      std::string(path),
                                      "a document of the project",
                                      "none"));
    }
  }
}

// What models/ holds, two folders deep: OWNER/NAME is usual.
std::vector<std::string> model_entries(const Store& store) {
  std::vector<std::string> found;
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(store.root() / "models", error);
  for (; !error && walk != fs::recursive_directory_iterator() &&
         found.size() < 10'000;
       walk.increment(error)) {
    auto name = walk->path().filename().string();
    if (name.starts_with('.')) {
      walk.disable_recursion_pending();
      continue;
    }
    if (walk.depth() >= 1) {
      walk.disable_recursion_pending();
    }
    found.push_back(
        walk->path().lexically_relative(store.root()).generic_string());
  }
  std::ranges::sort(found);
  return found;
}

// Models are not in git, so a machine may have none of them. Where their folder
// is, they are expected.
void check_models(const Store& store,
                  const Settings& settings,
                  Findings& findings) {
  std::error_code error;
  for (const auto& model : settings.models) {
    auto place = store.root() / model.path;
    if (fs::is_directory(place.parent_path(), error) &&
        !fs::exists(place, error)) {
      findings.push_back(
          make_finding("document.stale",
                       fmt::format("{}:{}", kSettingsFile, model.line),
                       fmt::format("the model {}", model.path),
                       "no such file or folder"));
    }
  }
}

// Words in backticks, "`test_x.py`".
std::set<std::string> names_in_code(const Document& document) {
  std::set<std::string> names;
  const auto& text = document.text();
  for (auto at = text.find('`'); at != std::string::npos;) {
    auto end = text.find('`', at + 1);
    if (end == std::string::npos) {
      break;
    }
    names.insert(text.substr(at + 1, end - at - 1));
    at = text.find('`', end + 1);
  }
  return names;
}

// test/README.md against the scripts: each has its row, each row its script.
void check_test_readme(const Store& store,
                       const std::vector<std::string>& files,
                       Findings& findings) {
  constexpr std::string_view kReadme = "test/README.md";
  if (!store.exists(kReadme)) {
    return;
  }
  auto document = store.document(kReadme);
  std::set<std::string> here;
  for (const auto& path : files) {
    auto name = fs::path(path).filename().string();
    here.insert(name);
    bool test = path.starts_with("test/") || path.starts_with("tests/");
    bool counts = test && is_script(path) &&
                  (name.starts_with("test_") || name.starts_with("check_") ||
                   name.starts_with("validate_"));
    if (counts && document.text().find(fs::path(name).stem().string()) ==
                      std::string::npos) {
      findings.push_back(make_finding("document.stale",
                                      std::string(kReadme),
                                      "a row that says what a pass means",
                                      fmt::format("nothing of {}", path)));
    }
  }
  for (const auto& name : names_in_code(document)) {
    bool script = (name.ends_with(".py") || name.ends_with(".sh")) &&
                  name.find_first_of(" *<>{}") == std::string::npos;
    if (script && !here.contains(fs::path(name).filename().string())) {
      findings.push_back(make_finding("document.stale",
                                      std::string(kReadme),
                                      fmt::format("the script {}", name),
                                      "no such file"));
    }
  }
}

// A decision by its title, file name, number, or a link to its file.
class Decisions {
 public:
  explicit Decisions(const std::vector<DecisionView>& all) {
    for (const auto& view : all) {
      auto file = fs::path(view.file).filename().string();
      by_name_[to_lower(view.decision.title)] = &view;
      if (view.file != kLearningsFile) {
        by_name_[to_lower(file)] = &view;
        by_name_[file.substr(0, 4)] = &view;
      }
    }
  }

  const DecisionView* find(std::string_view name) const {
    auto bare = to_lower(trim(name));
    if (const auto* view = at(bare)) {
      return view;
    }
    for (const auto& link : links_in(name)) {
      if (const auto* view =
              at(to_lower(fs::path(link.target).filename().string()))) {
        return view;
      }
    }
    // "ADR-0005"
    auto digits = bare.find_first_of("0123456789");
    return digits == std::string::npos ? nullptr : at(bare.substr(digits, 4));
  }

 private:
  const DecisionView* at(const std::string& name) const {
    auto entry = by_name_.find(name);
    return entry == by_name_.end() ? nullptr : entry->second;
  }
  std::map<std::string, const DecisionView*> by_name_;
};

Finding contradiction(const DecisionView& view,
                      std::string expected,
                      std::string actual) {
  return make_finding("decision.contradiction",
                      fmt::format("{}:{}", view.file, view.line),
                      std::move(expected),
                      std::move(actual));
}

bool leads_in_circle(const DecisionView& start, const Decisions& decisions) {
  const auto* at = &start;
  std::set<const DecisionView*> seen;
  while (at != nullptr && !at->superseded_by.empty()) {
    if (!seen.insert(at).second) {
      return at == &start;
    }
    at = decisions.find(at->superseded_by);
  }
  return false;
}

void check_decisions(const Store& store, Findings& findings) {
  auto all = list_decisions(store);
  auto decisions = Decisions(all);
  for (const auto& view : all) {
    const auto& title = view.decision.title;
    if (!view.superseded_by.empty()) {
      const auto* later = decisions.find(view.superseded_by);
      if (later == nullptr) {
        findings.push_back(contradiction(
            view,
            fmt::format("the decision \"{}\", which supersedes \"{}\"",
                        view.superseded_by,
                        title),
            "no such decision"));
      } else if (later->file == kLearningsFile &&
                 decisions.find(later->decision.supersedes) != &view) {
        findings.push_back(contradiction(*later,
                                         fmt::format("Supersedes: {}", title),
                                         later->decision.supersedes.empty()
                                             ? "nothing"
                                             : later->decision.supersedes));
      }
      if (leads_in_circle(view, decisions)) {
        findings.push_back(contradiction(view,
                                         "a decision that holds at the end",
                                         "they supersede in a circle"));
      }
    }
    if (!view.decision.supersedes.empty()) {
      const auto* earlier = decisions.find(view.decision.supersedes);
      if (earlier == nullptr || earlier->superseded_by.empty()) {
        findings.push_back(contradiction(
            view,
            fmt::format("\"{}\", superseded by \"{}\"",
                        view.decision.supersedes,
                        title),
            earlier == nullptr ? "no such decision" : "it still holds"));
      }
    }
  }
}

bool is_unfinished(const TaskView& view) {
  return view.task.state == TaskState::open ||
         view.task.state == TaskState::started;
}

void check_tasks(const std::vector<TaskView>& tasks, Findings& findings) {
  std::map<std::string, const TaskView*> done;
  for (const auto& view : tasks) {
    if (view.task.state == TaskState::done) {
      done[view.task.text] = &view;
    }
  }
  for (const auto& view : tasks) {
    auto same = done.find(view.task.text);
    if (is_unfinished(view) && same != done.end()) {
      findings.push_back(make_finding(
          "task.contradiction",
          fmt::format("{}:{}", kTasksFile, same->second->line),
          fmt::format("done: {}", view.task.text),
          fmt::format("{} in line {}", name(view.task.state), view.line)));
    }
  }
}

// The outcomes of the diagnostics that finished tasks name.
std::vector<DiagnosticResult> outcomes(Store& store,
                                       const Settings& settings,
                                       const std::vector<TaskView>& tasks,
                                       const ProjectCheckOptions& options,
                                       Findings& findings) {
  auto all = list_diagnostics(store, settings);
  std::vector<Diagnostic> named;
  for (const auto& link : task_links(store, tasks)) {
    const auto* diagnostic = linked_diagnostic(all, link);
    bool done = link.task.task.state == TaskState::done;
    if (diagnostic == nullptr && done) {
      findings.push_back(
          make_finding("diagnostic.none",
                       fmt::format("{}:{}", kTasksFile, link.line),
                       fmt::format("a diagnostic {}", link.diagnostic),
                       fmt::format("none among {}", all.size())));
    } else if (diagnostic != nullptr && done &&
               find_diagnostic(named, diagnostic->name) == nullptr) {
      named.push_back(*diagnostic);
    }
  }
  auto results = last_results(store, named);
  if (!options.run || named.empty()) {
    return results;
  }
  if (!is_trusted(store)) {
    findings.push_back(make_finding(
        "diagnostic.not-trusted",
        std::string(kDiagnosticsFile),
        "a folder whose diagnostics were allowed on this machine",
        fmt::format("{} of finished tasks not run", named.size())));
    return results;
  }
  for (auto& fresh : run_diagnostics(
           store, named, options.slow ? Speed::all : Speed::quick)) {
    if (fresh.outcome == Outcome::not_run) {
      continue;  // we are one ourselves
    }
    std::erase_if(results, [&](const DiagnosticResult& old) {
      return old.name == fresh.name;
    });
    results.push_back(std::move(fresh));
  }
  return results;
}

// A link out of the project, a file that can't be read: a finding, no end.
template <class Work>
void guarded(Findings& findings, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    findings.push_back(error.finding());
  }
}

}  // namespace

ProjectCheck check_project(Store& store, const ProjectCheckOptions& options) {
  ProjectCheck result;
  auto& findings = result.findings;
  auto settings = read_settings(store);
  append(findings, settings.findings);
  auto files = project_files(store);
  guarded(findings, [&] { check_missing(store, findings); });
  append(findings, naming_findings(files, model_entries(store), settings));
  check_models(store, settings, findings);
  for (const auto& path : files) {
    if (to_lower(path).ends_with(".md")) {
      guarded(findings, [&] {
        result.links += links_of(store.document(path)).size();
        append(findings, broken_links(store, {path}));
        ++result.documents;
      });
    }
  }
  guarded(findings, [&] { check_test_readme(store, files, findings); });
  guarded(findings, [&] { check_decisions(store, findings); });
  guarded(findings, [&] { result.results = check_results(store, findings); });
  guarded(findings, [&] {
    auto tasks = list_tasks(store);
    result.tasks = tasks.size();
    check_tasks(tasks, findings);
    auto known = outcomes(store, settings, tasks, options, findings);
    append(findings, done_but_failing(store, tasks, known));
  });
  return result;
}

}  // namespace assay::project
