#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/checkup.h"
#include "assay/check/rules.h"
#include "assay/formats/quote.h"

// GGUFs that are no language model: the picture side of a multimodal model
// (llama.cpp's mmproj, keys clip.*) and importance matrices.
namespace assay {
namespace {

namespace fs = std::filesystem;
using rules::Findings;

/** A projector's metadata and tensors, with the findings they give. */
class Projector {
 public:
  explicit Projector(const ModelFiles& files)
      : files_(files), keys_(*files.gguf) {}

  Findings look() {
    bool vision = keys_.boolean("clip.has_vision_encoder").value_or(false);
    bool audio = keys_.boolean("clip.has_audio_encoder").value_or(false);
    if (!vision && !audio) {
      add("projector.key-missing",
          "clip.has_vision_encoder",
          "true here or in clip.has_audio_encoder",
          "neither");
    }
    if (vision) {
      type();
      sizes();
      blocks();
      colours();
    }
    if (!has_tensors("mm.") && !has_tensors("resampler.") &&
        !has_tensors("adapter.") && !has_tensors("model.")) {
      add("projector.tensor-missing", "mm.*", "a projector's tensors", "none");
    }
    return std::move(findings_);
  }

 private:
  void add(std::string_view id,
           std::string_view key,
           std::string expected,
           std::string actual) {
    findings_.push_back(
        make_finding(id,
                     fmt::format("{}: {}", files_.files.front().string(), key),
                     std::move(expected),
                     std::move(actual)));
  }

  bool has_tensors(std::string_view prefix) const {
    return std::ranges::any_of(files_.tensors, [&](const auto& one) {
      return one.name.starts_with(prefix);
    });
  }

  std::string projector_type() const {
    for (auto key : {"clip.projector_type", "clip.vision.projector_type"}) {
      if (auto text = keys_.text(key)) {
        return std::string(*text);
      }
    }
    return "";
  }

  // The first files of LLaVA name none: they are multilayer perceptrons.
  void type() {
    bool first = keys_.boolean("clip.has_llava_projector").value_or(false);
    if (projector_type().empty() && !first) {
      add("projector.key-missing",
          "clip.projector_type",
          "the kind of the projector",
          "none");
    }
  }

  std::optional<int64_t> required(std::string_view name) {
    auto key = fmt::format("clip.vision.{}", name);
    auto value = keys_.integer(key);
    if (!value) {
      add("projector.key-missing", key, "a positive integer", "none");
    } else if (*value <= 0) {
      add("projector.shape-mismatch",
          key,
          "a positive integer",
          fmt::format("{}", *value));
      value.reset();
    }
    return value;
  }

  void shown(std::string_view name,
             std::optional<int64_t> says,
             std::string_view tensor,
             size_t dim) {
    const auto* found = files_.find(tensor);
    if (says && found != nullptr && dim < found->shape.size() &&
        found->shape[dim] != *says) {
      add("projector.shape-mismatch",
          fmt::format("clip.vision.{}", name),
          fmt::format("{}, as {} shows", found->shape[dim], tensor),
          fmt::format("{}", *says));
    }
  }

  void sizes() {
    auto width = required("embedding_length");
    auto patch = required("patch_size");
    auto image = required("image_size");
    auto heads = required("attention.head_count");
    required("feed_forward_length");
    auto out = required("projection_dim");
    if (projector_type() == "mlp") {
      shown("projection_dim", out, "mm.2.weight", 0);
    }
    if (!keys_.number("clip.vision.attention.layer_norm_epsilon")) {
      add("projector.key-missing",
          "clip.vision.attention.layer_norm_epsilon",
          "a number",
          "none");
    }
    const auto* patches = files_.find("v.patch_embd.weight");
    if (patches == nullptr) {
      add("projector.tensor-missing",
          "v.patch_embd.weight",
          "the embedding of patches",
          "none");
    } else if (patches->shape.size() == 4) {
      shown("embedding_length", width, "v.patch_embd.weight", 0);
      shown("patch_size", patch, "v.patch_embd.weight", 3);
    }
    if (width && heads && *width % *heads != 0) {
      add("projector.shape-mismatch",
          "clip.vision.attention.head_count",
          fmt::format("a divisor of {}", *width),
          fmt::format("{}", *heads));
    }
    shown("embedding_length", width, "v.position_embd.weight", 1);
    if (image && patch && *image / *patch < 1 << 20) {
      positions(*image / *patch);
    }
    auto ff = keys_.integer("clip.vision.feed_forward_length");
    const auto* up = files_.find("v.blk.0.ffn_up.weight");
    // Older files have the two layers' names the other way round.
    if (ff && up != nullptr &&
        std::ranges::find(up->shape, *ff) == up->shape.end()) {
      add("projector.shape-mismatch",
          "clip.vision.feed_forward_length",
          "a dimension of v.blk.0.ffn_up.weight, " + to_string(up->shape),
          fmt::format("{}", *ff));
    }
  }

