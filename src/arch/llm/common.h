#pragma once

// What the configs of language architectures have in common, read in both
// spellings: transformers 4 (rope_theta, rope_scaling) and 5 (rope_parameters,
// layer_types).

#include <string_view>
#include <vector>

#include "assay/formats/config_reader.h"
#include "assay/formats/model_files.h"
#include "assay/nn/block.h"
#include "assay/nn/language_model.h"

namespace assay::arch {

/** Rotary settings. `kind`: which entry counts where "rope_parameters" has one
 * for each kind of layer ("full_attention"). */
nn::RopeConfig rope_config(const ConfigReader& config,
                           std::string_view kind = "full_attention");

/** For each layer, whether its attention is sliding: "layer_types", or what
 * `rule(layer)` says where the field is absent. */
std::vector<bool> sliding_layers(const ConfigReader& config,
                                 bool (*rule)(const ConfigReader&, int layer));

/** The rule of Qwen for sliding_layers: none, unless "use_sliding_window" is
 * set; then those from "max_window_layers" on. */
bool upper_layers_slide(const ConfigReader& config, int layer);

/** Llama's blocks, with windows on the layers that Qwen's fields name. */
std::unique_ptr<nn::LanguageModel> upper_windows_model(
    const ConfigReader& config, const nn::AttentionConfig& attention);

/** True if the embedding is the output head. transformers writes the field
 * whenever it is false. */
bool tied_embeddings(const ConfigReader& config);

/** Vocabulary, widths, depth, norm. */
nn::CausalLmConfig causal_lm_config(const ConfigReader& config);

/** Heads, widths, rope; no biases, norms or windows. */
nn::AttentionConfig attention_config(const ConfigReader& config);

/** The activation under "hidden_act" or "hidden_activation". */
nn::Activation hidden_activation(const ConfigReader& config);

/** A dense gated MLP by "intermediate_size" (or another field). */
std::unique_ptr<nn::GatedMlp> gated_mlp(
    const ConfigReader& config,
    std::string_view inner = "intermediate_size",
    bool bias = false);

/** Llama 3.1 GGUFs hold a factor for each rotated pair ("rope_freqs.weight")
 * instead of the settings that it came from: sets "rope_scaling" to the
 * published settings that give them, or to the factors themselves. */
void llama3_rope_from_gguf(Json& config, const ModelFiles& model);

/** The factors of longrope are tensors of a GGUF: sets "rope_scaling". */
void longrope_from_gguf(Json& config, const ModelFiles& model);

}  // namespace assay::arch
