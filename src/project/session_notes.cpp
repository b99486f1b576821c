// .assay/session.json: how a session is remembered.

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/project/session.h"
#include "assay/project/session_parts.h"

namespace assay::project {
namespace {

TaskState state_of(const Json& json) {
  auto text = json.get<std::string>();
  for (auto state : {TaskState::open,
                     TaskState::started,
                     TaskState::done,
                     TaskState::dropped}) {
    if (name(state) == text) {
      return state;
    }
  }
  fail("session.unreadable", std::string(kSessionFile), "a task's state", text);
}

Json marks_json(const SessionMark& mark) {
  auto tasks = Json::array();
  for (const auto& task : mark.tasks) {
    tasks.push_back({task.id, name(task.state), task.section, task.text});
    if (task.later) {
      tasks.back().push_back(name(*task.later));
    }
  }
  return {{"at", mark.at},
          {"tasks", std::move(tasks)},
          {"decisions", mark.decisions},
          {"learnings", mark.learnings},
          {"results", mark.results},
          {"tree", to_json(mark.tree)}};
}

SessionMark mark_from(const Json& json) {
  SessionMark mark;
  mark.at = json.at("at").get<std::string>();
  for (const auto& entry : json.at("tasks")) {
    TaskMark task{.id = entry.at(0).get<std::string>(),
                  .text = entry.at(3).get<std::string>(),
                  .state = state_of(entry.at(1)),
                  .section = entry.at(2).get<std::string>()};
    if (entry.size() > 4) {
      task.later = state_of(entry.at(4));
    }
    mark.tasks.push_back(std::move(task));
  }
  json.at("decisions").get_to(mark.decisions);
  json.at("learnings").get_to(mark.learnings);
  json.at("results").get_to(mark.results);
  mark.tree = tree_from_json(json.at("tree"));
  return mark;
}

}  // namespace

SessionNotes read_notes(const Store& store) {
  SessionNotes notes;
  auto text = store.read(kSessionFile);
  if (!text) {
    return notes;
  }
  try {
    auto json = parse_json(*text, kSessionFile);
    if (json.at("format") != 1) {
      fail("session.unreadable",
           std::string(kSessionFile),
           "format 1",
           json.at("format").dump());
    }
    if (!json.at("open").is_null()) {
      notes.open = mark_from(json.at("open"));
    }
    if (!json.at("ended").is_null()) {
      notes.ended_at = json.at("ended").at("at").get<std::string>();
      notes.ended_tree = tree_from_json(json.at("ended").at("tree"));
    }
  } catch (const nlohmann::json::exception& error) {
    fail("session.unreadable",
         std::string(kSessionFile),
         "the notes of a session",
         error.what());
  }
  return notes;
}

void write_notes(Store& store, const SessionNotes& notes) {
  Json json = {{"format", 1}, {"open", nullptr}, {"ended", nullptr}};
  if (notes.open) {
    json["open"] = marks_json(*notes.open);
  }
  if (!notes.ended_at.empty()) {
    json["ended"] = {{"at", notes.ended_at},
                     {"tree", to_json(notes.ended_tree)}};
  }
  // Not indented: thousands of tasks are read at every start.
  auto text = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  store.rewrite(kSessionFile, [&](const std::string&) { return text; });
}

}  // namespace assay::project
