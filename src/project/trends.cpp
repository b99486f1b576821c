#include "assay/project/trends.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::project {
namespace {

constexpr size_t kWindow = 20;  ///< values before one that count
constexpr size_t kEnough = 4;   ///< of them for a deviation of their own
constexpr double kSigmas = 3;
constexpr double kLeast = 1e-6;
constexpr double kFloorSame = 1e-4;
constexpr double kFloorMeasured = 0.01;
constexpr double kFloorUnknown = 0.1;
// Of a normal distribution: its deviation over half its middle half, and the
// deviation of a median over that of one value.
constexpr double kDeviationOfSpread = 1.4826;
constexpr double kErrorOfMedian = 1.2533;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle]
                                : (values[middle - 1] + values[middle]) / 2;
}

// Of the median that the value is; 0 where it is not known.
double standard_error(const ResultValue& value) {
  double deviation = kDeviationOfSpread * value.spread.value_or(0);
  return value.runs > 1
             ? kErrorOfMedian * deviation / std::sqrt(double(value.runs))
             : deviation;
}

double floor_of(bool measured, bool all_exact) {
  if (all_exact) {
    return kFloorSame;
  }
  return measured ? kFloorMeasured : kFloorUnknown;
}

bool is_exact(const ResultValue& value) {
  return value.spread == 0.0;
}

Change change_of(double difference, double tolerance, Better better) {
  // What is infinite or no number on one side alone is never noise.
  if (std::isnan(difference) || std::abs(difference) > tolerance) {
    if (better == Better::neither) {
      return Change::changed;
    }
    return (difference > 0) == (better == Better::more) ? Change::better
                                                        : Change::worse;
  }
  return Change::within;
}

double difference_of(double before, double now) {
  bool same = before == now || (std::isnan(before) && std::isnan(now));
  return same ? 0 : now - before;
}

void judge(Point& point, std::span<const Point> before) {
  if (before.empty()) {
    return;
  }
  auto first = before.size() - std::min(before.size(), kWindow);
  std::vector<double> values;
  std::vector<double> errors;
  bool all_exact = is_exact(*point.value);
  bool measured = point.value->spread.value_or(0) > 0;
  for (auto index = first; index < before.size(); ++index) {
    const auto& value = *before[index].value;
    values.push_back(value.value);
    errors.push_back(standard_error(value));
    all_exact = all_exact && is_exact(value);
    measured = measured || value.spread.value_or(0) > 0;
  }
  point.baseline = median(values);
  auto sigma = std::hypot(standard_error(*point.value), median(errors));
  if (values.size() >= kEnough) {
    measured = true;
    for (auto& value : values) {
      value = std::abs(difference_of(point.baseline, value));
    }
    sigma = std::max(sigma, kDeviationOfSpread * median(values));
  }
  point.tolerance =
      std::max({kSigmas * sigma,
                floor_of(measured, all_exact) * std::abs(point.baseline),
                kLeast});
  point.change = change_of(difference_of(point.baseline, point.value->value),
                           point.tolerance,
                           point.value->better);
}

void add_part(std::string& key, std::string_view part) {
  key += '\x1f';
  key += part;
}

void add_facts(std::string& key, const Facts& facts) {
  for (const auto& [name, value] : facts) {
    add_part(key, name);
    add_part(key, value);
  }
}

// What must be equal for two values to be of one series.
std::string key_of(const Run& run, const ResultValue& value) {
  auto key = run.kind;
  add_part(key, run.model.path.empty() ? run.model.name : run.model.path);
  add_part(key, value.what);
  add_part(key, value.unit);
  add_facts(key, run.settings);
  add_facts(key, value.settings);
  for (const auto* machine : {"processor", "device", "threads"}) {
    add_part(key, fact(run.conditions, machine));
  }
  return key;
}

bool holds(std::string_view text, std::string_view part) {
  return to_lower(text).find(to_lower(part)) != std::string::npos;
}

void add_differences(const Facts& a,
                     const Facts& b,
                     std::vector<FactDifference>& differences) {
  for (const auto& [name, value] : a) {
    if (auto other = fact(b, name); other != value) {
      differences.push_back({name, value, std::string(other)});
    }
  }
  for (const auto& [name, value] : b) {
    bool known = std::ranges::any_of(
        a, [&name](const auto& entry) { return entry.first == name; });
    if (!known) {
      differences.push_back({name, "", value});
    }
  }
}

