// Adapters as five libraries save them are sound, alone and on their base; one
// defect at a time is named.

#include <map>
#include <vector>

#include "sound_copy.h"
#include "weights.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

CheckReport on_base(const fs::path& adapter, const fs::path& base) {
  CheckOptions options;
  options.headers_only = true;
  options.base = base;
  return checked(adapter, options);
}

bool adapter_has(const CheckReport& report, std::string_view id) {
  return std::ranges::any_of(report.findings,
                             [&](const auto& one) { return one.id == id; });
}

const std::string kQ = "base_model.model.model.layers.0.self_attn.q_proj";
const std::string kPeft = "adapter_model.safetensors";
const std::string kConfig = "adapter_config.json";

}  // namespace

TEST_CASE("adapters of six libraries are sound") {
  for (const auto* name : {"peft-lora",
                           "peft-dora",
                           "mlx-lora",
                           "mlx-dora",
                           "diffusers-lora",
                           "kohya-lora",
                           "xlabs-lora",
                           "gguf-lora"}) {
    is_sound(sound(name));
    auto whole = checked(sound(name));
    CAPTURE(all_of(whole));
    CHECK(whole.verdict == Verdict::sound);
  }
  // Files by themselves, whatever their names.
  is_sound(sound("kohya-lora/tiny_style.safetensors"));
  is_sound(sound("xlabs-lora/lora.safetensors"));
  is_sound(sound("gguf-lora/lora.gguf"));
  is_sound(sound("peft-lora/adapter_model.safetensors"));
}

TEST_CASE("adapters fit the base that they were made for") {
  struct Case {
    const char *adapter, *base;
    size_t modules;
  };
  for (auto one : {Case{"peft-lora", "llama", 6},
                   Case{"peft-dora", "llama", 5},
                   Case{"mlx-lora", "llama", 14},
                   Case{"diffusers-lora", "sd1", 28},
                   Case{"kohya-lora", "sd1", 28}}) {
    auto report = on_base(sound(one.adapter), sound(one.base));
    CAPTURE(one.adapter);
    CAPTURE(all_of(report));
    CHECK(report.verdict == Verdict::sound);
    auto step = std::ranges::find(report.steps, "base", &CheckStep::name);
    REQUIRE(step != report.steps.end());
    CHECK(step->detail.ends_with(
        fmt::format("{} of {} modules", one.modules, one.modules)));
  }
}

TEST_CASE("an adapter on another base") {
  auto other = fs::path(ASSAY_TEST_DIR) / "golden/arch/llama";
  CHECK(on_base(sound("peft-lora"), other).verdict == Verdict::findings);
  CHECK(adapter_has(on_base(sound("peft-lora"), sound("sd1")),
                    "adapter.base-target"));
  SoundCopy deep("peft-lora");
  Weights weights(deep.path / kPeft);
  for (const auto* half : {"A", "B"}) {
    auto end = fmt::format(".lora_{}.weight", half);
    weights.rename(kQ + end,
                   "base_model.model.model.layers.7.self_attn.q_proj" + end);
  }
  weights.save();
  auto report = on_base(deep.path, sound("llama"));
  REQUIRE(adapter_has(report, "adapter.base-target"));
  CHECK(all_of(report).find("layer 7") != std::string::npos);
  SoundCopy wide("peft-lora");
  Weights shapes(wide.path / kPeft);
  shapes.reshape(kQ + ".lora_A.weight", {4, 48});
  shapes.save();
  CHECK(adapter_has(on_base(wide.path, sound("llama")), "adapter.base-shape"));
}

TEST_CASE("pairs") {
  SoundCopy half("peft-lora");
  Weights weights(half.path / kPeft);
  weights.tensors.erase(kQ + ".lora_B.weight");
  weights.save();
  names(half, "adapter.incomplete");
  SoundCopy ranks("peft-lora");
  Weights mixed(ranks.path / kPeft);
  mixed.reshape(kQ + ".lora_B.weight", {32, 8});
  mixed.save();
  names(ranks, "adapter.rank-mismatch");
  SoundCopy flat("peft-lora");
  Weights flattened(flat.path / kPeft);
  flattened.reshape(kQ + ".lora_B.weight", {0});
  flattened.save();
  names(flat, "adapter.shape");
  SoundCopy typed("peft-lora");
  Weights cut(typed.path / kPeft);
  for (auto& [name, tensor] : cut.tensors) {
    tensor = {DType::f8_e4m3, tensor.shape, tensor.data};
    tensor.data.resize(*element_count(tensor.shape));
  }
  cut.save();
  names(typed, "adapter.dtype");
  SoundCopy strange("peft-lora");
  Weights other(strange.path / kPeft);
  other.tensors = {{"embedding", {DType::f32, {1}, "\x01\x02\x03\x04"}}};
  other.save();
  names(strange, "adapter.unrecognized");
}

