// The text of the ledger: a run a line, read with simdjson since a ledger of
// ten thousand lines is read at each start.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <limits>
#include <unordered_set>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include "assay/project/hash.h"
#include "assay/project/results.h"

namespace assay::project {
namespace dom = simdjson::dom;

namespace {

// What a line lacks, found while it is read; caught in parse_line.
struct Malformed : std::exception {
  Malformed(std::string wanted, std::string found)
      : expected(std::move(wanted)), actual(std::move(found)) {}
  std::string expected, actual;
};

std::string text_at(const dom::element& object,
                    std::string_view key,
                    bool required = true) {
  std::string_view text;
  auto error = object.at_key(key).get(text);
  if (error == simdjson::SUCCESS) {
    return std::string(text);
  }
  if (required || error != simdjson::NO_SUCH_FIELD) {
    throw Malformed{fmt::format("a text \"{}\"", key),
                    simdjson::error_message(error)};
  }
  return {};
}

Facts facts_at(const dom::element& object, std::string_view key) {
  Facts facts;
  dom::object entries;
  auto error = object.at_key(key).get(entries);
  if (error == simdjson::NO_SUCH_FIELD) {
    return facts;
  }
  if (error != simdjson::SUCCESS) {
    throw Malformed{fmt::format("an object \"{}\"", key),
                    simdjson::error_message(error)};
  }
  for (auto [name, value] : entries) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) {
      throw Malformed{fmt::format("texts in \"{}\"", key), std::string(name)};
    }
    facts.emplace_back(name, text);
  }
  return facts;
}

// JSON has no infinity and no NaN: these stand as texts.
double number_of(const dom::element& value, std::string_view key) {
  double number = 0;
  if (value.get(number) == simdjson::SUCCESS) {
    return number;
  }
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (text == "inf" || text == "-inf") {
      return text[0] == '-' ? -kInfinity : kInfinity;
    }
    if (text == "nan") {
      return std::numeric_limits<double>::quiet_NaN();
    }
  }
  throw Malformed{fmt::format("a number \"{}\"", key), "something else"};
}

Better better_of(std::string_view word) {
  if (word == "more") {
    return Better::more;
  }
  return word == "less" ? Better::less : Better::neither;
}

ResultValue value_of(const dom::element& entry) {
  ResultValue value;
  value.what = text_at(entry, "what");
  dom::element number;
  if (entry.at_key("value").get(number) != simdjson::SUCCESS) {
    throw Malformed{"a number \"value\"", "none"};
  }
  value.value = number_of(number, "value");
  value.unit = text_at(entry, "unit", false);
  dom::element spread;
  if (entry.at_key("spread").get(spread) == simdjson::SUCCESS &&
      !spread.is_null()) {
    value.spread = number_of(spread, "spread");
  }
  int64_t runs = 1;
  if (entry.at_key("runs").get(runs) == simdjson::SUCCESS) {
    value.runs = static_cast<int>(
        std::clamp<int64_t>(runs, 1, std::numeric_limits<int>::max()));
  }
  value.better = better_of(text_at(entry, "better", false));
  value.settings = facts_at(entry, "settings");
  return value;
}

// Times are compared as text, so they must be of one form.
bool is_time(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00";
  if (text.size() <= kForm.size() || !text.ends_with('Z')) {
    return false;
  }
  for (size_t at = 0; at + 1 < text.size(); ++at) {
    char form = at < kForm.size() ? kForm[at] : '0';
    bool digit = text[at] >= '0' && text[at] <= '9';
    bool point = at == kForm.size() && text[at] == '.';
    if (form == '0' ? !digit && !point : text[at] != form) {
      return false;
    }
  }
  return true;
}

Run run_of(const dom::element& entry) {
  Run run;
  run.id = text_at(entry, "id");
  run.time = text_at(entry, "time");
  if (!is_time(run.time)) {
    throw Malformed{"a time such as 2026-11-24T08:15:30.123456Z", run.time};
  }
  run.kind = text_at(entry, "kind");
  dom::element model;
  if (entry.at_key("model").get(model) == simdjson::SUCCESS) {
    run.model = {text_at(model, "name", false),
                 text_at(model, "path", false),
                 text_at(model, "hash", false)};
  }
  run.settings = facts_at(entry, "settings");
  run.conditions = facts_at(entry, "conditions");
  dom::array values;
  if (entry.at_key("values").get(values) != simdjson::SUCCESS ||
      values.size() == 0) {
    throw Malformed{"a list \"values\" that is not empty", "none"};
  }
  for (auto value : values) {
    run.values.push_back(value_of(value));
  }
  run.command = text_at(entry, "command", false);
  return run;
}

