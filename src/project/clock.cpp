#include "assay/project/clock.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "assay/core/finding.h"

namespace assay::project {
namespace {

using Fields = std::array<int, 6>;  // year, month, day, hour, minute, second

bool is_real(const Fields& fields) {
  using namespace std::chrono;
  auto day = year_month_day(year(fields[0]),
                            month(static_cast<unsigned>(fields[1])),
                            std::chrono::day(static_cast<unsigned>(fields[2])));
  return day.ok() && fields[3] < 24 && fields[4] < 60 && fields[5] < 61;
}

// "YYYY-MM-DD HH:MM" or with "T" and with ":SS".
std::optional<Fields> parse(std::string_view text) {
  constexpr std::array<std::string_view, 2> kShapes = {"dddd-dd-dd dd:dd",
                                                       "dddd-dd-dd dd:dd:dd"};
  for (auto shape : kShapes) {
    if (text.size() != shape.size()) {
      continue;
    }
    Fields fields{};
    size_t field = 0;
    bool fits = true;
    for (size_t index = 0; index < shape.size() && fits; ++index) {
      char letter = text[index];
      if (shape[index] == 'd') {
        fits = letter >= '0' && letter <= '9';
        fields[field] = fields[field] * 10 + (letter - '0');
      } else {
        fits = letter == shape[index] || (index == 10 && letter == 'T');
        ++field;
      }
    }
    if (fits && is_real(fields)) {
      return fields;
    }
  }
  return {};
}

std::string text_of(const Fields& fields) {
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                     fields[0],
                     fields[1],
                     fields[2],
                     fields[3],
                     fields[4],
                     fields[5]);
}

long long minutes_of(const Fields& fields) {
  using namespace std::chrono;
  auto date = sys_days(year_month_day(year(fields[0]),
                                      month(static_cast<unsigned>(fields[1])),
                                      day(static_cast<unsigned>(fields[2]))));
  return date.time_since_epoch().count() * 24LL * 60 + fields[3] * 60 +
         fields[4];
}

}  // namespace

std::string now_text() {
  if (const char* given = std::getenv("ASSAY_NOW")) {
    auto fields = parse(given);
    if (!fields) {
      fail("clock.malformed", "ASSAY_NOW", "YYYY-MM-DD HH:MM[:SS]", given);
    }
    return text_of(*fields);
  }
  auto now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return text_of({local.tm_year + 1900,
                  local.tm_mon + 1,
                  local.tm_mday,
                  local.tm_hour,
                  local.tm_min,
                  local.tm_sec});
}

long long minutes_between(const std::string& from, const std::string& to) {
  auto first = parse(from);
  auto second = parse(to);
  return first && second ? minutes_of(*second) - minutes_of(*first) : 0;
}

std::string span_text(long long minutes) {
  auto count = [](long long number, std::string_view unit) {
    return fmt::format("{} {}{}", number, unit, number == 1 ? "" : "s");
  };
  if (minutes < 60) {
    return count(minutes, "minute");
  }
  return minutes < 48 * 60 ? count(minutes / 60, "hour")
                           : count(minutes / (24 * 60), "day");
}

}  // namespace assay::project
