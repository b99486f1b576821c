#pragma once

// A model ready to run: files, tree and weights together. What every job that
// computes starts from.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include <mlx/array.h>

#include "assay/arch/architecture.h"
#include "assay/nn/loader.h"

namespace assay::arch {

struct LoadOptions {
  /** See nn::ReadOptions. */
  bool keep_quantized = true;
};

/** Movable. The files stay mapped as long as it lives. */
struct LoadedModel {
  std::unique_ptr<ModelFiles> files;
  Tree tree;

  const nn::LanguageModel& model() const { return *tree.model; }
};

/** Opens a folder, a GGUF or a .safetensors with its config, builds the tree
 * and loads every weight. Throws Error. */
LoadedModel load_model(const std::filesystem::path& path,
                       const LoadOptions& options = {});

/** The same in two steps, between which `files` may be read (a tokenizer, by
 * another thread). */
LoadedModel open_for_loading(const std::filesystem::path& path);
void load_weights(LoadedModel& loaded, const LoadOptions& options = {});

/** ids as an array [1, length] of int32. */
mlx::core::array to_array(std::span<const int32_t> ids);

/** float32 logits [length, vocab] of a sequence on its own, evaluated. Runs in
 * pieces of `chunk` positions, so that memory does not grow with the square of
 * the length. */
mlx::core::array logits(const nn::LanguageModel& model,
                        std::span<const int32_t> ids,
                        int chunk = 512);

}  // namespace assay::arch
