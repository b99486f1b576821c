// Models whose folders are not transformers': Pixtral in Mistral's own format
// (names as huggingface/transformers renames them in
// src/transformers/models/pixtral/convert_pixtral_weights_to_hf.py), and
// Phi 3 vision and Phi 4 multimodal by their own names, as Blaizzy/mlx-vlm
// (mlx_vlm/models/phi3_v and phi4mm) and vllm-project/vllm
// (vllm/model_executor/models/phi3v.py and phi4mm.py) read them. Their towers
// are too large for files in a test: headers alone.

#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/check/published.h"
#include "assay/check/vision_rules.h"
#include "assay/core/file.h"
#include "assay/core/platform.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/vision_language.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

struct Headers {
  ModelFiles model;

  Headers() {
    model.path = "/nowhere";
    model.container = Container::safetensors;
  }
  void add(const std::string& name, const Shape& shape) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.dtype = DType::bf16;
    tensor.shape = shape;
    model.tensors.push_back(std::move(tensor));
  }
  TensorInfo& at(const std::string& name) {
    auto found = std::ranges::find(model.tensors, name, &TensorInfo::name);
    REQUIRE(found != model.tensors.end());
    return *found;
  }
  void rename(const std::string& name, const std::string& to) {
    at(name).name = to;
  }
};

// A transformer of a tower, with biases and two norms in each layer.
void add_layers(Headers& headers,
                const std::string& root,
                int layers,
                int64_t width,
                int64_t inner) {
  for (int i = 0; i < layers; ++i) {
    auto layer = fmt::format("{}encoder.layers.{}.", root, i);
    for (const auto* norm : {"layer_norm1", "layer_norm2"}) {
      headers.add(layer + norm + ".weight", {width});
      headers.add(layer + norm + ".bias", {width});
    }
    for (const auto* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      headers.add(layer + "self_attn." + name + ".weight", {width, width});
      headers.add(layer + "self_attn." + name + ".bias", {width});
    }
    headers.add(layer + "mlp.fc1.weight", {inner, width});
    headers.add(layer + "mlp.fc1.bias", {inner});
    headers.add(layer + "mlp.fc2.weight", {width, inner});
    headers.add(layer + "mlp.fc2.bias", {width});
  }
}

// SigLIP's pooling by attention: SiglipMultiheadAttentionPoolingHead in
// transformers (models/siglip/modeling_siglip.py).
void add_head(Headers& headers,
              const std::string& root,
              int64_t width,
              int64_t inner) {
  headers.add(root + "probe", {1, 1, width});
  headers.add(root + "attention.in_proj_weight", {3 * width, width});
  headers.add(root + "attention.in_proj_bias", {3 * width});
  headers.add(root + "attention.out_proj.weight", {width, width});
  headers.add(root + "attention.out_proj.bias", {width});
  headers.add(root + "layernorm.weight", {width});
  headers.add(root + "layernorm.bias", {width});
  headers.add(root + "mlp.fc1.weight", {inner, width});
  headers.add(root + "mlp.fc1.bias", {inner});
  headers.add(root + "mlp.fc2.weight", {width, inner});
  headers.add(root + "mlp.fc2.bias", {width});
}

constexpr int64_t kText = 64;

Headers phi3_v() {
  Headers headers;
  headers.model.config = {{"model_type", "phi3_v"},
                          {"architectures", Json::array({"Phi3VForCausalLM"})},
                          {"hidden_size", kText},
                          {"num_hidden_layers", 1},
                          {"intermediate_size", 128},
                          {"num_attention_heads", 4},
                          {"num_key_value_heads", 4},
                          {"vocab_size", 100},
                          {"rms_norm_eps", 1e-5},
                          {"rope_theta", 10000.0},
                          {"embd_layer",
                           {{"embedding_cls", "image"},
                            {"hd_transform_order", "sub_glb"},
                            {"use_hd_transform", true},
                            {"with_learnable_separator", true}}},
                          {"img_processor",
                           {{"image_dim_out", 1024},
                            {"name", "clip_vision_model"},
                            {"num_img_tokens", 144}}}};
  const std::string kEmbed = "model.vision_embed_tokens.";
  const std::string kTower = kEmbed + "img_processor.vision_model.";
  headers.add("model.embed_tokens.weight", {100, kText});
  headers.add(kTower + "embeddings.class_embedding", {1024});
  headers.add(kTower + "embeddings.patch_embedding.weight", {1024, 3, 14, 14});
  headers.add(kTower + "embeddings.position_embedding.weight", {577, 1024});
  for (const auto* norm : {"pre_layrnorm", "post_layernorm"}) {
    headers.add(kTower + norm + ".weight", {1024});
    headers.add(kTower + norm + ".bias", {1024});
  }
  add_layers(headers, kTower, 24, 1024, 4096);
  headers.add(kEmbed + "glb_GN", {1, 1, 4096});
  headers.add(kEmbed + "sub_GN", {1, 1, 1, 4096});
  headers.add(kEmbed + "img_projection.0.weight", {kText, 4096});
  headers.add(kEmbed + "img_projection.0.bias", {kText});
  headers.add(kEmbed + "img_projection.2.weight", {kText, kText});
  headers.add(kEmbed + "img_projection.2.bias", {kText});
  return headers;
}