  // Only where all patches of one picture have a position of their own.
  void positions(int64_t side) {
    constexpr std::array<std::string_view, 6> kFixed = {
        "mlp", "ldp", "ldpv2", "gemma3", "internvl", "idefics3"};
    auto kind = projector_type();
    const auto* table = files_.find("v.position_embd.weight");
    bool fixed = std::ranges::find(kFixed, kind) != kFixed.end();
    if (table == nullptr && fixed) {
      add("projector.tensor-missing",
          "v.position_embd.weight",
          "a position for each patch",
          "none");
    }
    if (table == nullptr || table->shape.size() != 2 ||
        (!kind.empty() && std::ranges::find(kFixed, kind) == kFixed.end())) {
      return;
    }
    int64_t first = files_.find("v.class_embd") != nullptr ? 1 : 0;
    if (table->shape[0] != side * side + first) {
      add("projector.shape-mismatch",
          "clip.vision.image_size",
          fmt::format("{} positions, as v.position_embd.weight has",
                      table->shape[0]),
          fmt::format(
              "{} patches a side, {} positions", side, side * side + first));
    }
  }

  void blocks() {
    auto count = required("block_count");
    std::set<int64_t> numbers;
    std::map<std::string_view, std::set<int64_t>> holders;
    constexpr std::string_view kPrefix = "v.blk.";
    for (const auto& tensor : files_.tensors) {
      if (tensor.name.starts_with(kPrefix)) {
        int64_t number = -1;
        const auto* begin = tensor.name.data() + kPrefix.size();
        std::from_chars(begin, tensor.name.data() + tensor.name.size(), number);
        numbers.insert(number);
        auto rest = std::string_view(tensor.name).substr(kPrefix.size());
        holders[rest.substr(std::min(rest.find('.'), rest.size()))].insert(
            number);
      }
    }
    for (const auto& [leaf, with] : holders) {
      for (auto number : numbers) {
        if (!with.contains(number)) {
          add("projector.tensor-missing",
              fmt::format("{}{}{}", kPrefix, number, leaf),
              "a tensor, as other blocks have",
              "none");
        }
      }
    }
    auto has = static_cast<int64_t>(numbers.size());
    if (count && has > 0 && has != *count) {
      add("projector.shape-mismatch",
          "clip.vision.block_count",
          fmt::format("{}, the blocks that have tensors", has),
          fmt::format("{}", *count));
    }
  }

  // What pictures are scaled by: nothing in the file contradicts it.
  void colours() {
    struct Scaling {
      std::array<double, 3> mean, deviation;
    };
    // OpenAI's CLIP; ImageNet; SigLIP; none.
    constexpr std::array kPublished = {
        Scaling{{0.48145466, 0.4578275, 0.40821073},
                {0.26862954, 0.26130258, 0.27577711}},
        Scaling{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
        Scaling{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}},
        Scaling{{0, 0, 0}, {1, 1, 1}},
    };
    auto mean = keys_.numbers("clip.vision.image_mean");
    auto deviation = keys_.numbers("clip.vision.image_std");
    for (auto [key, list] : {std::pair("clip.vision.image_mean", &mean),
                             std::pair("clip.vision.image_std", &deviation)}) {
      if (!*list || (*list)->size() != 3) {
        add("projector.key-missing",
            key,
            "three numbers",
            *list ? fmt::format("{}", (*list)->size()) : "none");
        return;
      }
    }
    auto near = [](const std::vector<double>& a,
                   const std::array<double, 3>& b) {
      return std::ranges::equal(
          a, b, [](double x, double y) { return std::abs(x - y) < 2e-3; });
    };
    bool published = std::ranges::any_of(kPublished, [&](const auto& one) {
      return near(*mean, one.mean) && near(*deviation, one.deviation);
    });
    if (!published) {
      add("projector.unpublished-value",
          "clip.vision.image_mean, image_std",
          "those of CLIP, SigLIP or ImageNet",
          fmt::format(
              "{}, {}", fmt::join(*mean, " "), fmt::join(*deviation, " ")));
    }
  }

