#include "assay/project/plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "assay/core/escape.h"
#include "assay/core/finding.h"

namespace assay::project {
namespace {

struct Range {
  double low = 0, high = 0;
  double width() const { return high - low; }
};

double spread_of(const Point& point) {
  auto spread = point.value->spread.value_or(0);
  return std::isfinite(spread) ? spread : 0;
}

// What all values and their spreads lie in; values that are no number aside.
Range range_of(const std::vector<Series>& all) {
  Range range{HUGE_VAL, -HUGE_VAL};
  for (const auto& series : all) {
    for (const auto& point : series.points) {
      if (std::isfinite(point.value->value)) {
        range.low = std::min(range.low, point.value->value - spread_of(point));
        range.high =
            std::max(range.high, point.value->value + spread_of(point));
      }
    }
  }
  if (range.low > range.high) {
    return {0, 1};
  }
  if (range.width() == 0) {
    auto around = range.low == 0 ? 1 : std::abs(range.low) * 0.05;
    return {range.low - around, range.high + around};
  }
  return range;
}

std::string_view mark_of(Change change) {
  switch (change) {
    case Change::worse:
      return "▼";
    case Change::better:
      return "▲";
    case Change::changed:
      return "◆";
    case Change::first:
    case Change::within:
      break;
  }
  return "●";
}

// A canvas of one mark a cell.
class Canvas {
 public:
  Canvas(size_t width, size_t height)
      : cells_(height, std::vector<std::string_view>(width, " ")) {}
  void set(size_t column, size_t row, std::string_view mark) {
    cells_.at(row).at(column) = mark;
  }
  std::string row(size_t index) const {
    std::string text;
    for (auto mark : cells_.at(index)) {
      text += mark;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  }

 private:
  std::vector<std::vector<std::string_view>> cells_;
};

size_t row_of(double value, const Range& range, size_t height) {
  auto share = std::clamp((range.high - value) / range.width(), 0.0, 1.0);
  return static_cast<size_t>(
      std::lround(share * static_cast<double>(height - 1)));
}

void draw(Canvas& canvas,
          const Point& point,
          size_t column,
          const Range& range,
          size_t height) {
  auto value = point.value->value;
  if (!std::isfinite(value)) {
    canvas.set(column, value > 0 ? 0 : height - 1, "?");
    return;
  }
  auto spread = spread_of(point);
  auto last = row_of(value - spread, range, height);
  for (auto row = row_of(value + spread, range, height); row <= last; ++row) {
    canvas.set(column, row, "│");
  }
  canvas.set(column, row_of(value, range, height), mark_of(point.change));
}

// Told apart by those who see few colours as well (Okabe and Ito's).
constexpr std::array<std::string_view, 6> kColors = {
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#666666"};

constexpr double kWidth = 800, kHeight = 320;
constexpr double kLeft = 90, kRight = 20, kTop = 20, kBottom = 40;

class Svg {
 public:
  Svg(const std::vector<Series>& all, double tall)
      : all_(all), range_(range_of(all)) {
    text_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
        "width=\"{0}\" height=\"{1}\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"white\"/>\n",
        kWidth,
        tall);
    for (const auto& series : all) {
      for (const auto& point : series.points) {
        times_.push_back(point.run->time);
      }
    }
    std::ranges::sort(times_);
    times_.erase(std::ranges::unique(times_).begin(), times_.end());
  }

  std::string finish() {
    add_axes();
    for (size_t index = 0; index < all_.size(); ++index) {
      add_series(index);
    }
    return text_ + "</svg>\n";
  }

 private:
  // Runs at equal distances, in the order of time.
  double x_of(const Point& point) const {
    auto place = std::ranges::lower_bound(times_, point.run->time);
    auto index = static_cast<double>(place - times_.begin());
    auto steps = static_cast<double>(std::max<size_t>(times_.size(), 2) - 1);
    return kLeft + (kWidth - kLeft - kRight) * index / steps;
  }
  double y_of(double value) const {
    auto share = std::clamp((value - range_.low) / range_.width(), 0.0, 1.0);
    return kHeight - kBottom - (kHeight - kTop - kBottom) * share;
  }

  void add_axes() {
    constexpr int kTicks = 4;
    for (int tick = 0; tick <= kTicks; ++tick) {
      auto value = range_.low + range_.width() * tick / kTicks;
      text_ += fmt::format(
          "<line x1=\"{0}\" y1=\"{1:.1f}\" x2=\"{2}\" y2=\"{1:.1f}\" "
          "stroke=\"#ddd\"/>\n<text x=\"{3}\" y=\"{4:.1f}\" "
          "text-anchor=\"end\">{5}</text>\n",
          kLeft,
          y_of(value),
          kWidth - kRight,
          kLeft - 6,
          y_of(value) + 4,
          xml_text(figure(value, unit())));
    }
    if (times_.empty()) {
      return;
    }
    add_time(kLeft, "start", times_.front());
    if (times_.size() > 1) {
      add_time(kWidth - kRight, "end", times_.back());
    }
  }
  void add_time(double x, std::string_view anchor, std::string_view time) {
    text_ +=
        fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n",
                    x,
                    kHeight - kBottom + 20,
                    anchor,
                    xml_text(time.substr(0, 10)));
  }
  std::string_view unit() const {
    return all_.empty() ? std::string_view()
                        : std::string_view(all_.front().newest().value->unit);
  }