TEST_CASE("PEFT's config against the tensors") {
  struct Case {
    const char* field;
    Json value;
    const char* id;
  };
  for (const auto& one :
       {Case{"r", 8, "adapter.rank-config"},
        Case{"r", 0, "adapter.invalid-value"},
        Case{"rank_pattern", {{"q_proj", 2}}, "adapter.rank-config"},
        Case{"lora_alpha", 0, "adapter.alpha"},
        Case{"lora_alpha", nullptr, "adapter.scale-missing"},
        Case{"lora_alpha", "eight", "adapter.invalid-value"},
        Case{"lora_dropout", 1.5, "adapter.invalid-value"},
        Case{"bias", "some", "adapter.invalid-value"},
        Case{"peft_type", nullptr, "adapter.invalid-value"},
        Case{"use_dora", true, "adapter.dora"},
        Case{"use_rslora", "yes", "adapter.invalid-value"},
        Case{"rank_pattern", {{"gate_proj", 4}}, "adapter.target-unused"},
        Case{"alpha_pattern", {{"gate_proj", 4}}, "adapter.target-unused"},
        Case{"alpha_pattern", {{"q_proj", -4}}, "adapter.invalid-value"},
        Case{"exclude_modules",
             Json::array({"q_proj"}),
             "adapter.target-unlisted"},
        Case{"exclude_modules", ".*layers\\.0\\..*", "adapter.target-unlisted"},
        Case{"target_modules",
             Json::array({"q_proj", "v_proj"}),
             "adapter.target-unlisted"},
        Case{"target_modules",
             Json::array({"q_proj", "v_proj", "down_proj", "up_proj"}),
             "adapter.target-unused"},
        Case{"layers_to_transform", 1, "adapter.target-unlisted"},
        Case{"modules_to_save",
             Json::array({"lm_head"}),
             "adapter.target-unused"}}) {
    CAPTURE(one.field);
    SoundCopy copy("peft-lora");
    copy.set(kConfig, one.field, one.value);
    names(copy, one.id);
  }
  SoundCopy patterns("peft-lora");
  patterns.set(kConfig, "alpha_pattern", {{"layers.0.self_attn.q_proj", 16}});
  patterns.set(kConfig, "rank_pattern", {{"^model.*q_proj", 4}});
  patterns.set(kConfig, "exclude_modules", Json::array({"lm_head"}));
  patterns.set(kConfig, "use_rslora", true);
  is_sound(patterns.path);
  // A regular expression or the word for all of them is not judged.
  for (const auto& targets :
       {Json("all-linear"), Json(".*_proj"), Json::array({"all-linear"})}) {
    SoundCopy copy("peft-lora");
    copy.set(kConfig, "target_modules", targets);
    is_sound(copy.path);
  }
  SoundCopy bare("peft-lora");
  fs::remove(bare.path / kConfig);
  names(bare, "adapter.config-missing");
  SoundCopy hollow("peft-lora");
  fs::remove(hollow.path / kPeft);
  names(hollow, "adapter.no-weights");
  SoundCopy plain("peft-dora");
  plain.set(kConfig, "use_dora", false);
  names(plain, "adapter.dora");
  SoundCopy extra("peft-lora");
  Weights more(extra.path / kPeft);
  more.tensors["base_model.model.score.weight"] = {
      DType::f16, {1, 2}, std::string(4, '\1')};
  more.save();
  names(extra, "adapter.other-tensors");
  extra.set(kConfig, "modules_to_save", Json::array({"score"}));
  is_sound(extra.path);
}

