#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/checkpoint_parts.h"
#include "assay/check/checkpoint_sizes.h"
#include "assay/check/checkup.h"
#include "assay/check/rules.h"
#include "assay/formats/checkpoint_layout.h"
#include "assay/formats/quote.h"

// Single-file checkpoints: each part whole, the parts fitting each other, and
// the metadata true.
namespace assay {
namespace {

using rules::count_blocks;
using rules::Findings;
using rules::missing_tensor;
using rules::part_sizes;
using rules::where;

/** Blocks that repeat: number to the names inside. */
using Stack = std::map<int64_t, std::set<std::string_view>>;

// "double_blocks.3.img_mod.lin.weight": the stack is what ends before the
// last number that follows one of the words.
std::map<std::string_view, Stack> stacks_of(const CheckpointPart& part) {
  constexpr std::array<std::string_view, 10> kWords = {
      "double_blocks.",
      "single_blocks.",
      "joint_blocks.",
      "single_transformer_blocks.",
      "transformer_blocks.",
      "resblocks.",
      "encoder.layers.",
      "encoder.block.",
      "blocks.",
      "layers."};
  std::map<std::string_view, Stack> stacks;
  for (const auto& [name, tensor] : part.tensors) {
    for (auto word : kWords) {
      auto at = name.find(word);
      bool whole =
          at != std::string_view::npos && (at == 0 || name[at - 1] == '.');
      // The UNet's blocks differ from each other by design.
      if (!whole) {
        continue;
      }
      auto rest = name.substr(at + word.size());
      int64_t number = 0;
      auto end =
          std::from_chars(rest.data(), rest.data() + rest.size(), number);
      auto length = static_cast<size_t>(end.ptr - rest.data());
      if (end.ec == std::errc() && number >= 0 && length < rest.size() &&
          rest[length] == '.') {
        stacks[name.substr(0, at + word.size())][number].insert(
            rest.substr(length + 1));
        break;
      }
    }
  }
  return stacks;
}

// SD3's last block has no context to go on with, SD3.5's second attention is
// in the first blocks only.
bool may_lack(const CheckpointPart& part, std::string_view name, bool is_last) {
  return part.kind == PartKind::sd3 &&
         ((is_last && name.starts_with("context_block.")) ||
          name.find("attn2") != std::string_view::npos ||
          name.find("adaLN") != std::string_view::npos);
}

void alike(Findings& findings,
           const ModelFiles& files,
           const CheckpointPart& part,
           std::string_view prefix,
           const Stack& stack) {
  std::map<std::string_view, size_t> holders;
  for (const auto& [number, names] : stack) {
    for (auto name : names) {
      ++holders[name];
    }
  }
  auto last = stack.rbegin()->first;
  for (const auto& [number, names] : stack) {
    for (const auto& [name, count] : holders) {
      if (2 * count > stack.size() && !names.contains(name) &&
          !may_lack(part, name, number == last)) {
        missing_tensor(findings,
                       files,
                       part,
                       fmt::format("{}{}.{}", prefix, number, name));
      }
    }
  }
}

void stacks(Findings& findings,
            const ModelFiles& files,
            const CheckpointPart& part) {
  if (part.kind == PartKind::other || part.kind == PartKind::average) {
    return;
  }
  for (const auto& [prefix, stack] : stacks_of(part)) {
    auto last = stack.rbegin()->first;
    if (static_cast<size_t>(last) + 1 != stack.size()) {
      int64_t absent = 0;
      while (stack.contains(absent)) {
        ++absent;
      }
      findings.push_back(make_finding(
          "checkpoint.block-missing",
          where(files, part),
          fmt::format("{}0 to {}, all of them", prefix, last),
          fmt::format("{} of them, without {}", stack.size(), absent)));
    } else {
      alike(findings, files, part, prefix, stack);
    }
  }
}

// What goes down comes up again.
void both_ways(Findings& findings,
               const ModelFiles& files,
               const CheckpointPart& part) {
  if (part.kind != PartKind::unet) {
    return;
  }
  auto in = count_blocks(part, "input_blocks.");
  auto out = count_blocks(part, "output_blocks.");
  if (in != out) {
    findings.push_back(make_finding(
        "checkpoint.block-missing",
        where(files, part),
        "as many output_blocks as input_blocks",
        fmt::format("{} input_blocks, {} output_blocks", in, out)));
  }
}

// By the structure of the part where it is known, else by its siblings.
void tensors(Findings& findings,
             const ModelFiles& files,
             const Checkpoint& checkpoint,
             const CheckpointPart& part) {
  auto list = rules::part_tensors(checkpoint, part);
  if (!list) {
    stacks(findings, files, part);
    return;
  }
  for (const auto& block : list->blocks) {
    findings.push_back(make_finding("checkpoint.block-missing",
                                    where(files, part),
                                    quote(part.prefix + block),
                                    "no such block"));
  }
  for (const auto& name : list->wanted) {
    bool known = std::ranges::any_of(findings, [&](const Finding& one) {
      return one.id == "checkpoint.tensor-missing" &&
             one.expected == quote(part.prefix + name);
    });
    if (part.find(name) == nullptr && !known) {
      missing_tensor(findings, files, part, name);
    }
  }
}

Findings look_at_parts(const ModelFiles& files, const Checkpoint& checkpoint) {
  Findings findings;
  for (const auto& part : checkpoint.parts) {
    part_sizes(findings, files, checkpoint, part);
    tensors(findings, files, checkpoint, part);
    both_ways(findings, files, part);
  }
  findings = shorten(std::move(findings));
  const auto* denoiser = checkpoint.denoiser();
  bool original = denoiser != nullptr && (denoiser->kind == PartKind::unet ||
                                          denoiser->kind == PartKind::flux ||
                                          denoiser->kind == PartKind::sd3);
  if (original) {
    std::vector<std::string_view> absent;
    if (checkpoint.find(PartKind::vae) == nullptr) {
      absent.emplace_back("a VAE");
    }
    if (checkpoint.find(PartKind::clip) == nullptr &&
        checkpoint.find(PartKind::open_clip) == nullptr &&
        checkpoint.find(PartKind::t5) == nullptr) {
      absent.emplace_back("a text encoder");
    }
    if (!absent.empty()) {
      findings.push_back(
          make_finding("checkpoint.part-absent",
                       files.files.front().string(),
                       fmt::format("{}", fmt::join(absent, " and ")),
                       fmt::format("the {} alone", name(denoiser->kind))));
    }
  }
  return findings;
}

std::optional<int64_t> text_width(const CheckpointPart* part) {
  if (part == nullptr) {
    return std::nullopt;
  }
  for (auto tensor : {"text_model.embeddings.token_embedding.weight",
                      "token_embedding.weight",
                      "shared.weight",
                      "encoder.embed_tokens.weight"}) {
    if (auto width = part->size(tensor, 1)) {
      return width;
    }
  }
  return std::nullopt;
}

void agree(Findings& findings,
           const ModelFiles& files,
           std::string_view what,
           std::optional<int64_t> shows,
           std::optional<int64_t> wanted,
           std::string_view source,
           int64_t factor = 1) {
  auto want = wanted.value_or(0) * factor;
  if (shows && wanted && *shows != want) {
    findings.push_back(
        make_finding("checkpoint.disagreement",
                     fmt::format("{}: {}", files.files.front().string(), what),
                     fmt::format("{}, {}", want, source),
                     fmt::format("{}", *shows)));
  }
}

const CheckpointPart* by_prefix(const Checkpoint& checkpoint,
                                std::string_view prefix) {
  auto part =
      std::ranges::find(checkpoint.parts, prefix, &CheckpointPart::prefix);
  return part == checkpoint.parts.end() ? nullptr : &*part;
}

std::optional<int64_t> context_width(const CheckpointPart& unet) {
  for (const auto& [name, tensor] : unet.tensors) {
    if (name.ends_with("attn2.to_k.weight")) {
      return unet.size(name, 1);
    }
  }
  return std::nullopt;
}

Findings look_at_agreement(const ModelFiles& files,
                           const Checkpoint& checkpoint) {
  Findings findings;
  const auto* denoiser = checkpoint.denoiser();
  if (denoiser == nullptr) {
    return findings;
  }
  const auto* vae = checkpoint.find(PartKind::vae);
  std::optional<int64_t> latent;
  if (vae != nullptr) {
    latent = vae->size("decoder.conv_in.weight", 1);
  }
  constexpr auto kLatent = "the VAE's latents";
  if (denoiser->kind == PartKind::unet) {
    agree(findings,
          files,
          "out.2.weight",
          denoiser->size("out.2.weight", 0),
          latent,
          kLatent);
    const auto* clip = by_prefix(checkpoint, "cond_stage_model.transformer.");
    const auto* open = by_prefix(checkpoint, "cond_stage_model.model.");
    auto text = text_width(clip != nullptr ? clip : open);
    auto first = text_width(
        by_prefix(checkpoint, "conditioner.embedders.0.transformer."));
    auto second =
        text_width(by_prefix(checkpoint, "conditioner.embedders.1.model."));
    if (first && second) {
      text = *first + *second;
    }
    agree(findings,
          files,
          "attn2.to_k.weight",
          context_width(*denoiser),
          text,
          "the text encoders' width");
  } else if (denoiser->kind == PartKind::sd3) {
    agree(findings,
          files,
          "x_embedder.proj.weight",
          denoiser->size("x_embedder.proj.weight", 1),
          latent,
          kLatent);
  } else if (checkpoint.family.starts_with("FLUX.1 dev") ||
             checkpoint.family.starts_with("FLUX.1 schnell")) {
    agree(findings,
          files,
          "img_in.weight",
          denoiser->size("img_in.weight", 1),
          latent,
          "four times the VAE's latents",
          4);
    agree(findings,
          files,
          "vector_in.in_layer.weight",
          denoiser->size("vector_in.in_layer.weight", 1),
          text_width(checkpoint.find(PartKind::clip)),
          "the CLIP encoder's width");
  }
  if (denoiser->kind == PartKind::flux || denoiser->kind == PartKind::sd3) {
    auto tensor = denoiser->kind == PartKind::flux ? "txt_in.weight"
                                                   : "context_embedder.weight";
    agree(findings,
          files,
          tensor,
          denoiser->size(tensor, 1),
          text_width(checkpoint.find(PartKind::t5)),
          "the T5 encoder's width");
  }
  return findings;
}

/** How the metadata of Stability's modelspec begins for a family. */
struct Spec {
  std::string_view family, text;
};
constexpr std::array kSpecs = {
    Spec{"Stable Diffusion 1", "stable-diffusion-v1"},
    Spec{"Stable Diffusion 2", "stable-diffusion-v2"},
    Spec{"Stable Diffusion XL refiner", "stable-diffusion-xl-v1-refiner"},
    Spec{"Stable Diffusion XL", "stable-diffusion-xl-v1"},
    Spec{"Stable Diffusion 3", "stable-diffusion-v3"},
    Spec{"FLUX.1 dev", "flux-1-dev"},
    Spec{"FLUX.1 schnell", "flux-1-schnell"},
};

std::string normal(std::string text) {
  for (auto& letter : text) {
    letter = letter == '.' || letter == '_'
                 ? '-'
                 : static_cast<char>(
                       std::tolower(static_cast<unsigned char>(letter)));
  }
  return text;
}

// SD 1 and XL are trained to predict noise; those that were trained on to
// predict velocity say so by a tensor 'v_pred', or nowhere but here. SD 2 is
// published with either.
void prediction(Findings& findings,
                const ModelFiles& files,
                const Checkpoint& checkpoint) {
  auto entry = files.safetensors_metadata.find("modelspec.prediction_type");
  if (entry == files.safetensors_metadata.end()) {
    return;
  }
  const auto* schedule = checkpoint.find(PartKind::schedule);
  bool marked = schedule != nullptr && schedule->find("v_pred") != nullptr;
  bool noise = checkpoint.family.starts_with("Stable Diffusion 1") ||
               checkpoint.family.starts_with("Stable Diffusion XL");
  auto where = files.files.front().string() + ": modelspec.prediction_type";
  auto says = normal(entry->second);
  if (marked && says == "epsilon") {
    findings.push_back(make_finding("checkpoint.metadata",
                                    where,
                                    "v, as the tensor 'v_pred' says",
                                    quote(entry->second)));
  } else if (noise && !marked && says != "epsilon") {
    findings.push_back(
        make_finding("checkpoint.prediction",
                     where,
                     fmt::format("epsilon, as {} is published, or a tensor "
                                 "'v_pred'",
                                 checkpoint.family),
                     quote(entry->second)));
  }
}

Findings look_at_metadata(const ModelFiles& files,
                          const Checkpoint& checkpoint) {
  Findings findings;
  const auto& metadata = files.safetensors_metadata;
  auto where = files.files.front().string();
  auto entry = metadata.find("modelspec.architecture");
  auto family = std::ranges::find_if(kSpecs, [&](const auto& one) {
    return checkpoint.family.starts_with(one.family);
  });
  if (entry != metadata.end() && family != kSpecs.end()) {
    auto says = normal(entry->second);
    // Only against the names known here: others are newer than this list.
    bool known = std::ranges::any_of(
        kSpecs, [&](const auto& one) { return says.starts_with(one.text); });
    if (known && !says.starts_with(family->text)) {
      findings.push_back(make_finding("checkpoint.metadata",
                                      where + ": modelspec.architecture",
                                      std::string(family->text),
                                      quote(entry->second)));
    }
  }
  prediction(findings, files, checkpoint);
  return findings;
}

std::string summary(const Checkpoint& checkpoint) {
  std::string text = checkpoint.family;
  for (const auto& part : checkpoint.parts) {
    text += fmt::format("{}{} ({} tensors)",
                        text.empty() ? "" : ", ",
                        name(part.kind),
                        part.tensors.size());
  }
  return text;
}

}  // namespace

void check_checkpoint(Checkup& checkup, const std::filesystem::path& file) {
  std::optional<ModelFiles> files;
  std::optional<Checkpoint> checkpoint;
  checkup.step("files", [&](CheckStep& step) {
    files.emplace(open_model(file));
    checkpoint = checkpoint_layout(*files);
    auto findings = files->findings;
    std::ranges::move(rules::mlx_types(*files), std::back_inserter(findings));
    if (checkpoint) {
      step.detail = summary(*checkpoint);
      checkup.name_architecture(checkpoint->family);
    }
    return findings;
  });
  if (!checkpoint) {
    return;
  }
  checkup.step("parts",
               [&](CheckStep&) { return look_at_parts(*files, *checkpoint); });
  checkup.step("agreement", [&](CheckStep&) {
    return look_at_agreement(*files, *checkpoint);
  });
  checkup.step("metadata", [&](CheckStep&) {
    return look_at_metadata(*files, *checkpoint);
  });
  if (!checkup.options().headers_only) {
    checkup.step("values", [&](CheckStep&) {
      return rules::values(*files, nullptr, checkup.options().progress);
    });
    checkup.skip("inference", "checkpoints of pipelines have no module tree");
    checkup.leave_undecided();
  }
}

}  // namespace assay