  void add_series(size_t index) {
    const auto& series = all_[index];
    auto color = kColors.at(index % kColors.size());
    std::string line;
    std::string marks;
    for (const auto& point : series.points) {
      if (std::isfinite(point.value->value)) {
        line += fmt::format("{}{:.1f},{:.1f}",
                            line.empty() ? "" : " ",
                            x_of(point),
                            y_of(point.value->value));
        marks += mark(point, color);
      }
    }
    text_ +=
        fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\"/>\n{}",
                    line,
                    color,
                    marks);
    text_ += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{}\"/>\n"
        "<text x=\"{}\" y=\"{}\">{}</text>\n",
        kLeft,
        kHeight + 20 * static_cast<double>(index),
        color,
        kLeft + 16,
        kHeight + 20 * static_cast<double>(index) + 10,
        xml_text(label(series.newest())));
  }

  std::string mark(const Point& point, std::string_view color) const {
    auto x = x_of(point);
    auto value = point.value->value;
    auto spread = spread_of(point);
    std::string text;
    if (spread > 0) {
      text = fmt::format(
          "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" "
          "stroke=\"{3}\"/>\n",
          x,
          y_of(value - spread),
          y_of(value + spread),
          color);
    }
    bool worse = point.change == Change::worse;
    return text + fmt::format(
                      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" "
                      "fill=\"{}\"><title>{}</title></circle>\n",
                      x,
                      y_of(value),
                      worse ? 6 : 3,
                      worse ? "#d00" : color,
                      xml_text(fmt::format("{} {}: {}, {}",
                                           point.run->time,
                                           point.run->id,
                                           figure(value, point.value->unit),
                                           name(point.change))));
  }

  const std::vector<Series>& all_;
  Range range_;
  std::vector<std::string> times_;
  std::string text_;
};

}  // namespace

std::string terminal_plot(const Series& series, int width, int height) {
  auto unit = series.newest().value->unit;
  auto range = range_of({series});
  auto high = figure(range.high, unit);
  auto low = figure(range.low, unit);
  auto margin = std::max(high.size(), low.size());
  auto rows = static_cast<size_t>(std::clamp(height, 3, 100));
  auto most = static_cast<size_t>(std::clamp(width, 40, 400)) -
              std::min<size_t>(margin + 2, 30);
  const auto& points = series.points;
  auto first = points.size() - std::min(points.size(), most);
  auto shown = points.size() - first;
  size_t step = std::clamp<size_t>(most / shown, 1, 4);
  Series visible;
  visible.points.assign(points.begin() + static_cast<ptrdiff_t>(first),
                        points.end());
  Canvas canvas((shown - 1) * step + 1, rows);
  for (size_t index = 0; index < shown; ++index) {
    draw(canvas, visible.points[index], index * step, range, rows);
  }
  std::string text;
  for (size_t row = 0; row < rows; ++row) {
    auto axis = row == 0 ? high : row + 1 == rows ? low : "";
    text += fmt::format("{:>{}} ┤{}\n", axis, margin, canvas.row(row));
  }
  text += fmt::format("{:>{}}  {}  to  {}\n",
                      "",
                      margin,
                      visible.points.front().run->time.substr(0, 10),
                      visible.points.back().run->time.substr(0, 10));
  return first == 0 ? text
                    : text + fmt::format("{:>{}}  the last {} of {} runs\n",
                                         "",
                                         margin,
                                         shown,
                                         points.size());
}

std::string svg_plot(const std::vector<Series>& series) {
  for (const auto& one : series) {
    const auto& unit = series.front().newest().value->unit;
    if (one.newest().value->unit != unit) {
      fail("results.units",
           label(one.newest()),
           fmt::format("figures in \"{}\"", unit),
           fmt::format("\"{}\"", one.newest().value->unit));
    }
  }
  return Svg(series, kHeight + 20 * static_cast<double>(series.size()) + 10)
      .finish();
}

}  // namespace assay::project
