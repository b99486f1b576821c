#pragma once

// Rules of check for language models: what other quantizers store, what the
// fields of a config say of each other, what the documents about text agree
// on, and the values of published models.

#include <optional>
#include <string>
#include <vector>

#include "assay/arch/architecture.h"
#include "assay/core/finding.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/declared.h"
#include "assay/inspect/inspect.h"
#include "assay/text/tokenizer.h"

namespace assay::rules {

using Findings = std::vector<Finding>;

/** Weights that another program quantized (GPTQ, AWQ, FP8, bitsandbytes,
 * compressed-tensors...). */
struct ForeignQuantization {
  /** In words: "GPTQ, 4 bits, groups of 128". */
  std::string description;
  /** Its block against the stored tensors; and quantization.unsupported where
   * nothing here reads it. */
  Findings findings;
  /** Assay reads it: FP8 with block scales, MXFP4 of gpt-oss. */
  bool loadable = false;
};

/** Nothing where neither the config nor the tensors' names tell of one.
 * `tree`, where there is one, gives the widths of the modules. */
std::optional<ForeignQuantization> foreign_quantization(const ModelFiles& model,
                                                        const Json& config,
                                                        const arch::Tree* tree);

/** MLX's own block against what the stored shapes can only mean: bits, group
 * size, mode. */
Findings mlx_quantization(const arch::Tree& tree,
                          const Declared& declared,
                          const std::string& where);

/** Fields of a config that contradict each other or its class: layer types,
 * experts, windows, head widths, stretching of the context. */
Findings config_fields(const ModelFiles& model,
                       const Json& config,
                       const ModelReport& report);

/** The floating-point type of more than half of all bytes. */
std::optional<DType> most_stored(const ModelFiles& model);
/** As torch and configs call it: "bfloat16"; empty for other types. */
std::string_view torch_name(DType dtype);

/** The field that names the type of values, and what it says, without
 * "torch."; empty where it is no text. */
struct NamedType {
  const char* field;  ///< "dtype" of transformers 5, else "torch_dtype"
  std::string name;
};
NamedType named_type(const Json& config);

/** The type that the config names against those stored. */
Findings stored_types(const ModelFiles& model, const Json& config);

/** Special tokens in config.json, generation_config.json and the tokenizer's
 * documents, and tokenizer.json against those beside it. */
Findings text_documents(const ModelFiles& model, const Json& config);

/** Of these only what an encoder of texts needs too: tokens that documents
 * name against those that tokenizer.json has. */
Findings token_names(const ModelFiles& model);

/** What only the loaded tokenizer tells: a BOS written twice, markers of the
 * template that it does not know. */
Findings spoken_tokens(const ModelFiles& model,
                       const Tokenizer& tokenizer,
                       const TokenizerSummary& summary);

/** generation_config.json by itself. */
Findings sampling(const ModelFiles& model);

}  // namespace assay::rules