Json json_of(double number) {
  if (std::isfinite(number)) {
    return number;
  }
  if (std::isnan(number)) {
    return "nan";
  }
  return number > 0 ? "inf" : "-inf";
}

Json json_of(const Facts& facts) {
  Json object = Json::object();
  for (const auto& [key, value] : facts) {
    object[key] = value;
  }
  return object;
}

Json json_of(const ResultValue& value) {
  Json entry = {{"what", value.what}, {"value", json_of(value.value)}};
  if (!value.unit.empty()) {
    entry["unit"] = value.unit;
  }
  if (value.spread) {
    entry["spread"] = json_of(*value.spread);
  }
  if (value.runs != 1) {
    entry["runs"] = value.runs;
  }
  if (value.better != Better::neither) {
    entry["better"] = value.better == Better::more ? "more" : "less";
  }
  if (!value.settings.empty()) {
    entry["settings"] = json_of(value.settings);
  }
  return entry;
}

// All but the id.
Json content_of(const Run& run) {
  Json values = Json::array();
  for (const auto& value : run.values) {
    values.push_back(json_of(value));
  }
  return {{"time", run.time},
          {"kind", run.kind},
          {"model",
           {{"name", run.model.name},
            {"path", run.model.path},
            {"hash", run.model.hash}}},
          {"settings", json_of(run.settings)},
          {"values", std::move(values)},
          {"conditions", json_of(run.conditions)},
          {"command", run.command}};
}

std::string compact(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string_view fact(const Facts& facts, std::string_view name) {
  auto found = std::ranges::find(facts, name, [](const auto& entry) {
    return std::string_view(entry.first);
  });
  return found == facts.end() ? std::string_view() : found->second;
}

std::string joined_facts(const Facts& facts, std::string_view between) {
  std::string text;
  for (const auto& [key, value] : facts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : between, key, value);
  }
  return text;
}

std::string utc_now() {
  using namespace std::chrono;
  auto now = system_clock::now();
  auto seconds = time_point_cast<std::chrono::seconds>(now);
  auto rest = duration_cast<microseconds>(now - seconds).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                     fmt::gmtime(system_clock::to_time_t(seconds)),
                     rest);
}

Json to_json(const Run& run) {
  Json json = {{"id", run.id}};
  json.update(content_of(run));
  return json;
}

std::string ledger_line(const Run& run) {
  auto named = run;
  named.id = sha256(compact(content_of(run))).substr(0, 12);
  return compact(to_json(named));
}

Ledger parse_ledger(std::string_view text) {
  Ledger ledger;
  auto padded = simdjson::padded_string(text);
  dom::parser parser;
  std::unordered_set<std::string_view> seen;
  size_t begin = 0;
  for (int line = 1; begin < text.size(); ++line) {
    auto end = std::min(text.find('\n', begin), text.size());
    auto content = text.substr(begin, end - begin);
    auto at = begin;
    begin = end + 1;
    if (content.ends_with('\r')) {
      content.remove_suffix(1);
    }
    if (trim(content).empty()) {
      continue;
    }
    try {
      dom::element entry;
      auto error =
          parser.parse(padded.data() + at, content.size(), false).get(entry);
      if (error != simdjson::SUCCESS) {
        throw Malformed{"one JSON object", simdjson::error_message(error)};
      }
      auto run = run_of(entry);
      run.line = line;
      // The same line of two branches that git put together is one run.
      if (seen.insert(trim(content)).second) {
        ledger.runs.push_back(std::move(run));
      }
    } catch (const Malformed& problem) {
      ledger.findings.push_back(
          make_finding("results.malformed",
                       fmt::format("{}:{}", kLedgerFile, line),
                       problem.expected,
                       problem.actual));
    }
  }
  // Lines are added as time goes on; only merges put them out of order.
  if (!std::ranges::is_sorted(ledger.runs, std::less<>{}, &Run::time)) {
    std::ranges::stable_sort(ledger.runs, std::less<>{}, &Run::time);
  }
  return ledger;
}

}  // namespace assay::project
