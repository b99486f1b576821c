#pragma once

// The block structure of a Markdown text; document.h says which part of it.

#include <string_view>
#include <vector>

#include "assay/project/document.h"

namespace assay::project {

struct Structure {
  std::vector<Line> lines;
  std::vector<Heading> headings;
  std::vector<Task> tasks;
};

Structure scan_markdown(std::string_view text);

}  // namespace assay::project
