#pragma once

// Adapters (LoRA and its kin) as PEFT, mlx-lm, diffusers, kohya's scripts,
// XLabs and llama.cpp save them: which module each tensor adapts, read from
// names and shapes. What is wrong with them is the business of check.

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/json.h"
#include "assay/formats/model_files.h"

namespace assay {

/** Whose spelling of names and settings an adapter has. */
enum class AdapterDialect { peft, mlx, diffusers, kohya, xlabs, gguf };
std::string_view name(AdapterDialect dialect);  ///< "PEFT", "mlx-lm"...

/** What is added to one module of the base. */
struct AdapterModule {
  enum class Method {
    lora,    ///< up * down, perhaps with a convolution between
    loha,    ///< two such products, multiplied element by element
    lokr,    ///< a Kronecker product
    scaled,  ///< (IA)3: a vector that multiplies
    other,   ///< OFT, whole differences
  };
  /** As written, without what names the adapter's part:
   * "base_model.model.model.layers.0.self_attn.q_proj". */
  std::string target;
  Method method = Method::lora;
  const TensorInfo* down = nullptr;  ///< A: in to rank
  const TensorInfo* up = nullptr;    ///< B: rank to out
  const TensorInfo* middle = nullptr;
  const TensorInfo* alpha = nullptr;
  const TensorInfo* magnitude = nullptr;  ///< DoRA's
  bool embedding = false;                 ///< PEFT's lora_embedding_A and _B
  size_t tensors = 0;
  /** Of LoHa and LoKr: tensors by the end of their names, "hada_w1_a". */
  std::map<std::string, const TensorInfo*, std::less<>> parts = {};

  const TensorInfo* part(std::string_view end) const;

  /** Widths as the tensors show them; nothing where one is missing or has
   * fewer than two dimensions. */
  std::optional<int64_t> down_rank, up_rank, in, out;
};
std::string_view name(AdapterModule::Method method);  ///< "LoRA", "LoHa"...

struct Adapter {
  std::filesystem::path path;         ///< as given
  std::filesystem::path config_path;  ///< empty where there is none
  Json config;                        ///< null where there is none
  ModelFiles files;                   ///< the one file of weights
  AdapterDialect dialect = AdapterDialect::peft;
  std::vector<AdapterModule> modules;  ///< by name
  /** Tensors that no module is made of: modules saved whole, biases. */
  std::vector<const TensorInfo*> others;
};

/** Whether most of these tensors are parts of an adapter. */
bool are_adapter(std::span<const TensorInfo> tensors);

/** A folder, a .safetensors or a .gguf file. Throws Error adapter.no-weights,
 * model.not-read (only a pickle), json.*, safetensors.*, gguf.*. */
Adapter open_adapter(const std::filesystem::path& path);

/** The module's name in the base, as the base's own files spell it: without
 * the prefixes that PEFT and ComfyUI add, and for XLabs by the layer that its
 * processor stands for. kohya's underscores remain. */
std::string base_name(const Adapter& adapter, const AdapterModule& module);

/** The value of a stored scalar, or the first of a list; nothing for types
 * that are no plain floats or integers. */
std::optional<double> scalar_value(TensorData& data, const TensorInfo& tensor);

}  // namespace assay