Headers phi4mm() {
  Headers headers;
  headers.model.config = {{"model_type", "phi4mm"},
                          {"architectures", Json::array({"Phi4MMForCausalLM"})},
                          {"hidden_size", kText},
                          {"num_hidden_layers", 1},
                          {"intermediate_size", 128},
                          {"num_attention_heads", 4},
                          {"num_key_value_heads", 4},
                          {"vocab_size", 100},
                          {"rms_norm_eps", 1e-5},
                          {"rope_theta", 10000.0},
                          {"embd_layer",
                           {{"image_embd_layer",
                             {{"crop_size", 448},
                              {"hd_transform_order", "sub_glb"},
                              {"use_hd_transform", true},
                              {"with_learnable_separator", true}}}}},
                          {"vision_lora", {{"r", 8}, {"lora_alpha", 16}}},
                          {"speech_lora", {{"r", 10}, {"lora_alpha", 20}}}};
  const std::string kEmbed = "model.embed_tokens_extend.image_embed.";
  const std::string kTower = kEmbed + "img_processor.";
  headers.add("model.embed_tokens.weight", {100, kText});
  headers.add(kTower + "embeddings.patch_embedding.weight", {1152, 3, 14, 14});
  headers.add(kTower + "embeddings.patch_embedding.bias", {1152});
  headers.add(kTower + "embeddings.position_embedding.weight", {1024, 1152});
  headers.add(kTower + "post_layernorm.weight", {1152});
  headers.add(kTower + "post_layernorm.bias", {1152});
  add_head(headers, kTower + "head.", 1152, 4304);
  add_layers(headers, kTower, 27, 1152, 4304);
  headers.add(kEmbed + "glb_GN", {1, 1, 1152});
  headers.add(kEmbed + "sub_GN", {1, 1, 1, 1152});
  headers.add(kEmbed + "img_projection.0.weight", {kText, 1152});
  headers.add(kEmbed + "img_projection.0.bias", {kText});
  headers.add(kEmbed + "img_projection.2.weight", {kText, kText});
  headers.add(kEmbed + "img_projection.2.bias", {kText});
  headers.add("model.embed_tokens_extend.audio_embed.encoder.embed.out.weight",
              {8, 8});
  const std::string kProjection = "model.layers.0.self_attn.o_proj.";
  headers.add(kProjection + "base_layer.weight", {kText, kText});
  for (const auto& [name, rank] :
       {std::pair("vision", int64_t{8}), std::pair("speech", int64_t{10})}) {
    headers.add(fmt::format("{}lora_A.{}.weight", kProjection, name),
                {rank, kText});
    headers.add(fmt::format("{}lora_B.{}.weight", kProjection, name),
                {kText, rank});
  }
  return headers;
}

std::vector<Finding> look(const Headers& headers) {
  auto parts = open_vision_language(headers.model);
  auto text = language_part(headers.model, parts);
  auto findings = rules::vision_fields(parts);
  auto more = rules::vision_shapes(parts, text, true);
  findings.insert(findings.end(), more.begin(), more.end());
  more = rules::published_values(parts.vision, rules::OwnValues::refused);
  findings.insert(findings.end(), more.begin(), more.end());
  return findings;
}

std::string all(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) {
    text += to_line(finding) + "\n";
  }
  return text;
}

bool has(const std::vector<Finding>& findings, std::string_view id) {
  return std::ranges::any_of(findings,
                             [&](const auto& one) { return one.id == id; });
}

using Make = Headers (*)();

