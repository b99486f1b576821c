// Entries of the catalogue: sessions, diagnostics, environments and what
// `assay project check` finds.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kSessionsEntries = {
    CatalogueEntry{"clock.malformed",
                   error,
                   "ASSAY_NOW is no date and time",
                   "The environment variable that stands for the clock in "
                   "tests is set, and can't be read.",
                   "Unset ASSAY_NOW, or write it as 2026-11-24 09:30."},
    CatalogueEntry{"diagnostic.failed",
                   error,
                   "A diagnostic of the project fails",
                   "What it watches no longer holds, or its command needs "
                   "something that is not here.",
                   "Run the command as it stands in the project's folder; mend "
                   "the cause, or the diagnostic."},
    CatalogueEntry{
        "diagnostic.malformed",
        error,
        "A diagnostic can't be read",
        "Its fence has a word after `diagnostic` that is not known, its block "
        "holds no command, or its name is there twice.",
        "Write ```sh diagnostic, optionally with slow and seconds=N, one name "
        "a diagnostic."},
    CatalogueEntry{"diagnostic.none",
                   error,
                   "No diagnostic of that name",
                   "Neither reference/DIAGNOSTICS.md nor assay.toml has one.",
                   "`assay tool list` shows them, `assay tool add` adds one."},
    CatalogueEntry{
        "diagnostic.not-trusted",
        warning,
        "Diagnostics were not run",
        "They are commands of this project, which was made elsewhere: on this "
        "machine nobody has allowed them yet.",
        "Read them with `assay tool list`; `assay tool trust` allows those of "
        "this folder."},
    CatalogueEntry{"document.link",
                   warning,
                   "A link leads nowhere",
                   "The file was moved or removed, or the heading it named was "
                   "changed.",
                   "Correct the link, or bring back what it names."},
    CatalogueEntry{"document.missing",
                   warning,
                   "A document of the project is missing",
                   "It was never written, or was removed or renamed.",
                   "`assay adopt` adds what is missing and changes nothing "
                   "that is there."},
    CatalogueEntry{"document.stale",
                   warning,
                   "A document speaks of something that changed",
                   "Files came, went or changed after it was written.",
                   "Bring the document up to date."},
    CatalogueEntry{"decision.contradiction",
                   warning,
                   "Decisions contradict each other",
                   "One names another as superseded that is not there, or "
                   "that does not name it in turn; or they supersede in a "
                   "circle.",
                   "Correct the titles in **Supersedes** and **Superseded "
                   "by**; `assay decide --supersedes` writes both."},
    CatalogueEntry{"env.absent",
                   error,
                   "No program that makes or runs an environment",
                   "None of conda, mamba, micromamba, uv and python3 is on "
                   "the PATH.",
                   "Install one of them, or put it on the PATH."},
    CatalogueEntry{"env.changed",
                   warning,
                   "The environment has changed since it was recorded",
                   "A package was installed, removed or renewed.",
                   "`assay env record` records it as it is now."},
    CatalogueEntry{"env.exists",
                   error,
                   "The environment is there already",
                   "A folder of that name was made before.",
                   "Use it, or remove it first; `assay env status` shows "
                   "where it is."},
    CatalogueEntry{"env.failed",
                   error,
                   "Making or reading the environment failed",
                   "The program that was run ended with an error, or not "
                   "within its time.",
                   "Its own message is above. Run its command by hand to see "
                   "all of it."},
    CatalogueEntry{
        "env.not-active",
        warning,
        "Another environment is active than the recorded one",
        "A shell was opened without activating it, or the environment moved.",
        "Activate the recorded one, or call its interpreter by the full path; "
        "`assay env record` records the active one instead."},
    CatalogueEntry{"env.not-recorded",
                   note,
                   "No environment is recorded",
                   "`assay env record` has not run in this project on this "
                   "machine.",
                   "Activate the environment, then `assay env record`."},
    CatalogueEntry{"env.unclear",
                   error,
                   "environment.yml can be read in more than one way",
                   "It uses YAML that a change by lines can't be sure of "
                   "(flow style, tabs, anchors, two lists of dependencies).",
                   "Write `dependencies:` with one `- name=version` a line. "
                   "Nothing was changed."},
    CatalogueEntry{"naming.document",
                   warning,
                   "A document has another name than its kind",
                   "Names of documents are TODO.md, README.md and, in "
                   "reference/, upper-case words.",
                   "Rename it, and the links that name it."},
    CatalogueEntry{"naming.model",
                   warning,
                   "A model's name will give trouble",
                   "Spaces and signs that shells or other programs read in "
                   "their own way.",
                   "Use letters, digits, dots, hyphens and underscores."},
    CatalogueEntry{"naming.script",
                   warning,
                   "A script's name does not say what it does",
                   "Scripts are found by the first word of their names: "
                   "convert_, test_, validate_, check_.",
                   "Rename it, or list its pattern under [naming] scripts in "
                   "assay.toml."},
    CatalogueEntry{"result.model-changed",
                   warning,
                   "A result's model file has changed since",
                   "The figure was measured on other bytes than those that "
                   "lie there now.",
                   "Measure again with --record, or restore the file."},
    CatalogueEntry{"project.name",
                   error,
                   "The name can't be a project's",
                   "It would leave the folder, hide, or be read as an option.",
                   "Use letters, digits, dots, hyphens and underscores, "
                   "beginning with a letter or a digit; --dir says where."},
    CatalogueEntry{"project.not-a-file",
                   error,
                   "Something else stands where a document belongs",
                   "A folder, a device, or a link that leads nowhere has its "
                   "name.",
                   "Move it away. Nothing was changed."},
    CatalogueEntry{"project.occupied",
                   error,
                   "The folder is there, and is no project of Assay's",
                   "`assay new` makes a folder; it never writes into one that "
                   "holds other things.",
                   "Go into it and run `assay adopt`, or take another name."},
    CatalogueEntry{
        "session.budget",
        error,
        "The budget is smaller than the smallest page",
        "Even the head of the page, its counts and the task in progress need "
        "more tokens.",
        "Give a larger --budget."},
    CatalogueEntry{"session.commit",
                   error,
                   "git did not commit",
                   "A hook refused, the author is not configured, or nothing "
                   "had changed.",
                   "See what git says. The session's end is written; commit by "
                   "hand."},
    CatalogueEntry{"session.lost-task",
                   error,
                   "An unfinished task is gone",
                   "It was open when the session began. Its line was removed "
                   "or reworded, and nothing says whether it was done.",
                   "`--keep` puts it back, `--drop` writes down that it was "
                   "let go. Nothing was changed."},
    CatalogueEntry{"session.none",
                   error,
                   "No session is open",
                   "`assay session start` has not run here since the last end.",
                   "Run `assay session start` first."},
    CatalogueEntry{"session.unreadable",
                   error,
                   "The notes of the session can't be read",
                   "A file in .assay was changed by hand or by another "
                   "version.",
                   "Move .assay/session.json away and start a session anew; "
                   "the documents hold everything else."},
    CatalogueEntry{"settings.malformed",
                   error,
                   "assay.toml can't be read",
                   "It is no TOML, or a value has another type than its key "
                   "takes.",
                   "Correct the line named."},
    CatalogueEntry{"settings.unknown-key",
                   warning,
                   "assay.toml has a key that Assay does not know",
                   "A slip of the pen, or a key of a newer version.",
                   "Correct or remove it."},
    CatalogueEntry{"task.contradiction",
                   warning,
                   "A finished task is not finished",
                   "Its diagnostic fails, or the same task is open elsewhere.",
                   "`assay task start` takes it up again; or mend the cause."}};

}  // namespace

std::span<const CatalogueEntry> sessions() {
  return kSessionsEntries;
}

}  // namespace assay::catalogue_parts
