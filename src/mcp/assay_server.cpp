#include "assay/mcp/assay_server.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/learnings.h"
#include "assay/project/session.h"

namespace assay::mcp {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxDocument = 4u << 20;

struct Document {
  const char* path;
  const char* title;
  const char* description;
};

// What `assay new` makes and `assay adopt` adds.
constexpr std::array kDocuments = {
    Document{"TODO.md", "Tasks", "what is open, in progress and done"},
    Document{"reference/LEARNINGS.md",
             "Learnings",
             "insights, failed approaches, decisions"},
    Document{"reference/DIAGNOSTICS.md",
             "Diagnostics",
             "the checks of this project and what they say"},
    Document{"reference/RESULTS.md", "Results", "measured figures"},
    Document{"README.md", "README", "what the project is"},
    Document{"test/README.md", "Tests", "what each test does"},
    Document{"AGENTS.md", "Rules", "how an agent works here"},
    Document{"assay.toml", "Settings", "models, thresholds, diagnostics"},
    Document{"environment.yml", "Environment", "the scripts' packages"}};

// A link could lead out of the project; only files that lie in it are shown.
bool lies_within(const fs::path& file, const fs::path& project) {
  std::error_code error;
  auto real = fs::canonical(file, error);
  if (error || !fs::is_regular_file(real, error)) {
    return false;
  }
  auto root = fs::canonical(project, error);
  auto relative = real.lexically_relative(root);
  return !error && !relative.empty() && *relative.begin() != "..";
}

const char* mime_type_of(std::string_view path) {
  if (path.ends_with(".toml")) {
    return "application/toml";
  }
  return path.ends_with(".yml") ? "application/yaml" : "text/markdown";
}

// docs/decisions/NNNN-title.md, the newest hundred.
std::vector<std::string> decision_files(const fs::path& project) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(project / project::kDecisionsFolder, error)) {
    auto name = entry.path().filename().string();
    if (name.ends_with(".md")) {
      names.push_back(name);
    }
  }
  std::ranges::sort(names);
  constexpr size_t kNewest = 100;
  if (names.size() > kNewest) {
    names.erase(names.begin(),
                names.end() - static_cast<std::ptrdiff_t>(kNewest));
  }
  return names;
}

// The page of `assay session start`, as it would be now; where there is no
// page, why.
std::string page_of(const fs::path& project) {
  constexpr size_t kTokens = 2000;
  try {
    project::Store store(project);
    auto page = project::session_page(store, project::read_notes(store));
    return project::fit_page(page, {kTokens, 0}).text;
  } catch (const Error& error) {
    return to_text(error.finding());
  }
}

Prompt prompt(const char* name,
              const char* title,
              const char* description,
              std::vector<PromptArgument> arguments,
              std::function<std::string(const Json&)> words) {
  return {name,
          title,
          description,
          std::move(arguments),
          [words = std::move(words), description](const Json& given, Request&) {
            Json message = {
                {"role", "user"},
                {"content", {{"type", "text"}, {"text", words(given)}}}};
            return Json{{"description", description},
                        {"messages", Json::array({std::move(message)})}};
          }};
}

}  // namespace

std::vector<Resource> project_documents(const fs::path& project) {
  std::vector<Resource> found;
  auto add = [&](const std::string& path,
                 const std::string& title,
                 const std::string& description) {
    auto file = project / path;
    if (lies_within(file, project)) {
      found.push_back(
          {fmt::format("assay://project/{}", path),
           path,
           title,
           description,
           mime_type_of(path),
           [file] { return Json{{"text", read_text(file, kMaxDocument)}}; }});
    }
  };
  for (const auto& document : kDocuments) {
    add(document.path, document.title, document.description);
  }
  for (const auto& name : decision_files(project)) {
    add(fmt::format("{}/{}", project::kDecisionsFolder, name),
        name,
        "a decision and its reasons");
  }
  return found;
}

std::vector<Prompt> assay_prompts(const fs::path& project) {
  return {
      prompt("start",
             "Start a sitting",
             "What is open and known, before anything is changed",
             {},
             [project](const Json&) {
               return fmt::format(
                   "This is where the project stands:\n\n{}\nRead "
                   "assay://project/TODO.md and "
                   "assay://project/reference/LEARNINGS.md where the page "
                   "leaves something out. Say in a few lines what is broken, "
                   "what is in progress, what was tried and failed, and what "
                   "you take up next; set that task to started. Change "
                   "nothing else yet.",
                   page_of(project));
             }),
      prompt("investigate",
             "Investigate a model",
             "What a model is and whether it is sound, before it is run",
             {{"model", "folder or file of the model", true}},
             [](const Json& given) {
               return fmt::format(
                   "Investigate the model {} before running it. First look in "
                   "assay://project/reference/LEARNINGS.md for what is known "
                   "of it. Call inspect, then check, then fit. For each "
                   "finding call explain. Report only values that the tools "
                   "returned; say what is unknown. Name the next step that "
                   "costs seconds, not hours, and write down with learn what "
                   "was not known before.",
                   given["model"].get<std::string>());
             }),
      prompt("end",
             "End a sitting",
             "What was done, what was learned, what comes next",
             {},
             [](const Json&) {
               return std::string(
                   "Close this sitting. With task, set what is proven to done, "
                   "what was given up to drop with its reason, and leave what "
                   "is under way started. With learn and decide, write down "
                   "each insight, failed approach and decision with its "
                   "reason, so that nothing is learned twice. Then run "
                   "`assay session end` in the project's folder: it writes "
                   "the block from what really changed, and names what would "
                   "be lost.");
             })};
}

Definition assay_server(const fs::path& project) {
  Definition definition;
  definition.name = "assay";
  definition.title = "Assay";
  definition.version = ASSAY_VERSION;
  definition.instructions =
      "Assay tells what a generative model really is before it is run. Start "
      "with inspect and check (milliseconds, headers only); explain says what "
      "a finding means. Relative paths start at the project.";
  definition.tools = assay_tools(project);
  definition.resources = [project] { return project_documents(project); };
  definition.prompts = assay_prompts(project);
  return definition;
}

}  // namespace assay::mcp
