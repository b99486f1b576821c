#pragma once

// The rules of check, each a function from what was read to findings; the
// order in which they run is check.cpp's.

#include <optional>
#include <string>
#include <vector>

#include "assay/arch/architecture.h"
#include "assay/core/finding.h"
#include "assay/core/progress.h"
#include "assay/inspect/declared.h"
#include "assay/inspect/inspect.h"
#include "assay/text/tokenizer.h"

namespace assay::rules {

using Findings = std::vector<Finding>;

/** What is valid in the file and MLX cannot load: types that it has no arrays
 * of, dimensions that it has no numbers for. */
Findings mlx_types(const ModelFiles& model);

/** Rotary settings, alone and against the context. `where` names the config. */
Findings rope(const ModelReport& report, const std::string& where);

/** A quantization block that no tensor follows. */
Findings quantization(const arch::Tree& tree,
                      const Declared& declared,
                      const std::string& where);

/** Findings of the declared check, those on the output head in its own terms:
 * head.missing, head.tied-copy. */
Findings tensors(const Declared& declared);

/** Stored tensors that look like a second embedding. */
std::vector<const TensorInfo*> head_copies(const Declared& declared);

/** A stored head that the config ties, against the embedding: the first bytes
 * of both, which differ where the tensors do. */
Findings tied_heads(const ModelFiles& model, const Declared& declared);

/** Vocabulary and special tokens against the embedding's rows. */
Findings tokenizer(const ModelFiles& model, const ModelReport& report);

/** Renders test conversations. Special tokens come out of the summary, so that
 * no tokenizer need be loaded. */
Findings chat_template(const ModelFiles& model,
                       const TokenizerSummary& tokenizer);

/** A chat template in a place where tokenizers do not look. */
struct MisplacedTemplate {
  std::string where;
  std::string text;
};
std::optional<MisplacedTemplate> misplaced_template(const ModelFiles& model);

/** The added token that the template writes after an answer; nothing where it
 * writes none. */
std::optional<int32_t> token_after_answer(const ModelFiles& model,
                                          const Tokenizer& tokenizer);

/** Whether the token after an answer ends a generation. */
Findings turn_end(const ModelFiles& model, const Tokenizer& tokenizer);

/** A forward pass over lazy zeros, alone and with caches: nothing is computed,
 * the shapes and types that come out are those declared. Leaves the tree's
 * parameters without values. */
Findings dry_forward(arch::Tree& tree);

/** Reads every tensor once, in pieces: not-finite, all-zero, constant
 * matrices, outliers. With `declared`, a stored head that the config ties is
 * compared with the embedding. */
Findings values(const ModelFiles& model,
                const Declared* declared,
                const Progress& progress);

/** What the inference test saw. */
struct Inference {
  Findings findings;
  double mean_nll = 0;  ///< nats a token; 0 without a tokenizer
  size_t tokens = 0;
};

/** Loads the model and runs a short text: finite logits, a text less
 * surprising than chance (with a tokenizer), and the same logits one token at
 * a time. */
Inference inference(const ModelFiles& model,
                    const ModelReport& report,
                    const Tokenizer* tokenizer);

}  // namespace assay::rules
