#include "assay/mcp/assay_server.h"

#include <array>

#include <fmt/format.h>

#include "assay/core/file.h"

namespace assay::mcp {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxDocument = 4u << 20;

struct Document {
  const char* path;
  const char* title;
  const char* description;
};

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
    Document{"test/README.md", "Tests", "what each test does"}};

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
  for (const auto& document : kDocuments) {
    auto file = project / document.path;
    if (lies_within(file, project)) {
      found.push_back(
          {fmt::format("assay://project/{}", document.path),
           document.path,
           document.title,
           document.description,
           "text/markdown",
           [file] { return Json{{"text", read_text(file, kMaxDocument)}}; }});
    }
  }
  return found;
}

std::vector<Prompt> assay_prompts() {
  return {
      prompt("start",
             "Start a sitting",
             "What is open and known, before anything is changed",
             {},
             [](const Json&) {
               return std::string(
                   "Read assay://project/TODO.md, reference/LEARNINGS.md, "
                   "reference/DIAGNOSTICS.md and reference/RESULTS.md, in this "
                   "order. Say in one screen what is open, what is in "
                   "progress, what was tried and failed, and what comes next. "
                   "Change nothing yet.");
             }),
      prompt("investigate",
             "Investigate a model",
             "What a model is and whether it is sound, before it is run",
             {{"model", "folder or file of the model", true}},
             [](const Json& given) {
               return fmt::format(
                   "Investigate the model {} before running it: call inspect, "
                   "then check, then fit. For each finding call explain. "
                   "Report only values that the tools returned; say what is "
                   "unknown. Name the next step that costs seconds, not "
                   "hours.",
                   given["model"].get<std::string>());
             }),
      prompt("end",
             "End a sitting",
             "What was done, what was learned, what comes next",
             {},
             [](const Json&) {
               return std::string(
                   "Close this sitting: list what was completed, what is still "
                   "in progress and the next steps, from what really changed. "
                   "Write down each insight, failed approach and decision with "
                   "its reason, so that nothing is learned twice.");
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
  definition.prompts = assay_prompts();
  return definition;
}

}  // namespace assay::mcp
