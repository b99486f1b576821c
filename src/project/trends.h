#pragma once

// Trends: figures over time, and which changes are more than noise.
//
// A figure is held against the median of up to 20 values before it, measured
// with the same settings on the same machine. The change is beyond noise where
// it exceeds max(3 sigma, floor):
// - sigma is the larger of the standard error of the two medians, by their
//   recorded spreads (1.4826 * spread estimates the standard deviation of one
//   run, 1.2533 / sqrt(runs) of it that of a median), and, from four earlier
//   values on, 1.4826 times their median absolute deviation;
// - floor is 0.01% of the median for figures that come out the same every time
//   (spread 0), 1% where the noise was measured, and 10% where it is unknown;
//   never less than 1e-6, whatever the unit.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/json.h"
#include "assay/project/results.h"

namespace assay::project {

enum class Change {
  first,    ///< nothing before it
  within,   ///< within noise
  better,   ///< beyond noise, the good way
  worse,    ///< beyond noise, the bad way: a regression
  changed,  ///< beyond noise, of a figure that is neither
};

std::string_view name(Change change);

/** A value and what it is held against. Points into the ledger. */
struct Point {
  const Run* run = nullptr;
  const ResultValue* value = nullptr;
  Change change = Change::first;
  double baseline = 0;   ///< the median of those before
  double tolerance = 0;  ///< the largest difference that may be noise
};

/** One figure of one model under the same settings on the same machine. */
struct Series {
  std::vector<Point> points;  ///< by time, never empty
  const Point& newest() const { return points.back(); }
};

/** Which figures to look at; an empty text lets all through. */
struct ResultFilter {
  std::string kind = {};   ///< the whole of it
  std::string model = {};  ///< part of its name or path, or its hash's start
  std::string what = {};   ///< a part of it
  std::string since = {};  ///< "2026-11-24": not before
};

bool passes(const Run& run, const ResultFilter& filter);
bool passes(const ResultValue& value, const ResultFilter& filter);

/** Which points are held against those before them. */
enum class Judged { all, newest };

/** All series, by kind, model and figure. The ledger must outlive them. */
std::vector<Series> series_of(const Ledger& ledger,
                              const ResultFilter& filter = {},
                              Judged judged = Judged::all);

/** Those whose newest value is worse beyond noise. */
std::vector<Series> regressions(const Ledger& ledger,
                                const ResultFilter& filter = {});

/** The same as findings results.regression. */
std::vector<Finding> regression_findings(const Ledger& ledger,
                                         const ResultFilter& filter = {});

/** Figures in the order of time, the newest last; 0: all of them. */
struct ResultList {
  std::vector<Point> points;
  size_t left_out = 0;  ///< older ones beyond the limit
};
ResultList list_results(const Ledger& ledger,
                        const ResultFilter& filter = {},
                        size_t limit = 0);

/** As series_of; none at all: Error results.no-series. */
std::vector<Series> find_series(const Ledger& ledger,
                                const ResultFilter& filter);

/** "model: decode 64" with its settings. */
std::string label(const Point& point);
/** "69.3 tokens/s", "255 MB". */
std::string figure(double value, std::string_view unit);

/** Two runs of the same kind, figure by figure. */
struct ValueComparison {
  std::string what = {}, unit = {};
  std::optional<double> a = {}, b = {};  ///< nothing: that run lacks it
  double difference = 0;                 ///< b - a
  double ratio = 0;                      ///< b / a
  double tolerance = 0;
  Change change = Change::within;
};
struct FactDifference {
  std::string name, a, b;
};
struct RunComparison {
  const Run* a = nullptr;
  const Run* b = nullptr;
  std::vector<ValueComparison> values;
  /** Settings, conditions, model and hash that differ. */
  std::vector<FactDifference> differences;
};
RunComparison compare_runs(const Run& a, const Run& b);

Json to_json(const Point& point);
Json to_json(const Series& series);
Json to_json(const RunComparison& comparison);

}  // namespace assay::project
