// The last file of this program by its name: after all other tests, every id
// that check can report must have been fired by a planted defect. What counts
// is what reports held, not what any source says.

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/against.h"
#include "assay/check/profile.h"
#include "assay/core/catalogue.h"

#include "../inspect/model_copy.h"
#include "sound_copy.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

/** A llama with a tokenizer for all its rows. */
struct Llama : ModelCopy {
  Llama() : ModelCopy("llama") {
    add_tokenizer(256);
    auto config = parse_json(read_text(path / "config.json"), "config.json");
    edit("tokenizer_config.json", [&](Json& settings) {
      settings["eos_token"] =
          fmt::format("w{}", config["eos_token_id"].get<int>());
    });
  }
};

void fires(const CheckReport& report, std::string_view id) {
  CAPTURE(std::string(id));
  CAPTURE(all_of(report));
  CHECK(std::ranges::any_of(report.findings,
                            [&](const auto& one) { return one.id == id; }));
}

/** Bytes of a protocol buffer's field. */
std::string field(int number, std::string_view bytes) {
  return std::string{static_cast<char>(number << 3 | 2),
                     static_cast<char>(bytes.size())} +
         std::string(bytes);
}

/** Two tensors of one value each. */
std::string onnx_model(char version, char type, char size, char second) {
  auto tensor = [&](char name) {
    return std::string{'\x08', size, '\x10', type} +
           field(8, std::string(1, name)) + field(9, "\1\2\3\4");
  };
  auto graph = field(5, tensor('a')) + field(5, tensor(second));
  return std::string{'\x08', version} + field(8, "\x10\x11") + field(7, graph);
}

/** Read by other rooms, whose tests fire them one by one (test/formats,
 * test/core, test/text), or reported by other verbs than check. */
constexpr auto kOtherRooms = std::to_array<std::string_view>(
    {"gguf.",       "safetensors.", "zip.",          "index.",   "json.",
     "file.",       "model.",       "pickle.",       "torch.",   "project.",
     "context.",    "convert.",     "quantize.",     "measure.", "generate.",
     "fit.",        "mcp.",         "doctor.",       "draft.",   "memory.",
     "results.",    "recall.",      "prompt-cache.", "clock.",   "decision.",
     "diagnostic.", "document.",    "env.",          "fix.",     "naming.",
     "output.",     "result.",      "rules.",        "session.", "settings.",
     "speed.",      "task.",        "http."});

/** The same, one by one: types and tokenizers that readers refuse, loops of
 * folders (scan_test.cpp), faults of Assay itself. */
constexpr auto kElsewhere =
    std::to_array<std::string_view>({"forward.failed",
                                     "inference.decode-differs",
                                     "internal.failure",
                                     "scan.limit",
                                     "scan.loop",
                                     "template.unusable",
                                     "tensor.dtype-unsupported",
                                     "tokenizer.failed",
                                     "tokenizer.pre-assumed",
                                     "tokenizer.unsupported"});

/** Planted one by one in test/defects (the test check_defects) or in
 * test/diagnose. */
constexpr auto kPlanted =
    std::to_array<std::string_view>({"component.no-config",
                                     "component.no-tokenizer",
                                     "component.tensor-missing",
                                     "component.tensor-unexpected",
                                     "quantization.contradiction",
                                     "scheduler.other-choice",
                                     "scheduler.unknown-class",
                                     "template.misplaced",
                                     "tensor.repeated",
                                     "tensor.zero-rows"});

bool of_other_rooms(std::string_view id) {
  return std::ranges::find(kElsewhere, id) != kElsewhere.end() ||
         std::ranges::find(kPlanted, id) != kPlanted.end() ||
         std::ranges::any_of(
             kOtherRooms, [&](auto prefix) { return id.starts_with(prefix); });
}

}  // namespace

