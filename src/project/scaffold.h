#pragma once

// Scaffold: makes a project, or adds what one lacks. What it wrote is
// remembered by hash in .assay/templates.json (which git carries), so that a
// later version renews only files that nobody has edited.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

constexpr std::string_view kTemplatesFile = ".assay/templates.json";

struct ScaffoldItem {
  /** present: it is there already, and is left alone. edited: a template that
   * somebody changed since, left alone. removed: one that somebody took away,
   * not brought back by an upgrade. */
  enum class Action { added, updated, present, edited, removed };
  std::string path;
  Action action = Action::present;
};

std::string_view name(ScaffoldItem::Action action);

struct Scaffold {
  std::filesystem::path root;
  std::string kind;
  std::vector<ScaffoldItem> items;
  std::vector<std::string> remarks;  ///< of git
};

/** Makes the folder `parent`/`name` with all files and a git repository
 * (unless it lies in one); it appears whole or not at all. A project that
 * `assay new` made before is brought up to date instead, as adopt does with
 * `upgrade`. Throws Error project.name, project.occupied. */
Scaffold new_project(const std::filesystem::path& parent,
                     std::string_view name,
                     std::string_view kind);

struct AdoptOptions {
  std::string kind;  ///< empty: as remembered, or assay.toml's, or llm
  bool dry_run = false;
  bool upgrade = false;  ///< also renew what nobody edited
};

/** Adds the files a project lacks. Throws Error project.outside (a link leads
 * out of the project), project.not-a-file. */
Scaffold adopt(Store& store, const AdoptOptions& options);

/** The project at or above a folder, or that folder where there is none. */
std::filesystem::path folder_to_adopt(const std::filesystem::path& start);

Json to_json(const Scaffold& scaffold);

}  // namespace assay::project
