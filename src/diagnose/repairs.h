#pragma once

// Repairs: for ids of the catalogue, functions that change a draft where the
// files prove what is right. A repair proposes; the rule that found the defect
// judges. What cannot be proven is left, and it is said why.

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/diagnose/draft.h"

namespace assay {

/** A finding that no repair changed. */
struct Untouched {
  Finding finding;
  std::string why;
};

/** What one run of a repair works on. */
struct Workbench {
  Draft& draft;
  /** Of the draft as it is. */
  std::span<const Finding> findings;
  /** Whether a proof may run the model. */
  bool may_run = false;
  std::vector<Untouched> untouched = {};

  bool found(std::string_view id) const;
  /** Says of every finding of that id why it stays. */
  void leave(std::string_view id, const std::string& why);
};

struct Repair {
  std::string_view id;    ///< of the catalogue
  std::string_view what;  ///< what it does, and from which proof
  void (*run)(Workbench&);
};

/** Every repair, in the order in which they run. Several ids may share one
 * function, which runs once. */
std::span<const Repair> repairs();

/** The repair of an id; null where there is none. */
const Repair* find_repair(std::string_view id);

namespace repair {

// A function for each kind of proof; the file of its name has the rest.
void file_names(Workbench& bench);
void index(Workbench& bench);
void stray_files(Workbench& bench);
void sizes(Workbench& bench);
void tied_head(Workbench& bench);
void quantization(Workbench& bench);
void stored_type(Workbench& bench);
void special_tokens(Workbench& bench);
void turn_end(Workbench& bench);
void chat_template(Workbench& bench);
void component_sizes(Workbench& bench);
void component_entries(Workbench& bench);
void component_classes(Workbench& bench);
void adapter_settings(Workbench& bench);

}  // namespace repair
}  // namespace assay
