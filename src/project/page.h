#pragma once

// Page: what a session begins with, as sections of items, each with its
// weight. It is cut to a budget by leaving out the least important items;
// what was left out is counted, and the command that shows it is named.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/json.h"

namespace assay::project {

/** The rank of what stands in every page, however small its budget. */
constexpr int kEssential = -1;

struct PageItem {
  std::string kind;  ///< "broken", "task", "decision", "result"...
  std::string text;  ///< one line
  int rank = 0;      ///< 0 is the most important
  Json facts;        ///< for --json: id, file, line...; may be null
};

struct PageSection {
  std::string title;    ///< "TODO"
  std::string summary;  ///< "2 in progress, 12 open, 30 done"
  std::vector<PageItem> items;
  std::string more;  ///< the command that shows the rest
};

struct Page {
  std::string head;
  std::vector<PageSection> sections;
  size_t quick_diagnostics = 0;  ///< how many the start runs
};

struct PageLimit {
  size_t tokens = 1500;
  size_t lines = 40;  ///< one screen; 0: any number
  /** Leaves room for a line for each quick diagnostic that runs after it. */
  bool diagnostics = false;
};

struct FittedPage {
  std::string text;
  size_t tokens = 0;                        ///< as estimate_tokens says
  std::vector<std::vector<PageItem>> kept;  ///< of each section
};

/** The most important items that fit, in the page's order. Throws Error
 * session.budget where not even the head, the counts and the essential items
 * do. */
FittedPage fit_page(const Page& page, const PageLimit& limit);

Json to_json(const Page& page, const FittedPage& fitted);

}  // namespace assay::project
