// Weights in other quantizers' forms: the tree's modules, and the blocks of
// their configs.

#include <array>
#include <cstring>

#include "assay/formats/safetensors.h"

#include "sound_copy.h"
#include "weights.h"

using namespace assay;
using namespace assay::testing;

namespace {

bool found_in(const CheckReport& report, std::string_view id) {
  return std::ranges::any_of(report.findings,
                             [&](const auto& one) { return one.id == id; });
}

}  // namespace

TEST_CASE("other quantizers' weights: the modules of the config") {
  struct Case {
    const char* field;
    Json value;
    const char* id;
  };
  for (const auto* name : {"llama-gptq",
                           "llama-awq",
                           "llama-bnb-4bit",
                           "llama-bnb-8bit",
                           "llama-compressed"}) {
    CAPTURE(name);
    auto before = headers(sound(name));
    CAPTURE(all_of(before));
    CHECK(!found_in(before, "tensor.missing"));
    CHECK(!found_in(before, "tensor.unexpected"));
    for (const auto& one : {Case{"num_hidden_layers", 3, "tensor.missing"},
                            Case{"num_hidden_layers", 1, "tensor.unexpected"},
                            Case{"attention_bias", true, "tensor.missing"},
                            Case{"mlp_bias", true, "tensor.missing"}}) {
      CAPTURE(one.field);
      SoundCopy copy(name);
      copy.set("config.json", one.field, one.value);
      auto report = headers(copy.path);
      CAPTURE(all_of(report));
      CHECK(found_in(report, one.id));
    }
  }
}

namespace {

template <class Edit>
CheckReport with_block(const SoundCopy& copy, Edit&& edit) {
  auto file = copy.path / "config.json";
  auto config = parse_json(read_text(file), "config.json");
  edit(config["quantization_config"]);
  write_text(file, to_text(config));
  return headers(copy.path);
}

}  // namespace

TEST_CASE("bitsandbytes: settings for weights that are packed already") {
  struct Case {
    const char *name, *field;
    Json value;
    const char* id;
  };
  for (const auto& one : {
           Case{"llama-bnb-4bit",
                "load_in_4bit",
                nullptr,
                "quantization.wrong-bits"},
           Case{"llama-bnb-4bit",
                "load_in_8bit",
                true,
                "quantization.wrong-bits"},
           Case{"llama-bnb-4bit",
                "bnb_4bit_compute_dtype",
                "half",
                "config.invalid-value"},
           Case{"llama-bnb-8bit",
                "bnb_4bit_quant_storage",
                "int4",
                "config.invalid-value"},
           Case{"llama-bnb-8bit",
                "llm_int8_has_fp16_weight",
                true,
                "config.contradiction"},
           Case{"llama-bnb-8bit",
                "llm_int8_threshold",
                0,
                "config.invalid-value"},
       }) {
    CAPTURE(one.field);
    SoundCopy copy(one.name);
    CHECK(!found_in(headers(copy.path), one.id));
    auto report = with_block(
        copy, [&](Json& settings) { settings[one.field] = one.value; });
    CAPTURE(all_of(report));
    CHECK(found_in(report, one.id));
  }
  SoundCopy private_one(
      "llama-bnb-4bit");  // transformers writes it, reads it not
  auto report = with_block(private_one, [](Json& settings) {
    settings.erase("_load_in_4bit");
    settings["bnb_4bit_compute_dtype"] = "torch.bfloat16";
  });
  CAPTURE(all_of(report));
  CHECK(!found_in(report, "quantization.wrong-bits"));
  CHECK(!found_in(report, "config.invalid-value"));
}