ValueComparison compare_values(const ResultValue& a, const ResultValue& b) {
  ValueComparison result{a.what, a.unit, a.value, b.value};
  Point before{.run = nullptr, .value = &a};
  Point now{.run = nullptr, .value = &b};
  judge(now, std::span(&before, 1));
  result.difference = difference_of(a.value, b.value);
  result.ratio = b.value / a.value;
  result.tolerance = now.tolerance;
  result.change = now.change;
  return result;
}

Json figure_json(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? Json(*value) : Json();
}

}  // namespace

std::string_view name(Change change) {
  switch (change) {
    case Change::first:
      return "first";
    case Change::within:
      return "within noise";
    case Change::better:
      return "better";
    case Change::worse:
      return "worse";
    case Change::changed:
      break;
  }
  return "changed";
}

bool passes(const Run& run, const ResultFilter& filter) {
  const auto& model = run.model;
  bool named = holds(model.name, filter.model) ||
               holds(model.path, filter.model) ||
               model.hash.starts_with(filter.model);
  return (filter.kind.empty() || run.kind == filter.kind) &&
         (filter.model.empty() || named) && run.time >= filter.since;
}

bool passes(const ResultValue& value, const ResultFilter& filter) {
  return filter.what.empty() || holds(value.what, filter.what);
}

std::vector<Series> series_of(const Ledger& ledger,
                              const ResultFilter& filter,
                              Judged judged) {
  std::map<std::string, Series> all;
  for (const auto& run : ledger.runs) {
    if (!passes(run, filter)) {
      continue;
    }
    for (const auto& value : run.values) {
      if (passes(value, filter)) {
        all[key_of(run, value)].points.push_back(
            {.run = &run, .value = &value});
      }
    }
  }
  std::vector<Series> series;
  for (auto& [key, one] : all) {
    auto points = std::span(one.points);
    auto first = judged == Judged::all ? 0 : points.size() - 1;
    for (auto index = first; index < points.size(); ++index) {
      judge(points[index], points.first(index));
    }
    series.push_back(std::move(one));
  }
  return series;
}

std::vector<Series> regressions(const Ledger& ledger,
                                const ResultFilter& filter) {
  auto all = series_of(ledger, filter, Judged::newest);
  std::erase_if(all, [](const Series& series) {
    return series.newest().change != Change::worse;
  });
  return all;
}

std::vector<Finding> regression_findings(const Ledger& ledger,
                                         const ResultFilter& filter) {
  std::vector<Finding> findings;
  for (const auto& series : regressions(ledger, filter)) {
    const auto& point = series.newest();
    const auto& unit = point.value->unit;
    findings.push_back(make_finding(
        "results.regression",
        fmt::format("{}:{} {}", kLedgerFile, point.run->line, label(point)),
        fmt::format("{} as before (median of {}), within {}",
                    figure(point.baseline, unit),
                    std::min(series.points.size() - 1, kWindow),
                    figure(point.tolerance, unit)),
        fmt::format(
            "{} in run {}", figure(point.value->value, unit), point.run->id)));
  }
  return findings;
}

ResultList list_results(const Ledger& ledger,
                        const ResultFilter& filter,
                        size_t limit) {
  ResultList list;
  for (const auto& series : series_of(ledger, filter)) {
    list.points.insert(
        list.points.end(), series.points.begin(), series.points.end());
  }
  // Runs lie in the order of time, and the values of a run in their own.
  std::ranges::sort(list.points, [](const Point& a, const Point& b) {
    return std::pair(a.run, a.value) < std::pair(b.run, b.value);
  });
  if (limit > 0 && list.points.size() > limit) {
    list.left_out = list.points.size() - limit;
    list.points.erase(
        list.points.begin(),
        list.points.begin() + static_cast<ptrdiff_t>(list.left_out));
  }
  return list;
}

