#include "assay/check/component_tensors.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

struct Lister {
  std::string_view class_prefix;
  std::optional<TensorList> (*list)(const Component&);
};

constexpr std::array kListers = {
    Lister{"UNet2DConditionModel", tensors_of_unet},
    Lister{"AutoencoderKL", tensors_of_vae},
    Lister{"AutoencoderTiny", tensors_of_tiny_vae},
    Lister{"FluxTransformer2DModel", tensors_of_flux},
    Lister{"SD3Transformer2DModel", tensors_of_sd3},
    Lister{"PixArtTransformer2DModel", tensors_of_pixart},
    Lister{"CLIPTextModel", tensors_of_clip},
    Lister{"CLIPTextModelWithProjection", tensors_of_clip},
    Lister{"T5EncoderModel", tensors_of_t5},
    Lister{"BertModel", tensors_of_bert},
};

// Older files of VAEs name their one attention otherwise; their linear layers
// may be convolutions of one pixel. transformers 4 puts "text_model." or
// "bert." before all.
std::string newer_name(std::string name) {
  constexpr std::array kNames = {
      std::pair(".attentions.0.query.", ".attentions.0.to_q."),
      std::pair(".attentions.0.key.", ".attentions.0.to_k."),
      std::pair(".attentions.0.value.", ".attentions.0.to_v."),
      std::pair(".attentions.0.proj_attn.", ".attentions.0.to_out.0."),
  };
  for (auto [old_name, new_name] : kNames) {
    auto at = name.find(old_name);
    if (at != std::string::npos) {
      name.replace(at, std::string_view(old_name).size(), new_name);
    }
  }
  for (std::string_view prefix : {"text_model.", "bert."}) {
    if (name.starts_with(prefix)) {
      name.erase(0, prefix.size());
    }
  }
  return name;
}

// Attention of older VAEs is made of convolutions of one pixel.
bool is_same(std::string_view name, Shape stored, const Shape& declared) {
  bool attention = name.find("mid_block.attentions.0.to_") != name.npos;
  while (attention && stored.size() > 2 && stored.back() == 1) {
    stored.pop_back();
  }
  return stored == declared;
}

// Tables that libraries compute anew, and parts that some files leave out.
bool is_optional(std::string_view name) {
  return name.ends_with("position_ids") || name.ends_with("token_type_ids") ||
         name == "encoder.embed_tokens.weight" || name.starts_with("pooler.");
}

/** Tensors of one kind of trouble: the first by name, the others counted. */
struct Group {
  std::string first, expected, actual;
  size_t count = 0;
  void add(const std::string& name, std::string wanted, std::string has) {
    if (count++ == 0) {
      first = name;
      expected = std::move(wanted);
      actual = std::move(has);
    }
  }
  void report(Findings& findings,
              const Component& component,
              const char* id) const {
    if (count == 0) {
      return;
    }
    auto more = count == 1 ? "" : fmt::format(", and {} more", count - 1);
    findings.push_back(
        make_finding(id,
                     fmt::format("{}: {}", component.folder.string(), first),
                     expected,
                     actual + more));
  }
};

}  // namespace

void TensorLister::add(const std::string& name, Shape shape) {
  tensors[name] = std::move(shape);
}

void TensorLister::linear(const std::string& path,
                          int64_t in,
                          int64_t out,
                          bool bias) {
  add(path + ".weight", {out, in});
  if (bias) {
    add(path + ".bias", {out});
  }
}

void TensorLister::conv(const std::string& path,
                        int64_t in,
                        int64_t out,
                        int64_t size) {
  add(path + ".weight", {out, in, size, size});
  add(path + ".bias", {out});
}

void TensorLister::norm(const std::string& path, int64_t width) {
  add(path + ".weight", {width});
  add(path + ".bias", {width});
}

void TensorLister::feed_forward(const std::string& path,
                                int64_t width,
                                int64_t first) {
  linear(path + ".net.0.proj", width, first, true);
  linear(path + ".net.2", 4 * width, width, true);
}

void TensorLister::embedder(const std::string& path, int64_t in, int64_t out) {
  linear(path + ".linear_1", in, out, true);
  linear(path + ".linear_2", out, out, true);
}

std::vector<Finding> declared_tensors(const Component& component) {
  auto lister =
      std::ranges::find(kListers, component.class_name, &Lister::class_prefix);
  bool packed = component.config.is_object() &&
                component.config.contains("quantization_config");
  if (lister == kListers.end() || packed || component.tensors.empty() ||
      !component.config.is_object()) {
    return {};
  }
  auto wanted = lister->list(component);
  if (!wanted) {
    return {};
  }
  Group missing, unexpected, other;
  std::map<std::string, const Shape*, std::less<>> stored;
  for (const auto& [name, shape] : component.tensors) {
    auto plain = newer_name(name);
    auto declared = wanted->find(plain);
    if (declared == wanted->end()) {
      if (!is_optional(plain)) {
        unexpected.add(name, "no such tensor", to_string(shape));
      }
    } else if (!is_same(plain, shape, declared->second)) {
      other.add(name, to_string(declared->second), to_string(shape));
    }
    stored.emplace(std::move(plain), &shape);
  }
  for (const auto& [name, shape] : *wanted) {
    if (!stored.contains(name)) {
      missing.add(name, to_string(shape), "none");
    }
  }
  Findings findings;
  missing.report(findings, component, "component.tensor-missing");
  other.report(findings, component, "component.shape-mismatch");
  unexpected.report(findings, component, "component.tensor-unexpected");
  return findings;
}

}  // namespace assay::rules
