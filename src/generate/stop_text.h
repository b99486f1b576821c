#pragma once

// Stop texts in a stream of pieces: text that may be the beginning of one is
// held back until it is clear.

#include <string>
#include <string_view>
#include <vector>

namespace assay {

class StopText {
 public:
  /** Empty texts are ignored. */
  explicit StopText(std::vector<std::string> texts);

  /** The text that may now be shown. After a match, nothing more comes. */
  std::string push(std::string_view piece);
  /** What was held back; nothing after a match. */
  std::string finish();

  /** The text that came first; empty as long as none did. */
  const std::string& matched() const { return matched_; }

 private:
  size_t held_back() const;

  std::vector<std::string> texts_;
  std::string pending_;
  std::string matched_;
};

}  // namespace assay
