#include "assay/project/scaffold.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/changes.h"
#include "assay/project/diagnostics.h"
#include "assay/project/hash.h"
#include "assay/project/settings.h"
#include "assay/project/templates.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxName = 100;

// What was written, by hash.
struct Memory {
  std::string kind;
  std::string name;
  std::map<std::string, std::string> files;
};

[[noreturn]] void unreadable(std::string actual) {
  fail("session.unreadable",
       std::string(kTemplatesFile),
       "{\"format\": 1, \"kind\", \"name\", \"files\": {path: hash}}",
       std::move(actual));
}

Memory read_memory(const Store& store) {
  Memory memory;
  auto text = store.read(kTemplatesFile);
  if (!text) {
    return memory;
  }
  auto json = parse_json(*text, kTemplatesFile);
  try {
    if (json.at("format") != 1) {
      unreadable(json.at("format").dump());
    }
    memory.kind = json.at("kind").get<std::string>();
    memory.name = json.at("name").get<std::string>();
    for (const auto& [path, hash] : json.at("files").items()) {
      memory.files[path] = hash.get<std::string>();
    }
  } catch (const nlohmann::json::exception& error) {
    unreadable(error.what());
  }
  return memory;
}

void write_memory(Store& store, const Memory& memory) {
  Json files = Json::object();
  for (const auto& [path, hash] : memory.files) {
    files[path] = hash;
  }
  auto text = to_text(Json{{"format", 1},
                           {"kind", memory.kind},
                           {"name", memory.name},
                           {"files", std::move(files)}});
  store.rewrite(kTemplatesFile, [&](const std::string&) { return text; });
}

bool is_kind(std::string_view kind) {
  return std::ranges::find(project_kinds(), kind) != project_kinds().end();
}

std::string key_of(const TemplateFile& file) {
  return file.block.empty() ? file.path
                            : fmt::format("{}#{}", file.path, file.block);
}

// The lines within a block; nothing where there is none.
std::optional<std::string> block_text(const Document& document,
                                      std::string_view id) {
  for (const auto& block : document.blocks()) {
    if (block.id == id) {
      std::string text;
      for (auto line = block.open + 1; line < block.close; ++line) {
        text += (line == block.open + 1 ? "" : "\n") +
                std::string(document.line(line));
      }
      return text;
    }
  }
  return {};
}

// True where a file is there. Anything else of that name is refused, a link
// that leads nowhere too: writing would replace it.
bool is_there(const Store& store, const std::string& path) {
  auto real = store.resolve(path);
  std::error_code error;
  if (fs::is_regular_file(real, error)) {
    return true;
  }
  if (auto kind = fs::symlink_status(store.root() / path, error).type();
      kind != fs::file_type::not_found) {
    fail("project.not-a-file",
         path,
         "a file, or nothing",
         kind == fs::file_type::symlink ? "a link that leads nowhere"
                                        : "something else");
  }
  return false;
}

// What our part of a file says now; nothing where it has none.
std::optional<std::string> part_now(const Store& store,
                                    const TemplateFile& file) {
  if (!is_there(store, file.path)) {
    return {};
  }
  if (file.block.empty()) {
    return store.read(file.path);
  }
  return block_text(store.document(file.path), file.block);
}

// CLAUDE.md is often a link to AGENTS.md: then it points there already.
bool is_other_file(const Store& store, const TemplateFile& file) {
  return !file.block.empty() &&
         store.resolve(file.path) != store.root() / file.path;
}

// `known`: the hash of what may be replaced; empty: only nothing may. Whoever
// wrote meanwhile keeps what he wrote.
void write_part(Store& store,
                const TemplateFile& file,
                const std::string& known) {
  if (file.block.empty()) {
    store.rewrite(file.path, [&](const std::string& now) {
      bool ours = known.empty() ? now.empty() : sha256(now) == known;
      return ours ? file.text : now;
    });
    return;
  }
  store.edit(file.path, [&](Document& document) {
    if (document.lines().empty()) {
      document.insert(0, {file.path == "AGENTS.md" ? "# Agents" : "# Claude"});
    }
    document.set_block(file.block, split_lines(file.text));
  });
}

ScaffoldItem::Action action_for(const Store& store,
                                const TemplateFile& file,
                                const Memory& memory,
                                bool upgrade) {
  using enum ScaffoldItem::Action;
  if (is_other_file(store, file)) {
    return present;
  }
  auto now = part_now(store, file);
  auto known = memory.files.find(key_of(file));
  bool remembered = known != memory.files.end();
  if (!now) {
    return upgrade && remembered ? removed : added;
  }
  if (*now == file.text || !remembered) {
    return present;
  }
  if (sha256(*now) != known->second) {
    return edited;
  }
  return upgrade ? updated : present;
}

