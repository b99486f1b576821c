#include "assay/measure/compare.h"

#include <algorithm>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/measure/compare_parts.h"
#include "assay/measure/forward.h"
#include "assay/measure/logits_file.h"

namespace assay {
namespace fs = std::filesystem;
namespace mx = mlx::core;
using namespace comparison;

namespace {

constexpr size_t kTokens = 256;
// Two runs of the same weights differ by less than this in float32.
constexpr double kSameLogits = 1e-3;

struct Model {
  ModelFiles files;
  arch::Tree tree;
};

Model open(const fs::path& path) {
  auto files = open_model(path);
  auto tree = arch::build_tree(files);
  return {std::move(files), std::move(tree)};
}

class Comparison {
 public:
  Comparison(const fs::path& a,
             const fs::path& b,
             const CompareOptions& options,
             const Progress& progress)
      : options_(options), progress_(progress) {
    report_.a = a;
    report_.b = b;
  }

  CompareReport run() {
    bool a_is_file = is_logits_file(report_.a);
    bool b_is_file = is_logits_file(report_.b);
    if (a_is_file) {
      a_logits_.emplace(read_logits(report_.a));
    }
    if (b_is_file) {
      b_logits_.emplace(read_logits(report_.b));
    }
    if (!a_is_file && !b_is_file) {
      compare_models();
    } else if (a_is_file != b_is_file) {
      (a_is_file ? report_.architecture_b : report_.architecture_a) =
          open(a_is_file ? report_.b : report_.a).tree.architecture->model_type;
    }
    if (options_.logits || a_is_file || b_is_file) {
      compare_logits();
    }
    return std::move(report_);
  }

 private:
  void compare_models() {
    auto a = open(report_.a);
    auto b = open(report_.b);
    report_.architecture_a = a.tree.architecture->model_type;
    report_.architecture_b = b.tree.architecture->model_type;
    bool same_container = a.files.container == b.files.container;
    report_.config =
        compare_configs(a.tree.config, b.tree.config, same_container);
    auto probe = options_.sample.text.value_or(std::string(evaluation_text()));
    report_.tokenizer =
        compare_tokenizers(a.files, b.files, probe, report_.findings);
    compare_parameters({a.files, a.tree},
                       {b.files, b.tree},
                       options_.weights,
                       progress_,
                       report_);
  }

  TokenSample sample() {
    if (a_logits_ && b_logits_ && a_logits_->tokens != b_logits_->tokens) {
      fail("measure.other-tokens",
           report_.b.string(),
           fmt::format("the {} tokens of {}",
                       a_logits_->tokens.size(),
                       report_.a.string()),
           fmt::format("{} tokens, not the same", b_logits_->tokens.size()));
    }
    if (a_logits_ || b_logits_) {
      const auto& file = a_logits_ ? *a_logits_ : *b_logits_;
      return {file.tokens, file.text, "file"};
    }
    auto options = options_.sample;
    if (options.max_tokens == 0) {
      options.max_tokens = kTokens;
    }
    auto model = open(report_.a);
    return sample_tokens(model.files, model.tree, options);
  }

  // Of one side: what the file holds, or what the model computes, which is
  // let go before the next is loaded.
  static mx::array logits(const std::optional<LogitsFile>& file,
                          const fs::path& path,
                          const std::vector<int32_t>& ids) {
    if (file) {
      return file->logits;
    }
    auto model = arch::load_model(path);
    // Throws for ids that this model's vocabulary lacks.
    sample_tokens(model, {.text = {}, .ids = ids, .max_tokens = 0});
    return arch::logits(model.model(), ids);
  }

  void compare_logits() {
    auto tokens = sample();
    try {
      auto a = logits(a_logits_, report_.a, tokens.ids);
      auto b = logits(b_logits_, report_.b, tokens.ids);
      report_.logits =
          LogitsComparison{tokens.text, tokens.ids.size(), divergence(a, b)};
    } catch (const Error& error) {
      report_.findings.push_back(error.finding());
    }
  }

  const CompareOptions& options_;
  const Progress& progress_;
  CompareReport report_;
  std::optional<LogitsFile> a_logits_, b_logits_;
};

}  // namespace

bool CompareReport::equal() const {
  bool same_logits = !logits || logits->divergence.max_abs <= kSameLogits;
  return config.empty() && (!tokenizer || tokenizer->equal()) &&
         shapes.empty() && equal_weights == weights.size() && same_logits;
}

CompareReport compare(const fs::path& a,
                      const fs::path& b,
                      const CompareOptions& options,
                      const Progress& progress) {
  return Comparison(a, b, options, progress).run();
}

}  // namespace assay
