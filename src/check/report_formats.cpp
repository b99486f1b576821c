#include "assay/check/report_formats.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/catalogue.h"
#include "assay/core/escape.h"

namespace assay {
namespace {

bool is_failure(const Finding& finding) {
  return finding.severity != Severity::note;
}

std::string test_case(const CheckReport& report,
                      const CheckStep& step,
                      std::span<const Finding> findings) {
  auto text =
      fmt::format(R"(    <testcase classname="{}" name="{}" time="{:.3f}")",
                  xml_text(report.path.string()),
                  xml_text(step.name),
                  step.seconds);
  if (step.outcome == CheckStep::Outcome::skipped) {
    return text + fmt::format(
                      ">\n      <skipped message=\"{}\"/>\n"
                      "    </testcase>\n",
                      xml_text(step.detail));
  }
  std::string failures;
  for (const auto& finding : findings) {
    if (is_failure(finding)) {
      failures +=
          fmt::format(R"(      <failure type="{}" message="{}">{}</failure>)"
                      "\n",
                      xml_text(finding.id),
                      xml_text(to_line(finding)),
                      xml_text(to_text(finding)));
    }
  }
  return failures.empty() ? text + "/>\n"
                          : text + ">\n" + failures + "    </testcase>\n";
}

std::string test_suite(const CheckReport& report) {
  std::string cases;
  size_t failed = 0;
  size_t skipped = 0;
  double seconds = 0;
  size_t next = 0;
  for (const auto& step : report.steps) {
    auto findings = std::span(report.findings).subspan(next, step.findings);
    next += step.findings;
    bool skip = step.outcome == CheckStep::Outcome::skipped;
    skipped += skip ? 1 : 0;
    failed += !skip && std::ranges::any_of(findings, is_failure) ? 1 : 0;
    seconds += step.seconds;
    cases += test_case(report, step, findings);
  }
  bool undecided = report.verdict == Verdict::undecided;
  if (undecided) {
    cases += fmt::format(
        "    <testcase classname=\"{}\" name=\"verdict\" time=\"0.000\">\n"
        "      <error message=\"could not decide\"/>\n    </testcase>\n",
        xml_text(report.path.string()));
  }
  return fmt::format(
      R"(  <testsuite name="{}" tests="{}" failures="{}" errors="{}" )"
      R"(skipped="{}" time="{:.3f}">)"
      "\n{}  </testsuite>\n",
      xml_text(report.path.string()),
      report.steps.size() + (undecided ? 1 : 0),
      failed,
      undecided ? 1 : 0,
      skipped,
      seconds,
      cases);
}

// A check of the user's own has ids that the catalogue lacks.
Json rule_of(const Finding& finding) {
  const auto* known = find_entry(finding.id);
  auto entry = known != nullptr ? *known
                                : CatalogueEntry{finding.id,
                                                 finding.severity,
                                                 finding.expected,
                                                 finding.cause,
                                                 finding.remedy};
  return {{"id", entry.id},
          {"shortDescription", {{"text", entry.title}}},
          {"fullDescription", {{"text", entry.cause}}},
          {"help", {{"text", entry.remedy}}},
          {"defaultConfiguration", {{"level", name(entry.severity)}}}};
}

// A URI reference (RFC 3986): all but unreserved characters and '/' escaped.
std::string uri(std::string_view path) {
  std::string out;
  for (char c : path) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9') ||
                 std::string_view("-._~/").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c)
                 : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Json result_of(const CheckReport& report,
               const Finding& finding,
               size_t rule_index) {
  Json artifact = {{"uri", uri(report.path.generic_string())}};
  Json location = {
      {"physicalLocation", {{"artifactLocation", std::move(artifact)}}},
      {"logicalLocations",
       Json::array({{{"fullyQualifiedName", finding.where}}})}};
  return {{"ruleId", finding.id},
          {"ruleIndex", rule_index},
          {"level", name(finding.severity)},
          {"message", {{"text", to_text(finding)}}},
          {"locations", Json::array({std::move(location)})}};
}

std::string block(const CheckReport& report) {
  auto text = fmt::format(
      "## Check: {}\n\nVerdict: **{}**{}\n\n"
      "| step | outcome | detail |\n| --- | --- | --- |\n",
      markdown_cell(report.path.filename().string()),
      name(report.verdict),
      report.architecture.empty()
          ? ""
          : ", architecture " + markdown_cell(report.architecture));
  for (const auto& step : report.steps) {
    text += fmt::format("| {} | {} | {} |\n",
                        markdown_cell(step.name),
                        name(step.outcome),
                        markdown_cell(step.detail));
  }
  if (!report.findings.empty()) {
    text += "\n";
  }
  for (const auto& finding : report.findings) {
    text += to_markdown(finding);
  }
  return text;
}

}  // namespace

std::string to_junit(std::span<const CheckReport> reports) {
  std::string text =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"assay check\">\n";
  for (const auto& report : reports) {
    text += test_suite(report);
  }
  return text + "</testsuites>\n";
}

Json to_sarif(std::span<const CheckReport> reports, std::string_view version) {
  std::map<std::string, size_t> indices;
  auto rules = Json::array();
  auto results = Json::array();
  for (const auto& report : reports) {
    for (const auto& finding : report.findings) {
      auto [rule, fresh] = indices.emplace(finding.id, rules.size());
      if (fresh) {
        rules.push_back(rule_of(finding));
      }
      results.push_back(result_of(report, finding, rule->second));
    }
  }
  Json driver = {
      {"name", "assay"}, {"version", version}, {"rules", std::move(rules)}};
  Json run = {{"tool", {{"driver", std::move(driver)}}},
              {"results", std::move(results)}};
  return {{"$schema",
           "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
           "sarif-schema-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs", Json::array({std::move(run)})}};
}

std::string to_markdown(const Finding& finding) {
  return fmt::format(
      "- **{}** `{}` at {}: expected {}, found {}.\n"
      "  - Cause: {}\n  - Remedy: {}\n",
      name(finding.severity),
      finding.id,
      markdown_cell(finding.where),
      markdown_cell(finding.expected),
      markdown_cell(finding.actual),
      markdown_cell(finding.cause),
      markdown_cell(finding.remedy));
}

std::string to_markdown(std::span<const CheckReport> reports) {
  std::string text;
  for (const auto& report : reports) {
    text += (text.empty() ? "" : "\n") + block(report);
  }
  return text;
}

}  // namespace assay