TEST_CASE("planted: types and quantization") {
  const std::string weight = "model.layers.0.self_attn.q_proj.weight";
  Llama named;
  named.edit_config([](Json& config) { config["dtype"] = "float16"; });
  fires(headers(named.path), "dtype.differs");
  Llama absent;
  absent.edit_config([](Json& config) {
    config.erase("dtype");
    config.erase("torch_dtype");
  });
  absent.edit_tensors([](ModelCopy::Tensors& tensors) {
    for (auto& [name, tensor] : tensors) {
      tensor.entry.dtype = DType::bf16;
    }
  });
  fires(headers(absent.path), "dtype.absent");
  Llama bytes;
  bytes.edit_tensors([&](ModelCopy::Tensors& tensors) {
    tensors[weight].entry.dtype = DType::u8;
  });
  fires(headers(bytes.path), "tensor.f8-as-bytes");
  Llama large;
  fs::remove(large.path / "tokenizer.json");
  large.edit_tensors(
      [&](ModelCopy::Tensors& tensors) { tensors[weight].set(0, 1e5f); });
  fires(checked(large.path), "dtype.float16-overflow");
  Llama gptq;
  gptq.edit_config([](Json& config) {
    config["quantization_config"] = {
        {"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}};
  });
  auto pack = [&](bool zeros, Shape shape) {
    gptq.edit_tensors([&](ModelCopy::Tensors& tensors) {
      auto add = [&](const char* leaf, DType dtype, Shape size) {
        auto& tensor =
            tensors["model.layers.0.self_attn.q_proj" + std::string(leaf)];
        tensor.entry.dtype = dtype;
        tensor.entry.shape = std::move(size);
      };
      tensors.erase(weight);
      add(".qweight", DType::i32, {8, 64});
      add(".scales", DType::f16, {2, 64});
      if (zeros) {
        add(".qzeros", DType::i32, shape);
      }
    });
    return headers(gptq.path);
  };
  fires(pack(false, {}), "quantization.part-missing");
  fires(pack(true, {3, 8}), "quantization.parts-mismatch");
}

TEST_CASE("planted: tokens and templates") {
  Llama pad;
  pad.edit("tokenizer_config.json",
           [](Json& settings) { settings["pad_token"] = "w0"; });
  fires(headers(pad.path), "special-token.pad-unk");
  Llama beside;
  beside.write("added_tokens.json", R"({"<s0>": 7})");
  fires(headers(beside.path), "tokenizer.disagrees");
  Llama twice;
  twice.edit("tokenizer.json",
             [](Json& tokenizer) { tokenizer["added_tokens"][0]["id"] = 1; });
  fires(headers(twice.path), "tokenizer.id-collision");
  Llama marker;
  marker.write("chat_template.jinja",
               "{% for m in messages %}<|im_start|>{{ m.content }}"
               "{% endfor %}");
  fires(checked(marker.path), "template.unknown-marker");
  Llama begin;
  begin.edit("tokenizer_config.json",
             [](Json& settings) { settings["bos_token"] = "<s1>"; });
  begin.edit_config([](Json& config) { config["bos_token_id"] = 254; });
  begin.write("chat_template.jinja",
              "<s1> <s1> {% for m in messages %}{{ m.content }} {% endfor %}");
  fires(checked(begin.path), "template.bos-twice");
}

TEST_CASE("planted: ONNX") {
  SoundCopy copy("onnx");
  auto look = [&](const std::string& bytes) {
    write_text(copy.path / "model.onnx", bytes);
    return headers(copy.path);
  };
  auto whole = look(onnx_model(8, 1, 1, 'b'));
  CAPTURE(all_of(whole));
  CHECK(whole.verdict == Verdict::sound);
  fires(look(onnx_model(8, 1, 1, 'a')), "onnx.duplicate");
  fires(look(onnx_model(0, 1, 1, 'b')), "onnx.version");
  fires(look(onnx_model(8, 99, 1, 'b')), "onnx.tensor");
  fires(look(onnx_model(8, 1, 2, 'b')), "onnx.tensor-size");
}

TEST_CASE("planted: an embedding model with code of its own") {
  SoundCopy copy("sentence-transformers");
  auto modules =
      parse_json(read_text(copy.path / "modules.json"), "modules.json");
  modules.back()["type"] = "custom_module.Normalize";
  write_text(copy.path / "modules.json", to_text(modules));
  fires(headers(copy.path), "embedding.foreign-code");
}

TEST_CASE("planted: differences from a good model") {
  auto differs = [](const std::function<void(Llama&)>& change) {
    Llama good, model;
    good.write("generation_config.json",
               R"({"temperature": 0.7, "eos_token_id": 2})");
    model.write("generation_config.json",
                R"({"temperature": 0.7, "eos_token_id": 2})");
    change(model);
    auto findings = compare_with(profile_of(model.path), profile_of(good.path));
    note_fired(findings);
    return findings;
  };
  CHECK(differs([](Llama&) {}).empty());
  auto one = [&](const std::function<void(Llama&)>& change,
                 std::string_view id) {
    CAPTURE(std::string(id));
    auto findings = differs(change);
    CHECK(std::ranges::any_of(
        findings, [&](const auto& finding) { return finding.id == id; }));
  };
  one([](Llama& model) { fs::remove(model.path / "tokenizer.json"); },
      "against.file-missing");
  one(
      [](Llama& model) {
        model.write("generation_config.json",
                    R"({"temperature": 1.7, "eos_token_id": 2})");
      },
      "against.generation");
  one(
      [](Llama& model) {
        model.edit_tensors([](ModelCopy::Tensors& tensors) {
          tensors["model.extra.weight"] = tensors["model.norm.weight"];
        });
      },
      "against.tensor-extra");
  one(
      [](Llama& model) {
        model.edit_config([](Json& config) { config["logit_bias"] = 3; });
      },
      "against.field-extra");
  CHECK_THROWS_AS(profile_from_json(Json::object(), "x.json"), Error);
  try {
    profile_from_json(Json::object(), "x.json");
  } catch (const Error& error) {
    note_fired({error.finding()});
  }
}

TEST_CASE("every id that check reports was fired, and sound models stay so") {
  if (sound_reports() < 100) {  // only some of the tests were run
    MESSAGE("not all tests were run: the catalogue is not looked at");
    return;
  }
  std::vector<std::string_view> silent;
  for (const auto& entry : catalogue()) {
    if (!of_other_rooms(entry.id) &&
        !fired_ids().contains(std::string(entry.id))) {
      silent.push_back(entry.id);
    }
  }
  CAPTURE(fmt::format("{}", fmt::join(silent, ", ")));
  CHECK(silent.empty());
}
