// Entries of the catalogue: the project's documents.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kEntries = {
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
                   "Name a file below the project's folder."}};

}  // namespace

std::span<const CatalogueEntry> project() {
  return kEntries;
}

}  // namespace assay::catalogue_parts
