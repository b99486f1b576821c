#pragma once

// Templates: what a new project's files say, by the kind of model it is about.
// Their text is Assay's; once written, the files are the project's.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assay::project {

/** "llm", "vlm", "image", "ml". */
std::span<const std::string_view> project_kinds();

struct TemplateFile {
  std::string path;  ///< relative to the project
  std::string text;
  /** A file that others write too: ours is the block of that id, its lines
   * `text`. Empty: the file is all ours. */
  std::string block;
};

/** All files of a project, in the order they are written. An unknown kind is
 * a defect: std::logic_error. */
std::vector<TemplateFile> project_templates(std::string_view name,
                                            std::string_view kind);

}  // namespace assay::project