void spoil(Make make, const char* path, const Json& value, const char* id) {
  auto headers = make();
  headers.model.config[Json::json_pointer(path)] = value;
  auto findings = look(headers);
  CAPTURE(path);
  CAPTURE(all(findings));
  CHECK(has(findings, id));
}

void reshape(Make make,
             const std::string& name,
             const Shape& shape,
             const char* id) {
  auto headers = make();
  headers.at(name).shape = shape;
  auto findings = look(headers);
  CAPTURE(name);
  CAPTURE(all(findings));
  CHECK(has(findings, id));
}

}  // namespace

TEST_CASE("Phi 3 vision by its own names") {
  auto sound = phi3_v();
  CHECK(is_vision_language(sound.model));
  CHECK(all(look(sound)) == "");
  spoil(
      phi3_v, "/img_processor/image_dim_out", 768, "component.shape-mismatch");
  spoil(phi3_v, "/img_processor/num_img_tokens", 576, "vision.image-tokens");
  spoil(phi3_v, "/img_processor/layer_idx", -40, "vision.feature-layer");
  spoil(phi3_v, "/img_processor/type_feature", "all", "vision.feature-layer");
  spoil(phi3_v, "/embd_layer/use_hd_transform", false, "config.contradiction");
  spoil(phi3_v, "/embd_layer/hd_transform_order", "x", "config.invalid-value");
  const std::string kEmbed = "model.vision_embed_tokens.";
  reshape(phi3_v,
          kEmbed + "img_projection.0.weight",
          {kText, 1024},
          "shape.mismatch");
  reshape(phi3_v, kEmbed + "glb_GN", {1, 1, 1024}, "shape.mismatch");
  reshape(phi3_v,
          kEmbed + "img_processor.vision_model.encoder.layers.3.mlp.fc1.weight",
          {4095, 1024},
          "shape.mismatch");
  auto missing = phi3_v();
  missing.rename(kEmbed + "sub_GN", kEmbed + "sub_gn");
  CHECK(has(look(missing), "tensor.missing"));
}

TEST_CASE("Phi 4 multimodal by its own names") {
  auto sound = phi4mm();
  CHECK(all(look(sound)) == "");
  auto parts = open_vision_language(sound.model);
  CHECK(image_tokens(parts) == 256);
  CHECK(parts.other_tensors.size() == 5);
  auto text = language_part(sound.model, parts);
  CHECK(text.find("model.layers.0.self_attn.o_proj.weight") != nullptr);
  spoil(phi4mm, "/vision_lora/r", 16, "adapter.rank-config");
  spoil(phi4mm, "/speech_lora", nullptr, "adapter.rank-config");
  spoil(phi4mm,
        "/embd_layer/image_embd_layer/crop_size",
        336,
        "vision.processor-mismatch");
  const std::string kEmbed = "model.embed_tokens_extend.image_embed.";
  reshape(phi4mm,
          kEmbed + "img_processor.embeddings.position_embedding.weight",
          {576, 1152},
          "config.missing-field");
  reshape(phi4mm,
          kEmbed + "img_projection.2.weight",
          {kText, 32},
          "shape.mismatch");
  // As another library names its tensors: not judged.
  Headers other;
  other.model.config = sound.model.config;
  other.add("vision_tower.vision_tower.embeddings.patch_embedding.weight",
            {1152, 588});
  CHECK(open_vision_language(other.model).family == nullptr);
}

