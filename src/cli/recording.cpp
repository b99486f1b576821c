#include "assay/cli/recording.h"

#include <filesystem>

#include <fmt/format.h>

namespace assay::cli {

Option record_option() {
  return {.name = "--record",
          .help = "write the outcome into the project's documents"};
}

Recording::Recording(const Arguments& arguments) : command_(arguments.line()) {
  if (arguments.flag("--record")) {
    store_.emplace(project::find_project(std::filesystem::current_path()));
  }
}

int Recording::keep(
    Output& output,
    int code,
    const std::function<RecordReport(const RecordTarget&)>& write) {
  if (!store_) {
    return code;
  }
  RecordReport report;
  try {
    report = write({*store_, command_});
  } catch (const Error& error) {
    // What was measured is shown all the same.
    report.findings.push_back(error.finding());
  }
  for (const auto& place : report.written) {
    output.note(fmt::format("recorded in {}", place));
  }
  for (const auto& finding : report.findings) {
    fmt::print(stderr, "{}\n", to_text(finding));
  }
  return report.findings.empty() ? code : kFindings;
}

}  // namespace assay::cli
