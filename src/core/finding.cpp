#include "assay/core/finding.h"

#include <fmt/format.h>

#include "assay/core/catalogue.h"

namespace assay {

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "error";
}

Finding make_finding(std::string_view id,
                     std::string where,
                     std::string expected,
                     std::string actual) {
  const CatalogueEntry* entry = find_entry(id);
  if (entry == nullptr) {
    throw std::logic_error(fmt::format("no catalogue entry '{}'", id));
  }
  return {std::string(id),
          entry->severity,
          std::move(where),
          std::move(expected),
          std::move(actual),
          std::string(entry->cause),
          std::string(entry->remedy)};
}

std::string to_line(const Finding& finding) {
  return fmt::format("[{}] {} {}: expected {}, found {}",
                     name(finding.severity),
                     finding.id,
                     finding.where,
                     finding.expected,
                     finding.actual);
}

std::string to_text(const Finding& finding) {
  return fmt::format("{}\n  cause:  {}\n  remedy: {}",
                     to_line(finding),
                     finding.cause,
                     finding.remedy);
}

bool has_errors(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    if (finding.severity == Severity::error) {
      return true;
    }
  }
  return false;
}

Error::Error(Finding finding)
    : std::runtime_error(to_text(finding)), finding_(std::move(finding)) {}

void fail(std::string_view id,
          std::string where,
          std::string expected,
          std::string actual) {
  throw Error(make_finding(
      id, std::move(where), std::move(expected), std::move(actual)));
}

}  // namespace assay