TEST_CASE("a GPTQ block needs its bits, an AWQ block a layout that is one") {
  SoundCopy gptq("llama-gptq");
  CHECK(!found_in(headers(gptq.path), "config.missing-field"));
  CHECK(
      found_in(with_block(gptq, [](Json& settings) { settings.erase("bits"); }),
               "config.missing-field"));
  SoundCopy awq("llama-awq");
  CHECK(
      !found_in(with_block(awq, [](Json& settings) { settings.erase("bits"); }),
                "quantization.wrong-bits"));
  CHECK(!found_in(
      with_block(awq, [](Json& settings) { settings["version"] = "GEMM"; }),
      "config.invalid-value"));
  CHECK(found_in(
      with_block(awq, [](Json& settings) { settings["version"] = "other"; }),
      "config.invalid-value"));
}

namespace {

/** Writes `number(index)` into all 32-bit tensors of that ending. */
template <class Number>
void fill(const SoundCopy& copy, std::string_view ending, Number&& number) {
  auto file = copy.path / "model.safetensors";
  auto text = read_text(file);
  for (const auto& tensor : read_safetensors(file).tensors) {
    for (uint64_t i = 0; tensor.name.ends_with(ending) && i * 4 < tensor.bytes;
         ++i) {
      auto value = static_cast<uint32_t>(number(i));
      std::memcpy(text.data() + tensor.offset + i * 4, &value, sizeof(value));
    }
  }
  write_text(file, text);
}

constexpr const char* kContradicts = "quantization.wrong-setting";

}  // namespace

TEST_CASE("zeros that a GPTQ or AWQ block takes for the middle are there") {
  auto symmetric = [](Json& settings) { settings["sym"] = true; };
  auto unsaid = [](Json& settings) { settings.erase("sym"); };
  SoundCopy gptq("llama-gptq");  // its zeros are not
  CHECK(!found_in(headers(gptq.path), kContradicts));
  CHECK(found_in(with_block(gptq, symmetric), kContradicts));
  CHECK(found_in(with_block(gptq, unsaid), kContradicts));
  for (uint32_t word : {0x77777777u, 0x88888888u}) {  // gptq, gptq_v2
    fill(gptq, ".qzeros", [&](uint64_t) { return word; });
    CHECK(!found_in(with_block(gptq, symmetric), kContradicts));
    CHECK(!found_in(with_block(gptq, unsaid), kContradicts));
  }
  fill(gptq, ".qzeros", [](uint64_t i) {
    return i % 2 == 0 ? 0x77777777u : 0x88888888u;
  });
  CHECK(found_in(with_block(gptq, symmetric), kContradicts));

  SoundCopy awq("llama-awq");
  auto no_zeros = [](Json& settings) { settings["zero_point"] = false; };
  CHECK(!found_in(headers(awq.path), kContradicts));
  CHECK(!found_in(
      with_block(awq, [](Json& settings) { settings.erase("zero_point"); }),
      kContradicts));
  CHECK(found_in(with_block(awq, no_zeros), kContradicts));
  fill(awq, ".qzeros", [](uint64_t) { return 0x88888888u; });
  CHECK(!found_in(with_block(awq, no_zeros), kContradicts));
  fill(awq, ".qzeros", [](uint64_t) { return 0x77777777u; });
  CHECK(found_in(with_block(awq, no_zeros), kContradicts));
}

TEST_CASE("GPTQ: zeros of 3 bits follow each other across words") {
  SoundCopy copy("llama-gptq");
  Weights weights(copy.path / "model.safetensors");
  for (auto& [name, tensor] : weights.tensors) {
    if (name.ends_with(".qweight")) {
      weights.reshape(name, {tensor.shape[0] / 4 * 3, tensor.shape[1]});
    } else if (name.ends_with(".qzeros")) {
      weights.reshape(name, {tensor.shape[0], tensor.shape[1] / 4 * 3});
    }
  }
  weights.save();
  auto symmetric = [](Json& settings) {
    settings["bits"] = 3;
    settings["sym"] = true;
  };
  // 32 times 3 (the middle is 4, less one), and 32 times 4.
  for (const auto& words :
       {std::array{0xdb6db6dbu, 0xb6db6db6u, 0x6db6db6du},
        std::array{0x24924924u, 0x49249249u, 0x92492492u}}) {
    fill(copy, ".qzeros", [&](uint64_t i) { return words[i % 3]; });
    auto report = with_block(copy, symmetric);
    CAPTURE(all_of(report));
    CHECK(!found_in(report, kContradicts));
    fill(copy, ".qzeros", [&](uint64_t i) { return words[(i + 1) % 3]; });
    CHECK(found_in(with_block(copy, symmetric), kContradicts));
  }
}

