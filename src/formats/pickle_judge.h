#pragma once

// The verdict on one pickle: what loading it would import, call and change,
// each with its byte, held against the lists of pickle_globals. Safe is only
// what is known to be harmless throughout.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/formats/pickle.h"

namespace assay {

/** The worse is the greater. */
enum class Safety { safe, undecided, unsafe };

/** "safe", "could not decide", "unsafe". */
std::string_view name(Safety safety);

struct SafetyReason {
  Safety level = Safety::undecided;
  uint64_t offset = 0;  ///< in the file; within the entry where it is packed
  std::string text;     ///< "imports os.system (GLOBAL)"
};

/** What the judge wants to know of the place where a pickle stands. */
struct PickleScene {
  /** Persistent ids are storages: it is the pickle of a checkpoint. */
  bool has_storages = false;
  /** Judges bytes that loading would load in turn; empty: too deep. */
  std::function<Safety(std::string_view)> nested;
};

struct PickleImport {
  std::string name;     ///< "torch._utils._rebuild_tensor_v2"
  uint64_t offset = 0;  ///< of its first import
  bool called = false;
};

struct PickleVerdict {
  Safety safety = Safety::safe;
  std::vector<SafetyReason> reasons;  ///< the worst first, by byte
  uint64_t more_reasons = 0;          ///< that are not listed
  std::vector<PickleImport> imports;  ///< each once, by byte
};

PickleVerdict judge_pickle(const Pickle& pickle, const PickleScene& scene);

}  // namespace assay
