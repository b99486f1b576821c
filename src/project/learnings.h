#pragma once

// Learnings and decisions: what was found out, what was chosen and why.

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

constexpr std::string_view kLearningsFile = "reference/LEARNINGS.md";
constexpr std::string_view kDiagnosticsFile = "reference/DIAGNOSTICS.md";
/** Where MADR (Markdown Any Decision Records) keeps its files. */
constexpr std::string_view kDecisionsFolder = "docs/decisions";

/** The local date, "2026-11-24". */
std::string today();

/** Adds "- DATE: TEXT" under "Insights" ("Failed Approaches" where `failed`),
 * making the heading where it is absent. Returns the line written. Error
 * project.duplicate where the same text is there; project.empty. */
std::string learn(Store& store,
                  std::string_view text,
                  bool failed = false,
                  std::string_view date = {});

struct Decision {
  std::string title, rationale, trade_off, validation;
  std::string date;        ///< empty: today
  std::string supersedes;  ///< the title (or MADR file) of an earlier one
};

struct DecisionView {
  std::string file;  ///< relative to the project
  int line = 1;
  Decision decision;
  std::string superseded_by;  ///< empty: it holds
};

/** Writes a decision into LEARNINGS.md, or as docs/decisions/NNNN-title.md
 * (MADR 4) where that folder exists; one that supersedes another links both.
 * Returns what was written. Error project.empty, project.duplicate (a title
 * there already), project.no-decision (nothing to supersede). */
DecisionView decide(Store& store, const Decision& decision);

/** As decide, for a decision that a program makes: it stands in a block of that
 * id (blocks.h), and replaces the one of the same title there. Error
 * project.duplicate where a person wrote one of that title,
 * project.edited-block. */
DecisionView record_decision(Store& store,
                             std::string_view id,
                             const Decision& decision);

/** All decisions of LEARNINGS.md and docs/decisions, as they lie. */
std::vector<DecisionView> list_decisions(const Store& store);

/** A form to fill in an editor: the title as a heading, then Rationale,
 * Trade-off and Validation, with what is known. */
std::string decision_form(const Decision& decision);
/** What somebody wrote into it. Comments are left out. */
Decision read_decision_form(std::string_view text);

/** Lets somebody fill in the form, in $VISUAL, $EDITOR or vi, then decides. A
 * form that is not whole stays in .assay (the finding says where), and the next
 * try goes on with it. */
DecisionView decide_in_editor(Store& store, const Decision& known);

Json to_json(const DecisionView& view);

}  // namespace assay::project