  const ModelFiles& files_;
  const GgufMetadata& keys_;
  Findings findings_;
};

// The width that the language model takes must come out of the projector.
Findings against_model(const ModelFiles& projector, const ModelFiles& model) {
  auto architecture = model.gguf->text("general.architecture");
  auto width = model.gguf->integer(
      fmt::format("{}.embedding_length", architecture.value_or("")));
  if (!width) {
    return {};
  }
  std::string shapes;
  for (const auto& tensor : projector.tensors) {
    if (!tensor.name.starts_with("mm.")) {
      continue;
    }
    if (std::ranges::find(tensor.shape, *width) != tensor.shape.end()) {
      return {};
    }
    if (shapes.size() < 80) {
      shapes += (shapes.empty() ? "" : ", ") + to_string(tensor.shape);
    }
  }
  if (shapes.empty()) {
    return {};
  }
  return {make_finding("projector.model-mismatch",
                       projector.files.front().string(),
                       fmt::format("a width of {}, as {} takes",
                                   *width,
                                   model.files.front().filename().string()),
                       shapes)};
}

bool is_projector(const ModelFiles& files) {
  return files.gguf && (files.gguf->text("general.type") == "mmproj" ||
                        files.gguf->text("general.architecture") == "clip");
}

bool is_matrix(const ModelFiles& files) {
  return files.gguf && (files.gguf->text("general.type") == "imatrix" ||
                        files.gguf->text("general.architecture") == "imatrix");
}

/** The GGUFs of a folder that are a projector, or are not. */
std::vector<fs::path> ggufs_beside(const fs::path& folder, bool projectors) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    auto name = entry->path().filename().string();
    bool projector = name.find("mmproj") != std::string::npos;
    if (entry->path().extension() == ".gguf" && projector == projectors) {
      found.push_back(entry->path());
    }
  }
  std::ranges::sort(found);
  return found;
}

void look_at_projector(Checkup& checkup,
                       const ModelFiles& files,
                       const std::vector<fs::path>& models) {
  checkup.step("projector", [&](CheckStep& step) {
    Projector projector(files);
    auto findings = projector.look();
    step.detail = fmt::format("{}, {} tensors",
                              files.files.front().filename().string(),
                              files.tensors.size());
    if (models.size() == 1) {
      std::ranges::move(against_model(files, open_model(models.front())),
                        std::back_inserter(findings));
    }
    return findings;
  });
}

// Sums of squares and counts come in pairs.
Findings matrix_pairs(const ModelFiles& files) {
  Findings findings;
  for (const auto& tensor : files.tensors) {
    for (auto [one, other] :
         {std::pair(".in_sum2", ".counts"), std::pair(".counts", ".in_sum2")}) {
      std::string_view name = tensor.name;
      if (name.ends_with(one)) {
        name.remove_suffix(std::string_view(one).size());
        auto pair = std::string(name) + other;
        if (files.find(pair) == nullptr) {
          findings.push_back(make_finding("imatrix.incomplete",
                                          files.files.front().string(),
                                          quote(pair),
                                          "no such tensor"));
        }
      }
    }
  }
  return shorten(std::move(findings));
}

}  // namespace

bool check_gguf_kind(Checkup& checkup, const ModelFiles& files) {
  if (!is_projector(files) && !is_matrix(files)) {
    return false;
  }
  bool projector = is_projector(files);
  checkup.name_architecture(projector ? "mmproj" : "imatrix");
  checkup.step("files", [&](CheckStep& step) {
    step.detail = fmt::format("{} tensors", files.tensors.size());
    return files.findings;
  });
  if (!projector) {
    checkup.step("pairs", [&](CheckStep&) { return matrix_pairs(files); });
    return true;
  }
  look_at_projector(
      checkup, files, ggufs_beside(files.files.front().parent_path(), false));
  if (!checkup.options().headers_only) {
    checkup.step("values", [&](CheckStep&) {
      return rules::values(files, nullptr, checkup.options().progress);
    });
    checkup.skip("inference", "projectors have no module tree");
    checkup.leave_undecided();
  }
  return true;
}

void check_projectors_beside(Checkup& checkup) {
  std::error_code error;
  if (!fs::is_directory(checkup.path(), error)) {
    return;
  }
  auto models = ggufs_beside(checkup.path(), false);
  for (const auto& path : ggufs_beside(checkup.path(), true)) {
    std::optional<ModelFiles> files;
    try {
      files.emplace(open_model(path));
    } catch (const Error& caught) {
      checkup.step("projector",
                   [&](CheckStep&) -> Findings { return {caught.finding()}; });
    }
    if (files && is_projector(*files)) {
      look_at_projector(checkup, *files, models);
    }
  }
}

}  // namespace assay