void expect_name(std::string_view name) {
  auto allowed = [](char letter) {
    return (letter >= 'a' && letter <= 'z') ||
           (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' ||
           letter == '-' || (static_cast<unsigned char>(letter) & 0x80) != 0;
  };
  bool good = !name.empty() && name.size() <= kMaxName &&
              std::ranges::all_of(name, allowed) && name.front() != '.' &&
              name.front() != '-' && name.back() != '.';
  if (!good) {
    fail("project.name",
         std::string(name),
         "letters, digits, dots, hyphens, underscores",
         std::string(name));
  }
}

bool lies_in_repository(fs::path folder) {
  std::error_code error;
  while (!fs::exists(folder / ".git", error)) {
    if (folder == folder.parent_path()) {
      return false;
    }
    folder = folder.parent_path();
  }
  return true;
}

void make_repository(const Store& store,
                     bool inside_one,
                     std::vector<std::string>& remarks) {
  if (inside_one) {
    remarks.emplace_back("it lies in a git repository, which will carry it");
    return;
  }
  auto made = run_git(store, {"init", "-q", "-b", "main"});
  if (made.exit_code != 0) {
    remarks.emplace_back(made.exit_code == 127
                             ? "git is not installed: no repository was made"
                             : "git init failed: no repository was made");
  }
}

Scaffold scaffold(Store& store,
                  const std::string& name,
                  const std::string& kind,
                  Memory memory,
                  const AdoptOptions& options) {
  using enum ScaffoldItem::Action;
  Scaffold result;
  result.root = store.root();
  result.kind = kind;
  auto files = project_templates(name, kind);
  // All is looked at before anything is written: what is refused changes
  // nothing.
  for (const auto& file : files) {
    result.items.push_back(
        {file.path, action_for(store, file, memory, options.upgrade)});
  }
  if (options.dry_run) {
    return result;
  }
  memory.kind = kind;
  memory.name = name;
  for (size_t index = 0; index < files.size(); ++index) {
    auto action = result.items[index].action;
    bool writes = action == added || action == updated;
    if (writes) {
      write_part(store,
                 files[index],
                 action == added ? "" : memory.files[key_of(files[index])]);
    }
    if (writes || part_now(store, files[index]) == files[index].text) {
      memory.files[key_of(files[index])] = sha256(files[index].text);
    }
  }
  write_memory(store, memory);
  return result;
}

}  // namespace

std::string_view name(ScaffoldItem::Action action) {
  switch (action) {
    case ScaffoldItem::Action::added:
      return "added";
    case ScaffoldItem::Action::updated:
      return "updated";
    case ScaffoldItem::Action::present:
      return "present";
    case ScaffoldItem::Action::edited:
      return "edited";
    case ScaffoldItem::Action::removed:
      break;
  }
  return "removed";
}

Scaffold new_project(const fs::path& parent,
                     std::string_view name,
                     std::string_view kind) {
  expect_name(name);
  std::error_code error;
  auto real = fs::canonical(parent.empty() ? fs::path(".") : parent, error);
  if (error || !fs::is_directory(real)) {
    fail("project.absent", parent.string(), "a folder", error.message());
  }
  auto root = real / name;
  auto there = fs::symlink_status(root, error).type();
  if (there == fs::file_type::directory &&
      fs::is_regular_file(root / kTemplatesFile, error)) {
    Store store(root);
    return adopt(store, {.kind = "", .upgrade = true});
  }
  bool empty = there == fs::file_type::directory && fs::is_empty(root, error);
  if (there != fs::file_type::not_found && !empty) {
    fail("project.occupied",
         root.string(),
         "no folder, or an empty one",
         "something is there");
  }
  auto folder = AtomicFolder(root, true);
  Scaffold result;
  {
    Store store(folder.partial());
    result = scaffold(store, std::string(name), std::string(kind), {}, {});
    make_repository(store, lies_in_repository(real), result.remarks);
  }
  folder.commit();
  result.root = root;
  trust(Store(root));
  return result;
}

Scaffold adopt(Store& store, const AdoptOptions& options) {
  auto memory = read_memory(store);
  auto settings = read_settings(store);
  auto kind = options.kind;
  for (const auto* other : {&memory.kind, &settings.kind}) {
    if (kind.empty() && is_kind(*other)) {
      kind = *other;
    }
  }
  auto name = memory.name.empty() ? settings.name : memory.name;
  if (name.empty()) {
    name = store.root().filename().string();
  }
  bool quoted = name.find_first_of("\"\\\r\n") != std::string::npos;
  if (quoted) {
    name = "project";
  }
  // Diagnostics that were there before stay as trusted as they were.
  bool own = list_diagnostics(store, settings).empty();
  auto result =
      scaffold(store, name, kind.empty() ? "llm" : kind, memory, options);
  if (!options.dry_run && own) {
    trust(store);
  }
  return result;
}

fs::path folder_to_adopt(const fs::path& start) {
  try {
    return find_project(start);
  } catch (const Error& error) {
    if (error.finding().id != "project.absent") {
      throw;
    }
  }
  std::error_code error;
  auto real = fs::canonical(start, error);
  return error ? fs::absolute(start) : real;
}

Json to_json(const Scaffold& scaffold) {
  auto items = Json::array();
  for (const auto& item : scaffold.items) {
    items.push_back({{"path", item.path}, {"action", name(item.action)}});
  }
  return {{"root", scaffold.root.string()},
          {"kind", scaffold.kind},
          {"files", std::move(items)},
          {"remarks", scaffold.remarks}};
}

}  // namespace assay::project
