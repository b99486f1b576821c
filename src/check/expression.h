#pragma once

// Expressions of a user's own checks: fields of a config, shapes, types and
// counts of tensors, arithmetic and comparisons. Bounded in length, depth and
// steps; nothing but values comes out. reference/DIAGNOSTICS.md has the
// language.

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/check/profile.h"
#include "assay/core/json.h"

namespace assay {

/** A text that is no expression, or one that has no value here. */
class ExpressionError : public std::runtime_error {
 public:
  ExpressionError(size_t at, const std::string& what)
      : std::runtime_error(what), column(at) {}
  size_t column;  ///< 1: the first character
};

/** What expressions look at: one model. */
class ModelView {
 public:
  struct Tensor {
    std::string name;  ///< with its component's folder: "unet/conv_in.weight"
    DType dtype;
    Shape shape;
  };
  explicit ModelView(const Profile& profile);

  /** A field by dotted path, in the model's own config or a document by its
   * name; null where there is none. */
  Json field(std::string_view path, std::string_view document = {}) const;
  /** The tensors of a pattern: a name of `names`, else a whole name, else with
   * `*` and `?` for any text and any character, else a part of a name that
   * begins it or follows a dot. */
  std::vector<const Tensor*> find(
      std::string_view pattern,
      const std::map<std::string, std::string>& names) const;

 private:
  const Profile& profile_;
  std::vector<Tensor> tensors_;
};

class Expression {
 public:
  /** Throws ExpressionError. */
  explicit Expression(std::string text);

  const std::string& text() const { return text_; }

  struct Scope {
    const ModelView& model;
    const std::map<std::string, std::string>& names;
    /** The tensor that "name", "shape", "dtype", "layer" and "elements" are
     * of; null: none. */
    const ModelView::Tensor* tensor = nullptr;
  };
  /** Its value. Throws ExpressionError where it has none: a field that is
   * absent, an index past the end, a pattern without tensors. */
  Json value(const Scope& scope) const;
  /** The same; anything but true or false is an error. */
  bool holds(const Scope& scope) const;
  /** "hidden_size = 64, shape(embed)[1] = 96": the two sides of those
   * comparisons that do not hold. */
  std::string sides(const Scope& scope) const;

 private:
  friend class ExpressionParser;
  friend class ExpressionRun;

  enum class Kind : uint8_t {
    literal,
    field,
    list,
    index,
    negate,
    logical_not,
    logical_and,
    logical_or,
    arithmetic,
    compare,  ///< text: its operators; one child more
    call,     ///< text: the function
    tensors,  ///< text: the function; pattern; perhaps one child
  };
  struct Node {
    Kind kind = Kind::literal;
    std::string text = {};
    std::vector<std::string> words = {};  ///< operators, or the pattern
    Json literal = {};
    std::vector<uint32_t> children = {};
    size_t begin = 0, end = 0;  ///< in the text
    int depth = 1;
  };

  std::string text_;
  std::vector<Node> nodes_;
  uint32_t root_ = 0;
};

}  // namespace assay