std::vector<Series> find_series(const Ledger& ledger,
                                const ResultFilter& filter) {
  auto series = series_of(ledger, filter);
  if (series.empty()) {
    fail("results.no-series",
         std::string(kLedgerFile),
         fmt::format("a figure \"{}\"", filter.what),
         fmt::format("none among {} runs", ledger.runs.size()));
  }
  return series;
}

std::string label(const Point& point) {
  const auto& model = point.run->model;
  auto text = fmt::format("{}: {}",
                          model.name.empty() ? model.path : model.name,
                          point.value->what);
  auto settings = joined_facts(point.run->settings, ", ");
  auto own = joined_facts(point.value->settings, ", ");
  settings += (settings.empty() || own.empty() ? "" : ", ") + own;
  return settings.empty() ? text : fmt::format("{} ({})", text, settings);
}

std::string figure(double value, std::string_view unit) {
  if (unit == "bytes" && std::isfinite(value)) {
    constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB"};
    size_t index = 0;
    while (std::abs(value) >= 1000 && index + 1 < std::size(kUnits)) {
      value /= 1000;
      ++index;
    }
    return fmt::format("{:.4g} {}", value, kUnits[index]);
  }
  auto number = fmt::format("{:.6g}", value);
  return unit.empty()  ? number
         : unit == "%" ? number + "%"
                       : fmt::format("{} {}", number, unit);
}

RunComparison compare_runs(const Run& a, const Run& b) {
  RunComparison comparison;
  comparison.a = &a;
  comparison.b = &b;
  auto same = [](const ResultValue& value) {
    return [&value](const ResultValue& other) {
      return other.what == value.what && other.unit == value.unit &&
             other.settings == value.settings;
    };
  };
  for (const auto& value : a.values) {
    auto other = std::ranges::find_if(b.values, same(value));
    comparison.values.push_back(
        other == b.values.end()
            ? ValueComparison{value.what, value.unit, value.value, {}}
            : compare_values(value, *other));
  }
  for (const auto& value : b.values) {
    if (std::ranges::none_of(a.values, same(value))) {
      comparison.values.push_back({value.what, value.unit, {}, value.value});
    }
  }
  auto facts = [](const Run& run) {
    return Facts{{"kind", run.kind},
                 {"model", run.model.path},
                 {"model hash", run.model.hash}};
  };
  add_differences(facts(a), facts(b), comparison.differences);
  add_differences(a.settings, b.settings, comparison.differences);
  add_differences(a.conditions, b.conditions, comparison.differences);
  return comparison;
}

Json to_json(const Point& point) {
  Json json = {{"id", point.run->id},
               {"time", point.run->time},
               {"value", figure_json(point.value->value)},
               {"spread", figure_json(point.value->spread)},
               {"change", name(point.change)}};
  if (point.change != Change::first) {
    json["baseline"] = figure_json(point.baseline);
    json["tolerance"] = figure_json(point.tolerance);
  }
  return json;
}

Json to_json(const Series& series) {
  const auto& newest = series.newest();
  Json points = Json::array();
  for (const auto& point : series.points) {
    points.push_back(to_json(point));
  }
  return {{"label", label(newest)},
          {"kind", newest.run->kind},
          {"model", newest.run->model.path},
          {"what", newest.value->what},
          {"unit", newest.value->unit},
          {"change", name(newest.change)},
          {"points", std::move(points)}};
}

Json to_json(const RunComparison& comparison) {
  Json values = Json::array();
  for (const auto& value : comparison.values) {
    Json entry = {{"what", value.what},
                  {"unit", value.unit},
                  {"a", figure_json(value.a)},
                  {"b", figure_json(value.b)}};
    if (value.a && value.b) {
      entry["difference"] = figure_json(value.difference);
      entry["ratio"] = figure_json(value.ratio);
      entry["tolerance"] = figure_json(value.tolerance);
      entry["change"] = name(value.change);
    }
    values.push_back(std::move(entry));
  }
  Json differences = Json::array();
  for (const auto& difference : comparison.differences) {
    differences.push_back(
        {{"name", difference.name}, {"a", difference.a}, {"b", difference.b}});
  }
  return {{"a", comparison.a->id},
          {"b", comparison.b->id},
          {"values", std::move(values)},
          {"differences", std::move(differences)}};
}

}  // namespace assay::project
