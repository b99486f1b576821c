#pragma once

// Results: what was measured, as a ledger: reference/results.jsonl, one line a
// run, to which lines are only added. Each line says all by itself, so git
// merges two of them by taking the lines of both (merge=union). RESULTS.md is
// its view: a marked table for each kind of run, all other text is people's.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

constexpr std::string_view kLedgerFile = "reference/results.jsonl";
constexpr std::string_view kResultsFile = "reference/RESULTS.md";

/** Names and values, in order. */
using Facts = std::vector<std::pair<std::string, std::string>>;

/** The value of that name; empty where there is none. */
std::string_view fact(const Facts& facts, std::string_view name);

/** "name value" for each, with `between` between them. */
std::string joined_facts(const Facts& facts, std::string_view between);

/** What was measured. */
struct ModelIdentity {
  std::string name;
  std::string path;  ///< relative to the project where it lies in it
  std::string hash;  ///< see fingerprint.h
  bool operator==(const ModelIdentity&) const = default;
};

/** Which way a figure is better; neither for one that only describes. */
enum class Better { neither, more, less };

struct ResultValue {
  std::string what;       ///< "decode 64", "perplexity"
  double value = 0;       ///< may be infinite or NaN
  std::string unit = {};  ///< "tokens/s", "bytes", ""
  /** Half the range of the middle half of `runs`; 0: it comes out the same
   * every time; nothing: it was measured once and may vary. */
  std::optional<double> spread = {};
  int runs = 1;
  Better better = Better::neither;
  Facts settings = {};  ///< of this figure: {"prompt", "128 tokens"}
  bool operator==(const ResultValue&) const = default;
};

struct Run {
  std::string id;    ///< 12 hex digits of the SHA-256 of all else
  std::string time;  ///< UTC: "2026-11-24T08:15:30.123456Z"
  std::string kind;  ///< "bench", "perplexity", "quantize"
  ModelIdentity model;
  Facts settings;    ///< what was asked for: another setting, another figure
  Facts conditions;  ///< machine, system, versions: what may explain a change
  std::vector<ResultValue> values;
  std::string command;  ///< the command line that gave it
  int line = 0;         ///< in the ledger, from 1
};

struct Ledger {
  std::vector<Run> runs;  ///< by time
  /** results.malformed for each line that is no run. */
  std::vector<Finding> findings;
};

/** All runs; a project without a ledger has none. */
Ledger read_ledger(const Store& store);
/** The same of a ledger's text. */
Ledger parse_ledger(std::string_view text);

/** What record did. */
struct Recorded {
  Run run;  ///< with id, time and line
  /** Why RESULTS.md was left as it was (broken lines in the ledger, a table
   * that somebody edited); the run is in the ledger all the same. */
  std::vector<Finding> findings;
};

/** Adds a run to the ledger (an empty `time` becomes now), lets git merge it,
 * and renews the view. Throws Error results.malformed for a run without values,
 * project.locked and the like: then nothing was written. */
Recorded record(Store& store, Run run);

/** Writes the tables of RESULTS.md anew from the ledger: one row for each
 * figure of each model under the same settings on the same machine, the newest.
 * What was wrong is returned, and nothing written then. */
std::vector<Finding> refresh_view(Store& store);
/** The same from a ledger that was read under the lock. */
std::vector<Finding> refresh_view(Store& store, const Ledger& ledger);
/** True where refresh_view would change nothing. */
bool view_is_current(const Store& store);

/** The run that `which` names: the beginning of its id (four digits or more),
 * "latest", or "latest~N". Throws Error results.no-run, project.ambiguous. */
const Run& find_run(const Ledger& ledger, std::string_view which);

/** One line of the ledger, without its ending. */
std::string ledger_line(const Run& run);
Json to_json(const Run& run);

/** The time now, as Run::time. */
std::string utc_now();

}  // namespace assay::project