TEST_CASE("inputs that GPTQ reordered are said to be") {
  auto ordered = [](bool by_activation) {
    return [=](Json& settings) { settings["desc_act"] = by_activation; };
  };
  SoundCopy copy("llama-gptq");  // in their groups' order
  CHECK(!found_in(with_block(copy, ordered(true)), kContradicts));
  CHECK(!found_in(with_block(copy, ordered(false)), kContradicts));
  fill(copy, ".g_idx", [](uint64_t i) { return i % 2; });
  CHECK(!found_in(with_block(copy, ordered(true)), kContradicts));
  CHECK(found_in(with_block(copy, ordered(false)), kContradicts));
  CHECK(found_in(
      with_block(copy, [](Json& settings) { settings.erase("desc_act"); }),
      kContradicts));
}

TEST_CASE("compressed-tensors: what its block calls quantized is stored so") {
  struct Case {
    const char* field;
    Json value;
    const char* id;
  };
  const std::string name = "llama-compressed";
  for (const auto& one : {
           Case{"ignore", Json::array(), "config.contradiction"},
           Case{"ignore", {"re:.*mlp.*", "lm_head"}, "config.contradiction"},
           Case{"quantization_status", "initialized", "config.invalid-value"},
           Case{"quantization_status", nullptr, "config.missing-field"},
           Case{"config_groups", Json::object(), "config.missing-field"},
       }) {
    CAPTURE(one.field);
    SoundCopy copy(name);
    CHECK(!found_in(headers(copy.path), one.id));
    auto report = with_block(
        copy, [&](Json& settings) { settings[one.field] = one.value; });
    CAPTURE(all_of(report));
    CHECK(found_in(report, one.id));
  }
  for (const auto& [targets, id] :
       {std::pair(Json::array(), "config.missing-field"),
        std::pair(Json::array({"re:.*mlp.*"}), "config.contradiction")}) {
    SoundCopy copy(name);
    auto report = with_block(copy, [&](Json& settings) {
      settings["config_groups"]["group_0"]["targets"] = targets;
    });
    CAPTURE(all_of(report));
    CHECK(found_in(report, id));
  }
  SoundCopy patterns(name);  // other spellings of the same
  auto report = with_block(patterns, [](Json& settings) {
    settings["ignore"] = {"re:lm_head"};
    settings["config_groups"]["group_0"]["targets"] = {"re:.*self_attn.*",
                                                       "re:model[.].*mlp"};
    settings["quantization_status"] = "frozen";
  });
  CAPTURE(all_of(report));
  CHECK(!found_in(report, "config.contradiction"));
  CHECK(!found_in(report, "config.invalid-value"));
}

TEST_CASE("FP8: activations are scaled in one of two ways") {
  SoundCopy copy("llama-fp8");
  CHECK(!found_in(headers(copy.path), "config.invalid-value"));
  auto report = with_block(
      copy, [](Json& settings) { settings["activation_scheme"] = "other"; });
  CHECK(found_in(report, "config.invalid-value"));
}

TEST_CASE("FP8: the config names the type of what is not quantized") {
  const auto* id = "quantization.other-type";
  SoundCopy copy("llama-fp8");
  CHECK(!found_in(headers(copy.path), id));
  for (const auto* other : {"bfloat16", "float32", "float64"}) {
    copy.set("config.json", "dtype", other);
    CHECK(found_in(headers(copy.path), id));
  }
  for (const auto* same : {"torch.float16", "auto"}) {
    copy.set("config.json", "dtype", same);
    CHECK(!found_in(headers(copy.path), id));
  }
}
