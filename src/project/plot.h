#pragma once

// A figure over time, for a terminal and as SVG.

#include <string>
#include <vector>

#include "assay/project/trends.h"

namespace assay::project {

/** `width` columns, `height` rows of marks with an axis: a dot a run, its
 * spread as a bar, arrows for changes beyond noise. UTF-8. */
std::string terminal_plot(const Series& series, int width, int height = 10);

/** One chart of all series. Error results.units where they are not all of one
 * unit. */
std::string svg_plot(const std::vector<Series>& series);

}  // namespace assay::project
