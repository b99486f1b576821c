#include "assay/diagnose/fix.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/fix_view.h"
#include "assay/cli/recording.h"

namespace assay::cli {
namespace {

// Texts of a model may hold control sequences; line ends and tabs are meant.
std::string printable_lines(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool control = static_cast<unsigned char>(c) < 0x20 && c != '\n' &&
                   c != '\t' && c != '\r';
    out += control || c == 0x7f
               ? fmt::format("\\x{:02x}", static_cast<unsigned char>(c))
               : std::string(1, c);
  }
  return out;
}

void print_diff(const FixReport& report, Output& output) {
  auto text = printable_lines(diff_of(report));
  for (size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size() - 1) + 1;
    auto line = std::string_view(text).substr(at, end - at);
    auto style = line.starts_with('+')   ? Style::green
                 : line.starts_with('-') ? Style::red
                                         : Style::plain;
    output.print(output.styled(style, line));
    at = end;
  }
}

void print_plan(const FixReport& report, Output& output) {
  output.heading(fmt::format("{}: repairs", report.path.string()));
  if (report.changes.empty()) {
    output.print("nothing that the files prove\n");
    return;
  }
  for (const auto& change : report.changes) {
    auto file = change.to.empty() ? change.from : change.to;
    for (const auto& reason : change.reasons) {
      output.print(fmt::format("{} {}: {}\n",
                               change.kind(),
                               file.string(),
                               printable_lines(reason)));
    }
  }
  print_diff(report, output);
}

void print_lines(std::string_view head,
                 const std::vector<Finding>& findings,
                 Output& output) {
  for (const auto& finding : findings) {
    output.print(fmt::format("{} {}\n", head, to_line(finding)));
  }
}

void print_result(const FixReport& report, Output& output) {
  for (const auto& one : report.untouched) {
    output.print(fmt::format("left  {}\n      {}\n",
                             to_line(one.finding),
                             printable_lines(one.why)));
  }
  print_lines("gone ", report.gone, output);
  print_lines("new  ", report.fresh, output);
  if (!report.result.empty()) {
    output.row("written", report.result.string());
  }
  if (!report.backup.empty()) {
    output.row("backup", report.backup.string());
  }
  if (report.result.empty() && !report.changes.empty()) {
    output.row("written",
               "nothing: --out DIR writes a new folder, --yes repairs in "
               "place");
  }
  output.print(fmt::format("{}: {} before, {} after\n",
                           report.path.string(),
                           name(report.before.verdict),
                           name(report.after.verdict)));
}

FixOptions fix_options(const Arguments& arguments, const CheckOptions& check) {
  int ways = 0;
  for (const auto* option : {"--out", "--yes", "--dry-run"}) {
    ways += arguments.has(option) ? 1 : 0;
  }
  if (ways > 1) {
    throw UsageError("one of --out, --yes and --dry-run");
  }
  FixOptions options;
  options.check = check;
  options.write = arguments.flag("--yes")       ? FixOptions::Write::in_place
                  : arguments.flag("--dry-run") ? FixOptions::Write::nothing
                                                : FixOptions::Write::folder;
  options.out = arguments.maybe_text("--out").value_or("");
  return options;
}

}  // namespace

int run_fix(const Arguments& arguments,
            const CheckOptions& check,
            Output& output) {
  for (const auto* option :
       {"--junit", "--sarif", "--markdown", "--save-profile"}) {
    if (arguments.has(option)) {
      throw UsageError(fmt::format("{} does not go with --fix", option));
    }
  }
  Recording recording(arguments);
  auto models = arguments.all("MODEL");
  if (models.size() != 1) {
    throw UsageError("--fix takes one model");
  }
  auto options = fix_options(arguments, check);
  if (!output.json()) {
    options.before_writing = [&](const FixReport& report) {
      print_plan(report, output);
    };
  }
  auto report = fix(models.front(), options);
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    print_result(report, output);
  }
  bool planned = report.result.empty() && !report.changes.empty();
  // What lies there now: of a plan alone, what was there before.
  const auto& now = planned ? report.before : report.after;
  return recording.keep(
      output, exit_code(now.verdict), [&](const RecordTarget& target) {
        return record(target, now);
      });
}

}  // namespace assay::cli
