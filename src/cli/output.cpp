#include "assay/cli/output.h"

#include <algorithm>
#include <cstdio>
#include <utf8proc.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/core/platform.h"

namespace assay::cli {
namespace {

std::string_view code(Style style) {
  switch (style) {
    case Style::bold:
      return "\033[1m";
    case Style::dim:
      return "\033[2m";
    case Style::red:
      return "\033[31m";
    case Style::yellow:
      return "\033[33m";
    case Style::green:
      return "\033[32m";
    case Style::plain:
      break;
  }
  return "";
}

Style style_of(Severity severity) {
  switch (severity) {
    case Severity::error:
      return Style::red;
    case Severity::warning:
      return Style::yellow;
    case Severity::note:
      break;
  }
  return Style::dim;
}

}  // namespace

Output::Output(bool json, bool quiet)
    : json_(json), quiet_(quiet), color_(use_color(1)) {}

void Output::print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Output::stream(std::string_view text) {
  print(text);
  std::fflush(stdout);
}

void Output::print_json(const Json& json) {
  print(to_text(json));
}

void Output::note(std::string_view text) {
  if (!quiet_) {
    fmt::print(stderr, "{}\n", text);
  }
}

std::string Output::styled(Style style, std::string_view text) const {
  return color_ && style != Style::plain
             ? fmt::format("{}{}\033[0m", code(style), text)
             : std::string(text);
}

void Output::print_findings(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    auto label = styled(style_of(finding.severity), name(finding.severity));
    print(fmt::format("{} {} {}\n  expected {}\n  found    {}\n",
                      label,
                      styled(Style::bold, finding.id),
                      printable(finding.where),
                      printable(finding.expected),
                      printable(finding.actual)));
    if (finding.severity != Severity::note) {
      print(fmt::format(
          "  cause    {}\n  remedy   {}\n", finding.cause, finding.remedy));
    }
  }
}

void Output::answer(const std::vector<Finding>& findings) {
  if (json_) {
    print_json({{"findings", to_json(findings)}});
  } else {
    print_findings(findings);
  }
}

void Output::row(std::string_view label, std::string_view value) {
  print(fmt::format("{} {}\n",
                    styled(Style::dim, fmt::format("{:<16}", label)),
                    printable(value)));
}

void Output::heading(std::string_view text) {
  print(fmt::format("{}\n", styled(Style::bold, text)));
}

Progress Output::progress() const {
  return quiet_ ? Progress() : terminal_progress();
}

std::string printable(std::string_view text) {
  std::string result;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    result += control ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return result;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t point = 0;
    auto used = utf8proc_iterate(at, left, &point);
    if (used <= 0) {
      used = 1;
      ++width;
    } else {
      width += static_cast<size_t>(std::max(0, utf8proc_charwidth(point)));
    }
    at += used;
    left -= used;
  }
  return width;
}

std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& right) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      auto pad = std::string(widths[i] - display_width(row[i]), ' ');
      bool to_right = std::ranges::find(right, i) != right.end();
      line += (i > 0 ? "  " : "") + (to_right ? pad + row[i] : row[i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return printable(text);
}

std::string bytes_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.{}f} {}",
                                 value,
                                 value < 10    ? 2
                                 : value < 100 ? 1
                                               : 0,
                                 kUnits[unit]);
}

std::string count_text(uint64_t count) {
  auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) {
    return fmt::format("{:.2f}B", value / 1e9);
  }
  if (count >= 1'000'000) {
    return fmt::format("{:.1f}M", value / 1e6);
  }
  return count >= 10'000 ? fmt::format("{:.1f}K", value / 1e3)
                         : fmt::format("{}", count);
}

}  // namespace assay::cli
