#pragma once

// Tensors of parts that have no module tree: a line a tensor, its name and
// the config fields that give its dimensions. Where most tensors say another
// size than a field does, the field is what is wrong; where one tensor does,
// the tensor is.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/vision_language.h"

namespace assay::rules {

/** Of one class, lines of "NAME DIMENSION...". In a name "{a,b}" stands for
 * either, "#field" for each number below that field (or below the length of
 * its list), "*" at the end for anything; a "?" after it: may be absent,
 * "?field": unless that field is true or lists the number, "?!field": unless
 * it is false or does not list it, "?path*": unless a tensor begins so. A
 * dimension is "N*SYMBOL+M": a field, or a symbol made of several. */
struct DeclaredPart {
  std::string_view name;
  std::string_view lines;
  std::string_view more = "";  ///< what it has beyond a class of these lines
};

/** By the vision tower's type, by "projector of FAMILY", or by a language
 * model's type; empty where there is none. */
std::string declared_part(std::string_view name);

/** A number that tensors show: a field, or a symbol made of several. */
struct Size {
  int64_t value = 0;
  /** To blame where the tensors say otherwise; empty: the tensor itself is. */
  std::string field;
  std::string words;  ///< "hidden_size", "(image_size / patch_size)^2 patches"
  const char* id = "component.shape-mismatch";
};

/** What the tensors are held against. */
struct DeclaredSizes {
  const ConfigPart* part = nullptr;  ///< whose fields are blamed
  /** Symbols that are no single field, by the fields as corrected so far. */
  std::function<std::optional<Size>(const Json& fields,
                                    std::string_view symbol)>
      symbol = {};
};

/** `root` is taken off the tensors' names. */
std::vector<Finding> hold_declared(std::string_view lines,
                                   const DeclaredSizes& sizes,
                                   std::string_view root,
                                   const std::vector<const TensorInfo*>& list);

/** A finding about a field: that it has another value than expected, or, where
 * the file leaves it out, that what its class then takes is another. */
Finding field_finding(const char* id,
                      const ConfigPart& part,
                      std::string_view field,
                      std::string expected);

}  // namespace assay::rules
