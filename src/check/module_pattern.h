#pragma once

// Regular expressions as PEFT takes them for target_modules and rank_pattern:
// those of Python's re that name modules. Matched by a set of states, so that
// no pattern takes more than its length times the text's.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace assay {

class ModulePattern {
 public:
  /** Nothing for what is not read here: look-around, back-references, flags,
   * counts above 100, and what Python refuses. */
  static std::optional<ModulePattern> read(std::string_view text);

  /** re.fullmatch. */
  bool matches(std::string_view name) const;

 private:
  friend class PatternReader;

  struct Set {  ///< of characters
    std::vector<bool> holds = std::vector<bool>(256);
  };
  struct State {
    enum class Kind : uint8_t { set, split, begin, end, match };
    Kind kind = Kind::match;
    uint32_t set = 0;              ///< which one
    uint32_t next = 0, other = 0;  ///< other: of a split
  };

  void add(uint32_t state,
           size_t at,
           size_t size,
           std::vector<uint32_t>& list,
           std::vector<size_t>& seen) const;

  std::vector<Set> sets_;
  std::vector<State> states_;
  uint32_t start_ = 0;
};

}  // namespace assay
