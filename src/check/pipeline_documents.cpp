#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/document_fields.h"
#include "assay/check/pipeline.h"
#include "assay/check/vocabulary.h"
#include "assay/formats/json_fields.h"
#include "assay/formats/quote.h"

// The documents of a pipeline that are no component's config: the index, and
// what its tokenizers are set to.
namespace assay::rules {
using namespace fields;
namespace {

using Findings = std::vector<Finding>;
namespace fs = std::filesystem;

constexpr uint64_t kMaxPipelineDocument = 64u << 20;

Json document_in(const fs::path& path) {
  return document_at(path, kMaxPipelineDocument);
}

// Components that pipelines of diffusers may lack.
bool is_component(const Pipeline& pipeline, std::string_view name) {
  constexpr auto kOptional = std::to_array<std::string_view>({
      "feature_extractor",
      "image_encoder",
      "image_processor",
      "safety_checker",
      "scheduler",
      "text_encoder",
      "text_encoder_2",
      "text_encoder_3",
      "tokenizer",
      "tokenizer_2",
      "tokenizer_3",
      "transformer",
      "unet",
      "vae",
  });
  auto needed = needed_components(pipeline.class_name);
  return std::ranges::find(kOptional, name) != kOptional.end() ||
         std::ranges::find(needed, name) != needed.end();
}

// Where diffusers looks for a class; empty where that is not known.
std::string_view library_of(std::string_view class_name) {
  constexpr auto kOfTransformers = std::to_array<std::string_view>({
      "CLIPImageProcessor",
      "CLIPTextModel",
      "CLIPTextModelWithProjection",
      "CLIPTokenizer",
      "CLIPTokenizerFast",
      "CLIPVisionModelWithProjection",
      "T5EncoderModel",
      "T5Tokenizer",
      "T5TokenizerFast",
  });
  constexpr auto kOfDiffusers = std::to_array<std::string_view>({
      "AutoencoderKL",
      "AutoencoderTiny",
      "FluxTransformer2DModel",
      "PixArtTransformer2DModel",
      "SD3Transformer2DModel",
      "UNet2DConditionModel",
  });
  if (std::ranges::find(kOfTransformers, class_name) != kOfTransformers.end()) {
    return "transformers";
  }
  bool own =
      std::ranges::find(kOfDiffusers, class_name) != kOfDiffusers.end() ||
      is_scheduler_of_diffusers(class_name);
  return own ? "diffusers" : "";
}

void malformed_index(Findings& findings,
                     const fs::path& file,
                     std::string_view field,
                     std::string expected,
                     const Json& value) {
  findings.push_back(make_finding("pipeline.malformed",
                                  fmt::format("{}: {}", file.string(), field),
                                  std::move(expected),
                                  shown(value)));
}

// What is no pair is a setting of the pipeline itself.
void hold_entry(Findings& findings,
                const Pipeline& pipeline,
                const fs::path& file,
                const std::string& name,
                const Json& entry) {
  constexpr std::string_view kPair = "[library, class], or [null, null]";
  bool flag = name == "force_zeros_for_empty_prompt" ||
              name == "requires_safety_checker";
  if (flag && !entry.is_boolean() && !entry.is_null()) {
    malformed_index(findings, file, name, "true or false", entry);
  } else if (!entry.is_array() && is_component(pipeline, name)) {
    malformed_index(findings, file, name, std::string(kPair), entry);
  }
  const auto* component = pipeline.find(name);
  if (component == nullptr || !entry.is_array()) {
    return;
  }
  auto library = entry.front().get<std::string>();
  auto wanted = library_of(component->class_name);
  std::error_code error;
  // Code of a model's own lies beside the component's weights.
  bool own_code = is_printable_utf8(library) &&
                  library.find('/') == std::string::npos &&
                  fs::exists(component->folder / (library + ".py"), error);
  if (!wanted.empty() && library != wanted && !own_code) {
    malformed_index(
        findings,
        file,
        name,
        fmt::format("{}, which has {}", wanted, component->class_name),
        entry.front());
  }
}

// An encoder of Stable Diffusion 3 may be null and must have a line.
void hold_lines(Findings& findings,
                const Pipeline& pipeline,
                const fs::path& file,
                const Json& index) {
  if (!pipeline.class_name.starts_with("StableDiffusion3")) {
    return;
  }
  for (const auto* name : {"text_encoder",
                           "text_encoder_2",
                           "text_encoder_3",
                           "tokenizer",
                           "tokenizer_2",
                           "tokenizer_3"}) {
    if (!index.contains(name)) {
      findings.push_back(
          make_finding("pipeline.component-absent",
                       fmt::format("{}: {}", file.string(), name),
                       "a line, [null, null] where it is left out",
                       "none"));
    }
  }
}

Vocabulary vocabulary_in(const fs::path& folder) {
  auto whole = document_in(folder / "tokenizer.json");
  if (whole.is_object()) {
    return vocabulary_of(whole);
  }
  Vocabulary vocabulary;
  for (const auto* file : {"vocab.json", "added_tokens.json"}) {
    auto document = document_in(folder / file);
    for (const auto& [text, id] : document.items()) {
      if (document.is_object() && id.is_number_integer()) {
        vocabulary.pieces[text] = id.get<int64_t>();
      }
    }
  }
  vocabulary.known = !vocabulary.pieces.empty();
  return vocabulary;
}

// A token that the vocabulary lacks gets an id past the embedding's rows.
void special_tokens_of(Findings& findings,
                       const Component& tokenizer,
                       const fs::path& file,
                       const Json& settings) {
  auto vocabulary = vocabulary_in(tokenizer.folder);
  if (!vocabulary.known) {
    return;
  }
  for (const auto* role :
       {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    auto text = content(member(settings, role));
    if (!text.empty() && !vocabulary.id_of(text)) {
      findings.push_back(
          make_finding("special-token.unknown",
                       fmt::format("{}: {}", file.string(), role),
                       "a token of the vocabulary",
                       quote(text)));
    }
  }
}

// CLIP's encoders have learned positions: texts are cut and filled to as many.
void length_of_texts(Findings& findings,
                     const Component& encoder,
                     const fs::path& file,
                     const Json& settings) {
  auto positions = encoder.size("max_position_embeddings");
  if (!encoder.class_name.starts_with("CLIPText") || !positions) {
    return;
  }
  auto longest = number(settings, "model_max_length");
  auto where = file.string() + ": model_max_length";
  if (member(settings, "model_max_length") == nullptr) {
    findings.push_back(make_finding(
        "text-encoder.too-long",
        where,
        fmt::format("{}, the positions of {}", *positions, encoder.name),
        "none, so that no text is cut"));
  } else if (longest && *longest < static_cast<double>(*positions)) {
    findings.push_back(make_finding(
        "pipeline.unpublished-value",
        where,
        fmt::format("{}, the positions of {}", *positions, encoder.name),
        fmt::format("{}", *longest)));
  }
}

void hold_tokenizers(Findings& findings, const Pipeline& pipeline) {
  for (const auto& component : pipeline.components) {
    auto file = component.folder / "tokenizer_config.json";
    if (!component.name.starts_with("tokenizer")) {
      continue;
    }
    auto settings = document_in(file);
    if (!settings.is_object()) {
      continue;
    }
    special_tokens_of(findings, component, file, settings);
    auto beside = std::string("text_encoder") +
                  component.name.substr(std::string_view("tokenizer").size());
    if (const auto* encoder = pipeline.find(beside)) {
      length_of_texts(findings, *encoder, file, settings);
    }
  }
}

}  // namespace

std::vector<Finding> pipeline_documents(const Pipeline& pipeline) {
  Findings findings;
  auto file = pipeline.path / "model_index.json";
  auto index = document_in(file);
  for (const auto& [name, entry] : index.items()) {
    if (!name.starts_with('_')) {
      hold_entry(findings, pipeline, file, name, entry);
    }
  }
  hold_lines(findings, pipeline, file, index);
  const auto& kind = pipeline.class_name;
  if (kind.empty() || kind.ends_with("Model") || kind.ends_with("Scheduler")) {
    malformed_index(
        findings, file, "_class_name", "the class of a pipeline", Json(kind));
  }
  hold_tokenizers(findings, pipeline);
  for (const auto& component : pipeline.components) {
    add_fields(findings,
               folder_fields(component.folder, "component.invalid-value"));
  }
  return findings;
}

}  // namespace assay::rules
