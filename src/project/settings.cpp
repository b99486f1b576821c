#include "assay/project/settings.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <toml++/toml.h>

#include <fmt/format.h>

namespace assay::project {
namespace {

constexpr size_t kMaxBytes = 1u << 20;

int line_of(const toml::node& node) {
  return static_cast<int>(node.source().begin.line);
}

[[noreturn]] void fail_at(int line, std::string expected, std::string actual) {
  fail("settings.malformed",
       fmt::format("{}:{}", kSettingsFile, line),
       std::move(expected),
       std::move(actual));
}

std::string type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

// One table, its keys read by name; those not read are unknown.
class Reader {
 public:
  Reader(const toml::table& table, std::string path)
      : table_(&table), path_(std::move(path)) {}

  std::string text(std::string_view key) {
    const auto* node = find(key);
    if (node == nullptr) {
      return {};
    }
    if (!node->is_string()) {
      wrong(key, *node, "a string");
    }
    return node->ref<std::string>();
  }
  std::string required(std::string_view key) {
    auto value = text(key);
    if (trim(value).empty()) {
      fail_at(static_cast<int>(table_->source().begin.line),
              fmt::format("{}{}", path_, key),
              "nothing");
    }
    return value;
  }
  bool flag(std::string_view key) {
    const auto* node = find(key);
    if (node != nullptr && !node->is_boolean()) {
      wrong(key, *node, "true or false");
    }
    return node != nullptr && node->ref<bool>();
  }
  double number(std::string_view key, double fallback, double least) {
    const auto* node = find(key);
    if (node == nullptr) {
      return fallback;
    }
    auto value = node->value<double>();
    if (!value || !(*value >= least) || *value > 1e6) {
      wrong(key, *node, fmt::format("a number from {} to 1000000", least));
    }
    return *value;
  }
  std::vector<std::string> texts(std::string_view key) {
    const auto* node = find(key);
    std::vector<std::string> values;
    if (node == nullptr) {
      return values;
    }
    if (!node->is_array()) {
      wrong(key, *node, "an array of strings");
    }
    for (const auto& entry : *node->as_array()) {
      if (!entry.is_string()) {
        wrong(key, entry, "strings alone");
      }
      values.push_back(entry.ref<std::string>());
    }
    return values;
  }
  bool is_array(std::string_view key) const {
    const auto* node = table_->get(key);
    return node != nullptr && node->is_array();
  }
  /** The table of that key; absent: null. */
  const toml::table* table(std::string_view key) {
    const auto* node = find(key);
    if (node != nullptr && !node->is_table()) {
      wrong(key, *node, "a table");
    }
    return node == nullptr ? nullptr : node->as_table();
  }
  /** The tables of `[[key]]`. */
  std::vector<const toml::table*> tables(std::string_view key) {
    const auto* node = find(key);
    std::vector<const toml::table*> all;
    if (node == nullptr) {
      return all;
    }
    if (!node->is_array()) {
      wrong(key, *node, fmt::format("tables [[{}]]", key));
    }
    for (const auto& entry : *node->as_array()) {
      if (!entry.is_table()) {
        wrong(key, entry, fmt::format("tables [[{}]]", key));
      }
      all.push_back(entry.as_table());
    }
    return all;
  }

  void report_unknown(std::vector<Finding>& findings) const {
    for (const auto& [key, node] : *table_) {
      if (std::ranges::find(read_, key.str()) == read_.end()) {
        findings.push_back(
            make_finding("settings.unknown-key",
                         fmt::format("{}:{}", kSettingsFile, line_of(node)),
                         "a key that Assay knows",
                         fmt::format("{}{}", path_, key.str())));
      }
    }
  }

 private:
  const toml::node* find(std::string_view key) {
    read_.emplace_back(key);
    return table_->get(key);
  }
  [[noreturn]] void wrong(std::string_view key,
                          const toml::node& node,
                          std::string_view expected) const {
    fail_at(line_of(node),
            fmt::format("{}{}: {}", path_, key, expected),
            type_name(node));
  }

  const toml::table* table_;
  std::string path_;
  std::vector<std::string> read_;
};

ModelSetting read_model(const toml::table& table, Settings& settings) {
  auto reader = Reader(table, "model.");
  ModelSetting model;
  model.name = reader.required("name");
  model.path = reader.required("path");
  model.line = static_cast<int>(table.source().begin.line);
  reader.report_unknown(settings.findings);
  return model;
}

DiagnosticSetting read_diagnostic(const toml::table& table,
                                  Settings& settings) {
  auto reader = Reader(table, "diagnostic.");
  DiagnosticSetting entry;
  entry.line = static_cast<int>(table.source().begin.line);
  entry.name = reader.required("name");
  entry.purpose = reader.text("purpose");
  if (reader.is_array("command")) {
    entry.words = reader.texts("command");
    if (entry.words.empty()) {
      fail_at(entry.line, "diagnostic.command: a program", "an empty array");
    }
  } else {
    entry.command = reader.required("command");
  }
  entry.slow = reader.flag("slow");
  entry.seconds = static_cast<int>(reader.number("seconds", 0, 0));
  reader.report_unknown(settings.findings);
  return entry;
}

void read_thresholds(const toml::table& table, Settings& settings) {
  auto reader = Reader(table, "thresholds.");
  settings.regression_percent =
      reader.number("regression_percent", settings.regression_percent, 0);
  settings.quick_seconds = static_cast<int>(
      reader.number("quick_seconds", settings.quick_seconds, 1));
  settings.slow_seconds =
      static_cast<int>(reader.number("slow_seconds", settings.slow_seconds, 1));
  reader.report_unknown(settings.findings);
}

void read_naming(const toml::table& table, Settings& settings) {
  auto reader = Reader(table, "naming.");
  if (reader.is_array("scripts")) {
    settings.script_names = reader.texts("scripts");
  }
  reader.report_unknown(settings.findings);
}

void expect_unique(const Settings& settings) {
  for (size_t index = 0; index < settings.diagnostics.size(); ++index) {
    const auto& name = settings.diagnostics[index].name;
    for (size_t other = 0; other < index; ++other) {
      if (settings.diagnostics[other].name == name) {
        fail_at(
            settings.diagnostics[index].line, "a diagnostic's name once", name);
      }
    }
  }
}

}  // namespace

Settings read_settings(const Store& store) {
  Settings settings;
  auto text = store.read(kSettingsFile);
  if (!text) {
    return settings;
  }
  if (text->size() > kMaxBytes) {
    fail_at(1, "at most 1 MiB", fmt::format("{} bytes", text->size()));
  }
  try {
    auto root = toml::parse(*text);
    auto reader = Reader(root, "");
    settings.name = reader.text("name");
    settings.kind = reader.text("kind");
    for (const auto* table : reader.tables("model")) {
      settings.models.push_back(read_model(*table, settings));
    }
    for (const auto* table : reader.tables("diagnostic")) {
      settings.diagnostics.push_back(read_diagnostic(*table, settings));
    }
    if (const auto* table = reader.table("thresholds")) {
      read_thresholds(*table, settings);
    }
    if (const auto* table = reader.table("naming")) {
      read_naming(*table, settings);
    }
    reader.report_unknown(settings.findings);
  } catch (const toml::parse_error& error) {
    fail_at(static_cast<int>(error.source().begin.line),
            "TOML 1.0",
            std::string(error.description()));
  }
  expect_unique(settings);
  return settings;
}

}  // namespace assay::project