namespace {

Headers pixtral() {
  Headers headers;
  headers.add("tok_embeddings.weight", {100, kText});
  headers.add("output.weight", {100, kText});
  headers.add("norm.weight", {kText});
  const std::string kLayer = "layers.0.";
  headers.add(kLayer + "attention_norm.weight", {kText});
  headers.add(kLayer + "ffn_norm.weight", {kText});
  headers.add(kLayer + "attention.wq.weight", {kText, kText});
  headers.add(kLayer + "attention.wk.weight", {32, kText});
  headers.add(kLayer + "attention.wv.weight", {32, kText});
  headers.add(kLayer + "attention.wo.weight", {kText, kText});
  headers.add(kLayer + "feed_forward.w1.weight", {128, kText});
  headers.add(kLayer + "feed_forward.w2.weight", {kText, 128});
  headers.add(kLayer + "feed_forward.w3.weight", {128, kText});
  headers.add("vision_encoder.patch_conv.weight", {32, 3, 16, 16});
  headers.add("vision_encoder.ln_pre.weight", {32});
  const std::string kBlock = "vision_encoder.transformer.layers.0.";
  headers.add(kBlock + "attention_norm.weight", {32});
  headers.add(kBlock + "ffn_norm.weight", {32});
  for (const auto* name : {"wq", "wk", "wv", "wo"}) {
    headers.add(fmt::format("{}attention.{}.weight", kBlock, name), {32, 32});
  }
  headers.add(kBlock + "feed_forward.w1.weight", {48, 32});
  headers.add(kBlock + "feed_forward.w2.weight", {32, 48});
  headers.add(kBlock + "feed_forward.w3.weight", {48, 32});
  for (const auto* name : {"w_in", "w_out"}) {
    auto adapter = fmt::format("vision_language_adapter.{}.", name);
    headers.add(adapter + "weight", {kText, name[2] == 'i' ? 32 : kText});
    headers.add(adapter + "bias", {kText});
  }
  return headers;
}

Json pixtral_params() {
  return {{"dim", kText},
          {"n_layers", 1},
          {"head_dim", 16},
          {"hidden_dim", 128},
          {"n_heads", 4},
          {"n_kv_heads", 2},
          {"norm_eps", 1e-5},
          {"rope_theta", 1000000000.0},
          {"vocab_size", 100},
          {"vision_encoder",
           {{"hidden_size", 32},
            {"num_channels", 3},
            {"image_size", 64},
            {"patch_size", 16},
            {"intermediate_size", 48},
            {"num_hidden_layers", 1},
            {"num_attention_heads", 2},
            {"rope_theta", 10000.0},
            {"image_token_id", 10}}}};
}

/** A folder with params.json for these headers. */
struct ParamsFolder {
  explicit ParamsFolder(const Json& params) {
    path = fs::path(ASSAY_BUILD_DIR) / "test-models" /
           fmt::format("params-{}", platform::process_id());
    fs::create_directories(path);
    write_text(path / "params.json", params.dump());
  }
  ~ParamsFolder() { fs::remove_all(path); }
  ParamsFolder(const ParamsFolder&) = delete;
  ParamsFolder& operator=(const ParamsFolder&) = delete;

  fs::path path;
};

std::vector<Finding> in_folder(Headers&& headers, const Json& params) {
  ParamsFolder folder(params);
  headers.model.path = folder.path;
  CHECK(rules::is_mistral_folder(headers.model));
  auto findings = rules::mistral_folder(headers.model);
  REQUIRE(findings);
  return *findings;
}

}  // namespace

TEST_CASE("Pixtral in Mistral's own format") {
  CHECK(all(in_folder(pixtral(), pixtral_params())) == "");
  struct Case {
    const char* path;
    Json value;
    const char* id;
  };
  for (const auto& one :
       {Case{"/dim", 32, "component.shape-mismatch"},
        Case{"/n_layers", 2, "component.shape-mismatch"},
        Case{"/n_kv_heads", 4, "component.shape-mismatch"},
        Case{"/hidden_dim", "many", "config.invalid-value"},
        Case{"/vision_encoder", nullptr, "config.missing-field"},
        Case{"/vision_encoder/patch_size", 14, "component.shape-mismatch"},
        Case{
            "/vision_encoder/num_hidden_layers", 3, "component.shape-mismatch"},
        Case{"/vision_encoder/num_attention_heads", 3, "config.contradiction"},
        Case{"/vision_encoder/image_size", 60, "vision.positions"},
        Case{"/vision_encoder/image_token_id", 100, "vision.token-id"},
        Case{"/vision_encoder/adapter_bias", false, "component.shape-mismatch"},
        Case{"/vision_encoder/mm_projector_id",
             "patch_merge",
             "component.shape-mismatch"}}) {
    auto params = pixtral_params();
    params[Json::json_pointer(one.path)] = one.value;
    auto findings = in_folder(pixtral(), params);
    CAPTURE(one.path);
    CAPTURE(all(findings));
    CHECK(has(findings, one.id));
  }
  auto narrow = pixtral();
  narrow.at("vision_language_adapter.w_in.weight").shape = {kText, 16};
  CHECK(has(in_folder(std::move(narrow), pixtral_params()),
            "vision.projector-mismatch"));
  // Experts have other tensors: not judged.
  auto experts = pixtral_params();
  experts["moe"] = {{"num_experts", 8}};
  ParamsFolder folder(experts);
  ModelFiles model;
  model.path = folder.path;
  model.container = Container::safetensors;
  CHECK(!rules::mistral_folder(model));
}
