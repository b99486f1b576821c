#pragma once

// Diagnostics: a project's own commands that tell whether something still
// holds. They stand in reference/DIAGNOSTICS.md, each under a heading of its
// own as a block fenced with "```sh diagnostic" (then `slow`, `seconds=N`), or
// in assay.toml as [[diagnostic]]. Blocks without that word are never run.
//
// A project that came from elsewhere brings commands along: they run only
// where somebody on this machine has trusted its folder (new, adopt and
// `tool add` do).

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "assay/core/json.h"
#include "assay/project/settings.h"
#include "assay/project/store.h"

namespace assay::project {

struct Diagnostic {
  std::string name, purpose;
  std::string command;             ///< as written
  std::vector<std::string> words;  ///< what is run; by a shell only if it must
  bool slow = false;
  int seconds = 20;  ///< ended after these
  std::string file;  ///< where it stands
  int line = 1;
};

/** The words of a command that needs no shell (quotes are understood); none
 * where it has signs that only a shell can act on. */
std::vector<std::string> plain_words(std::string_view command);

/** All of them, those of DIAGNOSTICS.md first. Throws Error
 * diagnostic.malformed. */
std::vector<Diagnostic> list_diagnostics(const Store& store,
                                         const Settings& settings);

/** Adds one to DIAGNOSTICS.md: a heading with its name, what it is for, and its
 * command. `seconds` 0: the limit of its kind. A project without any so far is
 * trusted from then on. Error project.duplicate, project.empty. */
void add_diagnostic(Store& store,
                    std::string_view name,
                    std::string_view command,
                    std::string_view purpose,
                    bool slow = false,
                    int seconds = 0);

/** The one of that name (case of ASCII aside), or null. */
const Diagnostic* find_diagnostic(const std::vector<Diagnostic>& all,
                                  std::string_view name);

enum class Outcome { passed, failed, timed_out, not_run };

std::string_view name(Outcome outcome);

struct DiagnosticResult {
  std::string name;
  Outcome outcome = Outcome::not_run;
  int exit_code = 0;
  double seconds = 0;
  std::string when;    ///< "2026-11-24 09:30:05"
  std::string output;  ///< its last lines
};

/** Runs one in the project's folder, at most its seconds. Its output is kept
 * to the last 4 KiB of the first 256. Within another diagnostic nothing is
 * run: not_run. */
DiagnosticResult run_diagnostic(const Store& store,
                                const Diagnostic& diagnostic);

enum class Speed { quick, all };

/** Runs them one after another, `seen` after each, and remembers the outcomes.
 * Without trust it runs none and throws Error diagnostic.not-trusted. */
std::vector<DiagnosticResult> run_diagnostics(
    Store& store,
    const std::vector<Diagnostic>& all,
    Speed speed,
    const std::function<void(const DiagnosticResult&)>& seen = {});

/** What was remembered, of those whose command is still the same. */
std::vector<DiagnosticResult> last_results(const Store& store,
                                           const std::vector<Diagnostic>& all);

/** Trust is kept outside the project, in $XDG_STATE_HOME/assay (or
 * ~/.local/state/assay), so that no project can bring it along. */
bool is_trusted(const Store& store);
void trust(const Store& store);

Json to_json(const Diagnostic& diagnostic);
Json to_json(const DiagnosticResult& result);

}  // namespace assay::project
