#pragma once

// Output: what commands print: text for people, JSON for programs, findings
// in both. Standard output carries the answer, standard error all else.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"

namespace assay::cli {

enum class Style { plain, bold, dim, red, yellow, green };

class Output {
 public:
  Output(bool json, bool quiet);

  /** True if the answer is to be JSON. */
  bool json() const { return json_; }

  /** Appends to standard output. */
  void print(std::string_view text);
  /** Standard output, at once: for text that streams. */
  void stream(std::string_view text);
  void print_json(const Json& json);
  /** A line on standard error, unless quiet. */
  void note(std::string_view text);

  /** Findings as text; warnings and errors with cause and remedy. */
  void print_findings(const std::vector<Finding>& findings);

  /** Findings as the whole answer, as text or JSON. */
  void answer(const std::vector<Finding>& findings);

  /** "label   value", the labels of one width. */
  void row(std::string_view label, std::string_view value);
  void heading(std::string_view text);

  std::string styled(Style style, std::string_view text) const;

  /** A progress bar where one can be seen; otherwise an empty function. */
  Progress progress() const;

 private:
  bool json_, quiet_, color_;
};

/** Columns aligned by their widest entry, as a terminal counts columns; those
 * in `right` to the right. The first row is the head. */
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& right = {});

/** Text that came out of a file must not drive the terminal: its control
 * characters in words. */
std::string printable(std::string_view text);

/** Columns that a text takes on a terminal. */
size_t display_width(std::string_view text);

/** "1.23 GB" (powers of 1000, as disks and downloads are labelled). */
std::string bytes_text(uint64_t bytes);
/** "134.5M". */
std::string count_text(uint64_t count);

}  // namespace assay::cli
