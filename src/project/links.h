#pragma once

// Links of Markdown to files and headings of the same project. Addresses of
// the web are not looked up.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/project/document.h"
#include "assay/project/store.h"

namespace assay::project {

struct Link {
  std::string target;  ///< as written, without a title
  int line = 1;
};

/** The targets of one line: inline links and images, definitions of
 * references, href and src of HTML; none within code. */
std::vector<Link> links_in(std::string_view line);

/** The same of a document, outside code and comments. */
std::vector<Link> links_of(const Document& document);

/** The anchor that GitHub gives a heading: "Use 4 bit?" -> "use-4-bit". */
std::string heading_anchor(std::string_view title);

/** All anchors of a document: headings (repeated ones numbered), and ids that
 * its HTML names. */
std::set<std::string> anchors_of(const Document& document);

/** document.link for each link of these Markdown files that leads nowhere. */
std::vector<Finding> broken_links(const Store& store,
                                  const std::vector<std::string>& files);

}  // namespace assay::project
