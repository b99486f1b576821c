#pragma once

// compare: in what two models differ, from their configs to their logits. The
// formats may differ; either side may be a file of logits, and then only the
// logits are compared.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"
#include "assay/core/shape.h"
#include "assay/measure/divergence.h"
#include "assay/measure/text_sample.h"

namespace assay {

struct CompareOptions {
  bool weights = true;
  bool logits = true;
  /** Of the comparison of logits. `max_tokens` 0: 256. */
  SampleOptions sample;
};

/** A field of the configs, in the spelling of transformers 5; null where a
 * side lacks it. */
struct FieldDifference {
  std::string field;  ///< "rope_parameters.rope_theta"
  Json a, b;
};

struct TokenizerComparison {
  bool present_a = false, present_b = false;
  uint64_t size_a = 0, size_b = 0;  ///< largest id + 1
  uint64_t different_tokens = 0;    ///< ids that stand for other tokens
  /** The first of them: "id 17: \"a\" / \"b\"". */
  std::vector<std::string> examples;
  std::vector<FieldDifference> special;  ///< "bos", "eos", "pad", "unk"
  bool same_encoding = false;            ///< of the probe text
  /** Where the encodings of the probe part: index of the first other token. */
  std::optional<uint64_t> first_difference;
  bool same_template = false;
  bool equal() const;
};

/** A parameter that one side lacks, or that has other shapes. */
struct ShapeDifference {
  std::string name;  ///< in MLX's layout
  std::optional<Shape> a, b;
};

/** One parameter's values, as float32. */
struct WeightDifference {
  std::string name;
  std::string stored_a, stored_b;  ///< "Q4_1", "U32 affine 4 bit, group 32"
  /** Root of the mean square of b - a, over that of a; infinite where a is
   * all zero and b is not. */
  double rms_relative = 0;
  double max_abs = 0;
  double cosine = 1;
  bool equal() const { return max_abs == 0; }
};

struct LogitsComparison {
  std::string text;  ///< empty for ids
  uint64_t tokens = 0;
  Divergence divergence;  ///< a is the reference
};

struct CompareReport {
  std::filesystem::path a, b;
  std::string architecture_a, architecture_b;
  std::vector<FieldDifference> config;
  std::optional<TokenizerComparison> tokenizer;
  std::vector<ShapeDifference> shapes;
  /** Of all parameters that both have with one shape, in the order of the
   * tree. */
  std::vector<WeightDifference> weights;
  uint64_t equal_weights = 0;
  std::optional<LogitsComparison> logits;
  /** What could not be compared, and why. */
  std::vector<Finding> findings;
  /** Nothing that was compared differs: configs, tokenizers, shapes, weights
   * bit by bit, logits within 1e-3. */
  bool equal() const;
};

/** Holds one parameter of each side at a time, then one model at a time (and
 * the logits). Throws Error: those of open_model and build_tree; two files of
 * logits of other tokens: measure.other-tokens. */
CompareReport compare(const std::filesystem::path& a,
                      const std::filesystem::path& b,
                      const CompareOptions& options = {},
                      const Progress& progress = {});

Json to_json(const CompareReport& report);

}  // namespace assay
