#pragma once

// Finding: the only way to say that something is wrong. A value with a stable
// id from the catalogue; `actual` is always something read from the files.
// Error: the exception that ends a command; it carries a Finding.

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

enum class Severity { note, warning, error };

std::string_view name(Severity severity);

struct Finding {
  std::string id;  ///< "shape.mismatch": an entry of the catalogue
  Severity severity = Severity::error;
  std::string where;     ///< file, tensor, field, byte offset
  std::string expected;  ///< what was expected there
  std::string actual;    ///< what the files hold
  std::string cause;     ///< why this happens
  std::string remedy;    ///< what to do about it
};

/** A finding with severity, cause and remedy of its catalogue entry. An id
 * that the catalogue lacks is a defect of Assay: std::logic_error. */
Finding make_finding(std::string_view id,
                     std::string where,
                     std::string expected,
                     std::string actual);

/** One line: "[error] shape.mismatch model.norm.weight: expected (64), found
 * (32)". */
std::string to_line(const Finding& finding);

/** Several lines: the line above, then cause and remedy. */
std::string to_text(const Finding& finding);

bool has_errors(const std::vector<Finding>& findings);

class Error : public std::runtime_error {
 public:
  explicit Error(Finding finding);
  const Finding& finding() const { return finding_; }

 private:
  Finding finding_;
};

/** Throws Error(make_finding(...)). */
[[noreturn]] void fail(std::string_view id,
                       std::string where,
                       std::string expected,
                       std::string actual);

}  // namespace assay
