// Entries of the catalogue: the project's documents, results and search.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kProjectEntries = {
    CatalogueEntry{"project.absent",
                   error,
                   "No project here",
                   "The verb works on a project's documents, and neither this "
                   "folder nor one above it is a project.",
                   "Go into the project's folder. `git init` or an empty file "
                   "assay.toml makes this folder one."},
    CatalogueEntry{
        "project.ambiguous",
        error,
        "The document can be read in two ways",
        "Two headings, tasks or blocks answer to the same name, or a mark "
        "<!-- assay:ID --> lacks its partner. A guess could change the wrong "
        "lines, so nothing was changed.",
        "Use the task's id or FILE:LINE from `assay task list`, rename one of "
        "the two, or repair the marks in an editor."},
    CatalogueEntry{"project.changing",
                   error,
                   "The file changed again and again during the edit",
                   "Another program writes this file without the project's "
                   "lock, an editor that saves continually or a sync service.",
                   "Let it come to rest, then repeat the command. Nothing was "
                   "changed."},
    CatalogueEntry{"project.duplicate",
                   error,
                   "It is written there already",
                   "A task, learning, decision or diagnostic of this name "
                   "stands in the document.",
                   "Change the one that is there, or use another name. Nothing "
                   "was changed."},
    CatalogueEntry{
        "project.edited-block",
        error,
        "A block of Assay's own was changed by hand",
        "What stands between <!-- assay:ID --> and its end was written by a "
        "command; its last line holds a hash of that, which does not fit any "
        "more. Writing the block anew would lose somebody's words.",
        "Move the words out of the block, then delete it with both marks and "
        "repeat the command (`assay results refresh` for tables of results)."},
    CatalogueEntry{"project.editor",
                   error,
                   "The editor did not end well",
                   "It could not be started, or it said that it failed. The "
                   "form stays where it is, and the next try goes on with it.",
                   "Set VISUAL or EDITOR to an editor that is installed, or "
                   "give --rationale, --trade-off and --validation."},
    CatalogueEntry{"project.empty",
                   error,
                   "A text is missing",
                   "What is written down needs words; a decision needs its "
                   "title (of one line), rationale, trade-off and validation.",
                   "Give the text, for a decision with --rationale, "
                   "--trade-off and --validation."},
    CatalogueEntry{"project.no-decision",
                   error,
                   "No decision of that title",
                   "The decision to be superseded was renamed, or never "
                   "written down.",
                   "Give the title as in reference/LEARNINGS.md, or the file "
                   "name in docs/decisions. Nothing was changed."},
    CatalogueEntry{"project.no-heading",
                   error,
                   "No heading of that title",
                   "The document has no such section.",
                   "Give a heading as it stands in the document, or add it "
                   "first. Nothing was changed."},
    CatalogueEntry{"project.no-task",
                   error,
                   "No task of that name",
                   "The text was changed since, or it stands in code or in a "
                   "comment, where tasks are not looked for.",
                   "`assay task list --all` shows all tasks with their ids. "
                   "Nothing was changed."},
    CatalogueEntry{
        "project.locked",
        error,
        "Another process is changing this project",
        "An assay command, perhaps a server, holds the lock. The system "
        "releases it when that process ends, however it ends.",
        "Wait for it or end it, then repeat. Nothing was changed."},
    CatalogueEntry{"project.outside",
                   error,
                   "The file lies outside the project",
                   "The name leads out of the project's folder, by .. or by a "
                   "link.",
                   "Name a file below the project's folder."},
    CatalogueEntry{"recall.rebuilt",
                   note,
                   "The search index was made anew",
                   "It was damaged, or held something else than the documents "
                   "do. The documents themselves are not touched by it.",
                   "Nothing: the answer comes from the new index."},
    CatalogueEntry{"recall.unavailable",
                   error,
                   "This SQLite cannot search texts",
                   "The library was built without FTS5, or has no memory for "
                   "an index.",
                   "Install the system's own SQLite (Debian: libsqlite3-0), "
                   "which has FTS5."},
    CatalogueEntry{
        "results.malformed",
        error,
        "A line of the ledger is no run",
        "The line was edited, or a merge left its marks there. The runs of the "
        "other lines are there; RESULTS.md is left as it is meanwhile.",
        "Repair or remove the line in reference/results.jsonl (git has the "
        "older text), then run `assay results refresh`."},
    CatalogueEntry{"results.no-run",
                   error,
                   "No run of that name",
                   "A run is named by its id or the first four or more digits "
                   "of it, by \"latest\", or by \"latest~N\".",
                   "`assay results list` shows the ids."},
    CatalogueEntry{
        "results.no-series",
        error,
        "No such figure was recorded",
        "No run of the ledger holds a figure that the filters let through.",
        "`assay results list` shows what there is; record more with "
        "--record."},
    CatalogueEntry{
        "results.regression",
        warning,
        "A figure became worse, beyond noise",
        "The newest value differs from the median of those before it, by the "
        "same settings on the same machine, by more than three times their "
        "noise.",
        "`assay results compare` the two runs: it shows which conditions "
        "differ. Measure again if the machine was busy."},
    CatalogueEntry{"results.units",
                   error,
                   "Figures of several units do not share a chart",
                   "The name stands for figures in different units.",
                   "Name the figure in full, or choose with --kind and "
                   "--model."}};

}  // namespace

std::span<const CatalogueEntry> project() {
  return kProjectEntries;
}

}  // namespace assay::catalogue_parts
