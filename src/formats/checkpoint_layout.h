#pragma once

// Single-file checkpoints of image and video models: the parts that lie in
// one file under prefixes (Stable Diffusion's, FLUX's, ComfyUI's), or one part
// by itself, told by tensor names. Names are those of the original code bases
// (CompVis/Stability's ldm and sgm, Black Forest Labs' flux, Wan, Lumina).

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/formats/model_files.h"

namespace assay {

enum class PartKind {
  unet,                   ///< input_blocks, middle_block, output_blocks
  sd3,                    ///< joint_blocks
  flux,                   ///< double_blocks and single_blocks
  wan,                    ///< blocks with self_attn, head.modulation
  lumina,                 ///< layers and cap_embedder
  pixart,                 ///< blocks with cross_attn.kv_linear
  control,                ///< a ControlNet
  vae,                    ///< encoder.down, decoder.up
  wan_vae,                ///< encoder.middle, decoder.middle
  clip,                   ///< text_model.encoder.layers
  open_clip,              ///< transformer.resblocks
  t5,                     ///< encoder.block
  diffusers_unet,         ///< down_blocks, up_blocks
  diffusers_transformer,  ///< transformer_blocks
  diffusers_vae,          ///< encoder.down_blocks
  average,                ///< a moving average of the weights beside them
  schedule,               ///< betas and what follows from them
  other,                  ///< none of these
};
std::string_view name(PartKind kind);  ///< "UNet", "FLUX transformer"...

/** True for what denoises: the part that the others serve. */
bool is_denoiser(PartKind kind);

struct CheckpointPart {
  PartKind kind = PartKind::other;
  std::string prefix;  ///< "model.diffusion_model."; empty at the root
  /** Names without the prefix, sorted. */
  std::vector<std::pair<std::string_view, const TensorInfo*>> tensors;

  const TensorInfo* find(std::string_view tensor) const;
  /** A dimension of a tensor that has that many. */
  std::optional<int64_t> size(std::string_view tensor, size_t dim) const;
  uint64_t parameters() const;
  uint64_t bytes() const;
};

struct Checkpoint {
  /** "Stable Diffusion XL", "FLUX.1 dev"; empty where shapes do not say. */
  std::string family;
  std::vector<CheckpointPart> parts;  ///< the denoiser first

  const CheckpointPart* find(PartKind kind) const;
  const CheckpointPart* denoiser() const;
};

/** Nothing where no part is known. `files` must outlive the result. */
std::optional<Checkpoint> checkpoint_layout(const ModelFiles& files);

}  // namespace assay
