#include "assay/project/naming.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "assay/project/document.h"

namespace assay::project {
namespace {

// Names that other programs look for.
constexpr std::array<std::string_view, 6> kFixedNames = {"__init__.py",
                                                         "__main__.py",
                                                         "conftest.py",
                                                         "noxfile.py",
                                                         "setup.py",
                                                         "run_tests.sh"};

constexpr std::array<std::string_view, 8> kDocuments = {"README.md",
                                                        "TODO.md",
                                                        "AGENTS.md",
                                                        "CLAUDE.md",
                                                        "LEARNINGS.md",
                                                        "DIAGNOSTICS.md",
                                                        "RESULTS.md",
                                                        "CHANGELOG.md"};

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().generic_string();
}

std::string name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& entry : names) {
    text += (text.empty() ? "" : ", ") + entry;
  }
  return text;
}

void check_script(const std::string& path,
                  const Settings& settings,
                  std::vector<Finding>& findings) {
  auto name = name_of(path);
  if (std::ranges::find(kFixedNames, name) != kFixedNames.end()) {
    return;
  }
  auto stem = std::filesystem::path(name).stem().string();
  bool named = std::ranges::any_of(
      settings.script_names, [&](const std::string& pattern) {
        return matches_pattern(pattern, name) || matches_pattern(pattern, stem);
      });
  bool plain = name.find_first_of(" \t\"'$&;|<>*?") == std::string::npos;
  if (!named || !plain) {
    findings.push_back(
        make_finding("naming.script",
                     path,
                     named ? "a name without spaces and signs of the shell"
                           : "a name as " + joined(settings.script_names),
                     name));
  }
}

void check_document(const std::string& path, std::vector<Finding>& findings) {
  auto name = name_of(path);
  auto lower = to_lower(name);
  auto folder = folder_of(path);
  auto refuse = [&](std::string expected) {
    findings.push_back(
        make_finding("naming.document", path, std::move(expected), name));
  };
  if (!lower.ends_with(".md")) {
    return;
  }
  for (auto document : kDocuments) {
    bool here = folder.empty() || folder == "reference" || folder == "test";
    if (here && lower == to_lower(document) && name != document) {
      refuse(std::string(document));
      return;
    }
  }
  auto stem = name.substr(0, name.size() - 3);
  if (folder == "reference" &&
      (stem != std::filesystem::path(name).stem().string() ||
       !std::ranges::none_of(stem, [](char letter) {
         return (letter >= 'a' && letter <= 'z') || letter == ' ';
       }))) {
    refuse("upper-case words and .md");
  }
  if (folder == "docs/decisions" && lower != "readme.md" &&
      lower.find("template") == std::string::npos) {
    bool numbered =
        name.size() > 8 && name[4] == '-' &&
        name.substr(0, 4).find_first_not_of("0123456789") == std::string::npos;
    if (!numbered) {
      refuse("NNNN-title.md");
    }
  }
}

void check_model(const std::string& path, std::vector<Finding>& findings) {
  auto name = name_of(path);
  auto allowed = [](char letter) {
    return (letter >= 'a' && letter <= 'z') ||
           (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' ||
           letter == '-';
  };
  if (!std::ranges::all_of(name, allowed) || name.starts_with('-')) {
    findings.push_back(
        make_finding("naming.model",
                     path,
                     "letters, digits, dots, hyphens, underscores",
                     name));
  }
}

bool is_model(const std::string& path) {
  constexpr std::array<std::string_view, 5> kEndings = {
      ".gguf", ".safetensors", ".onnx", ".pt", ".pth"};
  auto lower = to_lower(path);
  return std::ranges::any_of(kEndings, [&](std::string_view ending) {
    return lower.ends_with(ending);
  });
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // The usual walk: on a mismatch the last star takes one letter more.
  size_t in_pattern = 0;
  size_t in_text = 0;
  auto star = std::string_view::npos;
  size_t after_star = 0;
  while (in_text < text.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = in_pattern++;
      after_star = in_text;
    } else if (in_pattern < pattern.size() &&
               pattern[in_pattern] == text[in_text]) {
      ++in_pattern;
      ++in_text;
    } else if (star != std::string_view::npos) {
      in_pattern = star + 1;
      in_text = ++after_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in_pattern) == std::string_view::npos;
}

bool is_script(const std::string& path) {
  constexpr std::array<std::string_view, 5> kFolders = {
      "", "scripts", "tools", "test", "tests"};
  bool ending = path.ends_with(".py") || path.ends_with(".sh");
  return ending &&
         std::ranges::find(kFolders, folder_of(path)) != kFolders.end();
}

std::vector<Finding> naming_findings(const std::vector<std::string>& files,
                                     const std::vector<std::string>& models,
                                     const Settings& settings) {
  std::vector<Finding> findings;
  for (const auto& path : files) {
    if (is_script(path)) {
      check_script(path, settings, findings);
    }
    check_document(path, findings);
    if (is_model(path)) {
      check_model(path, findings);
    }
  }
  for (const auto& path : models) {
    check_model(path, findings);
  }
  return findings;
}

}  // namespace assay::project