TEST_CASE("a head by itself was saved because it was named, or adapted") {
  SoundCopy whole("peft-dora");
  whole.set(kConfig, "modules_to_save", nullptr);
  names(whole, "adapter.other-tensors");
  // PEFT saves both where the vocabulary was resized.
  Weights resized(whole.path / kPeft);
  const std::string kModel = "base_model.model.";
  auto head = resized.tensors.at(kModel + "lm_head.weight");
  resized.tensors[kModel + "model.embed_tokens.base_layer.weight"] = head;
  resized.save();
  is_sound(whole.path);
  SoundCopy adapted("peft-dora");
  adapted.set(kConfig, "modules_to_save", nullptr);
  adapted.set(kConfig, "use_dora", false);
  adapted.set(kConfig,
              "target_modules",
              Json::array({"embed_tokens", "q_proj", "o_proj", "lm_head"}));
  Weights factors(adapted.path / kPeft);
  std::erase_if(factors.tensors, [](const auto& one) {
    return one.first.ends_with("lora_magnitude_vector");
  });
  factors.rename(kModel + "lm_head.weight",
                 kModel + "lm_head.base_layer.weight");
  factors.tensors[kModel + "lm_head.lora_A.weight"] = {
      DType::f32, {4, 32}, std::string(512, '\1')};
  factors.tensors[kModel + "lm_head.lora_B.weight"] = {
      DType::f32, {273, 4}, std::string(4368, '\1')};
  factors.save();
  is_sound(adapted.path);
}

TEST_CASE("PEFT's own targets stand in for those that no config names") {
  auto expects = [](const fs::path& path, std::string_view text) {
    names(path, "adapter.target-unlisted");
    CHECK(all_of(headers(path)).find(text) != std::string::npos);
  };
  // Of no base does PEFT take down_proj by itself.
  SoundCopy unknown("peft-lora");
  unknown.set(kConfig, "target_modules", nullptr);
  expects(unknown.path, "a list of modules");
  // Beside its base: of a llama, q_proj and v_proj.
  fs::copy(
      sound("llama"), unknown.folder / "llama", fs::copy_options::recursive);
  expects(unknown.path, "none, for which PEFT takes q_proj, v_proj of llama");
  SoundCopy usual("peft-lora");
  usual.set(kConfig, "target_modules", nullptr);
  Weights weights(usual.path / kPeft);
  std::erase_if(weights.tensors, [](const auto& one) {
    return one.first.find("down_proj") != std::string::npos;
  });
  weights.save();
  is_sound(usual.path);
  fs::copy(sound("llama"), usual.folder / "llama", fs::copy_options::recursive);
  is_sound(usual.path);
  auto config = usual.folder / "llama/config.json";
  auto base = parse_json(read_text(config), "config.json");
  base["model_type"] = "olmo2";
  write_text(config, to_text(base));
  expects(usual.path, "'olmo2', and stops");
}

TEST_CASE("mlx-lm's config against the tensors") {
  struct Case {
    const char* field;
    Json value;
    const char* id;
  };
  for (const auto& one :
       {Case{"lora_parameters",
             {{"rank", 8}, {"scale", 20.0}},
             "adapter.rank-config"},
        Case{"lora_parameters",
             {{"rank", 4}, {"alpha", 8}},
             "adapter.scale-missing"},
        Case{"lora_parameters", nullptr, "adapter.invalid-value"},
        Case{"lora_parameters",
             {{"rank", 4},
              {"scale", 20.0},
              {"keys", Json::array({"self_attn.q_proj"})}},
             "adapter.target-unlisted"},
        Case{"lora_parameters",
             {{"rank", 4}, {"scale", 20.0}},
             "adapter.invalid-value"},
        Case{"lora_parameters",
             {{"rank", 4},
              {"scale", 20.0},
              {"dropout", 0.0},
              {"keys", Json::array({"q_proj"})}},
             "adapter.target-unlisted"},
        Case{"num_layers", nullptr, "adapter.invalid-value"},
        Case{"num_layers", 1, "adapter.target-unlisted"},
        Case{"fine_tune_type", "dora", "adapter.dora"},
        Case{"fine_tune_type", "qlora", "adapter.invalid-value"}}) {
    CAPTURE(one.field);
    SoundCopy copy("mlx-lora");
    copy.set(kConfig, one.field, one.value);
    names(copy, one.id);
  }
  SoundCopy experts("mlx-lora");  // (expert, rank, in) and (expert, out, rank)
  Weights weights(experts.path / "adapters.safetensors");
  const std::string kUp = "model.layers.0.mlp.up_proj.lora_";
  weights.reshape(kUp + "a", {3, 4, 32});
  weights.reshape(kUp + "b", {3, 64, 4});
  weights.save();
  is_sound(experts.path / "adapters.safetensors");
  for (int64_t all_layers : {-1, 0}) {
    SoundCopy all("mlx-lora");
    all.set(kConfig, "num_layers", all_layers);
    is_sound(all.path);
  }
  // The last layers are those that mlx-lm adapts: of two, the second.
  SoundCopy last("mlx-dora");
  last.set(kConfig, "num_layers", 1);
  CHECK(!adapter_has(on_base(last.path, sound("llama")),
                     "adapter.target-unlisted"));
  Weights moved(last.path / "adapters.safetensors");
  const auto names_before = moved.tensors;
  for (const auto& [name, tensor] : names_before) {
    auto other = name;
    moved.rename(name, other.replace(other.find("layers.1"), 8, "layers.0"));
  }
  moved.save();
  is_sound(last.path);
  CHECK(adapter_has(on_base(last.path, sound("llama")),
                    "adapter.target-unlisted"));
}

TEST_CASE("kohya's metadata and alphas, diffusers' metadata") {
  const auto* file = "tiny_style.safetensors";
  SoundCopy rank("kohya-lora");
  Weights weights(rank.path / file);
  weights.metadata["ss_network_dim"] = "32";
  weights.save();
  names(rank, "adapter.metadata");
  weights.metadata["ss_network_dim"] = "Dynamic";
  weights.save();
  is_sound(rank.path);
  auto alpha = std::ranges::find_if(weights.tensors, [](const auto& one) {
    return one.first.ends_with(".alpha");
  });
  REQUIRE(alpha != weights.tensors.end());
  alpha->second.data = std::string(2, '\0');
  weights.save();
  names(rank, "adapter.alpha");
  std::erase_if(weights.tensors,
                [](const auto& one) { return one.first.ends_with(".alpha"); });
  weights.save();
  CHECK(adapter_has(headers(rank.path), "adapter.alpha-absent"));
  SoundCopy saved("diffusers-lora");
  Weights unet(saved.path / "pytorch_lora_weights.safetensors");
  const auto whole = unet.metadata["lora_adapter_metadata"];
  auto with = [&](const char* field, const Json& value, std::string_view id) {
    auto changed = Json::parse(whole);
    changed[field] = value;
    unet.metadata["lora_adapter_metadata"] = changed.dump();
    unet.save();
    names(saved, id);
  };
  with("unet.r", 16, "adapter.rank-config");
  with("unet.r", 0, "adapter.invalid-value");
  with("unet.lora_alpha", 0, "adapter.alpha");
  with("unet.use_dora", true, "adapter.dora");
  with("unet.target_modules", Json::array({"to_q"}), "adapter.target-unlisted");
  with("text_encoder.target_modules",
       Json::array({"q_proj", "v_proj", "k_proj"}),
       "adapter.target-unused");
}

TEST_CASE("other methods are named") {
  SoundCopy copy("kohya-lora");
  Weights weights(copy.path / "tiny_style.safetensors");
  std::map<std::string, Weights::Tensor> loha;
  for (const auto& [name, tensor] : weights.tensors) {
    auto module = name.substr(0, name.find('.'));
    // [out, rank] and [rank, in], as LoRA's two.
    if (name.find(".lora_up.") != std::string::npos) {
      loha[module + ".hada_w1_a"] = loha[module + ".hada_w2_a"] = tensor;
    } else if (name.find(".lora_down.") != std::string::npos) {
      loha[module + ".hada_w1_b"] = loha[module + ".hada_w2_b"] = tensor;
    }
  }
  weights.tensors = loha;
  weights.save();
  auto report = headers(copy.path);
  CAPTURE(all_of(report));
  CHECK(report.verdict == Verdict::sound);
  CHECK(adapter_has(report, "adapter.method"));
}

TEST_CASE("an adapter that was never trained") {
  SoundCopy copy("peft-lora");
  Weights weights(copy.path / kPeft);
  for (auto& [name, tensor] : weights.tensors) {
    if (name.find("lora_B") != std::string::npos) {
      tensor.data.assign(tensor.data.size(), '\0');
    }
  }
  weights.save();
  CHECK(adapter_has(checked(copy.path), "adapter.untrained"));
  is_sound(copy.path);  // headers do not show it
}

TEST_CASE("PEFT adapts no bias beside DoRA") {
  SoundCopy bias("peft-dora");
  bias.set("adapter_config.json", "lora_bias", true);
  names(bias, "adapter.invalid-value");
  SoundCopy plain("peft-lora");
  plain.set("adapter_config.json", "lora_bias", true);
  is_sound(plain.path);
}
