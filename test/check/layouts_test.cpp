// Adapters of other methods and with the names of the original code bases, and
// the widths that run through single-file transformers.

#include <algorithm>

#include <doctest/doctest.h>

#include "assay/check/adapter.h"

#include "sound_copy.h"
#include "weights.h"

using namespace assay;
using assay::testing::headers;
namespace fs = std::filesystem;

namespace {

using Shapes = std::map<std::string, Shape>;

/** A file of zeros in these shapes. */
struct ShapesFile {
  explicit ShapesFile(const Shapes& shapes) {
    static int count = 0;
    path = fs::path(ASSAY_BUILD_DIR) / "test-models" /
           fmt::format(
               "shapes-{}-{}.safetensors", platform::process_id(), ++count);
    fs::create_directories(path.parent_path());
    std::vector<SafetensorsWriter::Entry> entries;
    for (const auto& [name, shape] : shapes) {
      entries.push_back({name, DType::f16, shape});
    }
    SafetensorsWriter writer(path, entries, {});
    for (const auto& [name, shape] : shapes) {
      writer.write(std::vector<std::byte>(2 * *element_count(shape)));
    }
    writer.commit();
  }
  ~ShapesFile() { fs::remove(path); }
  ShapesFile(const ShapesFile&) = delete;
  ShapesFile& operator=(const ShapesFile&) = delete;

  fs::path path;
};

bool layout_has(const std::vector<Finding>& findings, std::string_view id) {
  return std::ranges::any_of(findings,
                             [&](const auto& one) { return one.id == id; });
}

std::vector<Finding> pairs_of(const Shapes& shapes) {
  ShapesFile file(shapes);
  return rules::adapter_pairs(open_adapter(file.path));
}

std::pair<int64_t, int64_t> size_of(const Shapes& shapes) {
  ShapesFile file(shapes);
  auto adapter = open_adapter(file.path);
  REQUIRE(adapter.modules.size() == 1);
  REQUIRE(adapter.modules[0].out);
  REQUIRE(adapter.modules[0].in);
  return {*adapter.modules[0].out, *adapter.modules[0].in};
}

}  // namespace

TEST_CASE("LoHa: two products of one size and rank") {
  Shapes sound = {{"m.hada_w1_a", {8, 2}},
                  {"m.hada_w1_b", {2, 6}},
                  {"m.hada_w2_a", {8, 2}},
                  {"m.hada_w2_b", {2, 6}},
                  {"m.alpha", {}}};
  CHECK(size_of(sound) == std::pair<int64_t, int64_t>(8, 6));
  CHECK(!layout_has(pairs_of(sound), "adapter.rank-mismatch"));
  CHECK(!layout_has(pairs_of(sound), "adapter.incomplete"));
  auto broken = sound;
  broken["m.hada_w2_b"] = {3, 6};
  CHECK(layout_has(pairs_of(broken), "adapter.rank-mismatch"));
  broken = sound;
  broken.erase("m.hada_w2_a");
  CHECK(layout_has(pairs_of(broken), "adapter.incomplete"));
  // With a core the first factor is turned round.
  Shapes core = {{"m.hada_w1_a", {2, 8}},
                 {"m.hada_w1_b", {2, 6}},
                 {"m.hada_w2_a", {2, 8}},
                 {"m.hada_w2_b", {2, 6}},
                 {"m.hada_t1", {2, 2, 3, 3}},
                 {"m.hada_t2", {2, 2, 3, 3}}};
  CHECK(size_of(core) == std::pair<int64_t, int64_t>(8, 6));
  CHECK(!layout_has(pairs_of(core), "adapter.rank-mismatch"));
  core.erase("m.hada_t2");
  CHECK(layout_has(pairs_of(core), "adapter.incomplete"));
}

TEST_CASE("LoKr: a Kronecker product of two matrices") {
  Shapes sound = {{"m.lokr_w1", {4, 2}},
                  {"m.lokr_w2_a", {16, 3}},
                  {"m.lokr_w2_b", {3, 32}}};
  CHECK(size_of(sound) == std::pair<int64_t, int64_t>(64, 64));
  CHECK(!layout_has(pairs_of(sound), "adapter.rank-mismatch"));
  auto broken = sound;
  broken["m.lokr_w2_b"] = {4, 32};
  CHECK(layout_has(pairs_of(broken), "adapter.rank-mismatch"));
  broken = sound;
  broken.erase("m.lokr_w1");
  CHECK(layout_has(pairs_of(broken), "adapter.incomplete"));
}

TEST_CASE("a UNet's modules have their original names too") {
  rules::BaseModules modules;
  for (int block = 0; block < 3; ++block) {
    for (int i = 0; i < 2; ++i) {
      modules[fmt::format("unet.down_blocks.{}.resnets.{}.conv1", block, i)] =
          Shape{8, 8, 3, 3};
    }
  }
  modules["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"] =
      Shape{640, 640};
  modules["unet.down_blocks.0.downsamplers.0.conv"] = Shape{8, 8, 3, 3};
  modules["unet.mid_block.attentions.0.proj_in"] = Shape{8, 8};
  modules["unet.mid_block.resnets.1.time_emb_proj"] = Shape{8, 8};
  modules["unet.up_blocks.0.attentions.2.proj_out"] = Shape{8, 8};
  modules["unet.up_blocks.0.upsamplers.0.conv"] = Shape{8, 8, 3, 3};
  modules["unet.add_embedding.linear_1"] = Shape{8, 8};
  rules::add_original_names(modules);
  for (const auto* name : {"input_blocks.1.0.in_layers.2",
                           "input_blocks.4.1.transformer_blocks.0.attn1.to_q",
                           "input_blocks.3.0.op",
                           "middle_block.1.proj_in",
                           "middle_block.2.emb_layers.1",
                           "output_blocks.2.1.proj_out",
                           "output_blocks.2.2.conv",
                           "label_emb.0.0"}) {
    CAPTURE(name);
    CHECK(modules.contains(name));
  }
}

TEST_CASE("FLUX's original names join what diffusers has apart") {
  rules::BaseModules modules;
  for (const auto* name : {"to_q", "to_k", "to_v"}) {
    modules[fmt::format("transformer.transformer_blocks.0.attn.{}", name)] =
        Shape{3072, 3072};
    modules[fmt::format("transformer.single_transformer_blocks.0.attn.{}",
                        name)] = Shape{3072, 3072};
  }
  modules["transformer.single_transformer_blocks.0.proj_mlp"] =
      Shape{12288, 3072};
  modules["transformer.x_embedder"] = Shape{3072, 64};
  rules::add_original_names(modules);
  REQUIRE(modules.contains("double_blocks.0.img_attn.qkv"));
  CHECK(modules["double_blocks.0.img_attn.qkv"] == Shape{9216, 3072});
  CHECK(modules["single_blocks.0.linear1"] == Shape{21504, 3072});
  CHECK(modules["img_in"] == Shape{3072, 64});
}

TEST_CASE("target_modules as a regular expression") {
  testing::SoundCopy copy("peft-lora");
  fs::copy(testing::sound("llama"), copy.folder / "llama");
  copy.set("adapter_config.json",
           "target_modules",
           ".*\\.(q_proj|v_proj|down_proj)$");
  testing::is_sound(copy.path);
  copy.set("adapter_config.json", "target_modules", ".*\\.(q_proj|v_proj)$");
  testing::names(copy, "adapter.target-unlisted");
  copy.set("adapter_config.json", "target_modules", "(?!x).*");
  CHECK(layout_has(headers(copy.path).findings, "adapter.pattern-unread"));
}

TEST_CASE("one width runs through Wan, Lumina and PixArt") {
  Shapes wan = {{"patch_embedding.weight", {32, 16, 1, 2, 2}},
                {"text_embedding.0.weight", {32, 64}},
                {"text_embedding.2.weight", {32, 32}},
                {"time_embedding.0.weight", {32, 16}},
                {"time_embedding.2.weight", {32, 32}},
                {"time_projection.1.weight", {192, 32}},
                {"head.head.weight", {64, 32}},
                {"head.modulation", {1, 2, 32}},
                {"blocks.0.self_attn.q.weight", {32, 32}},
                {"blocks.0.self_attn.o.weight", {32, 32}},
                {"blocks.0.ffn.0.weight", {48, 32}},
                {"blocks.0.ffn.2.weight", {32, 48}}};
  ShapesFile sound(wan);
  CHECK(!layout_has(headers(sound.path).findings, "checkpoint.disagreement"));
  for (const auto* name : {"time_projection.1.weight",
                           "head.head.weight",
                           "blocks.0.ffn.2.weight",
                           "blocks.0.self_attn.q.weight"}) {
    auto broken = wan;
    broken[name].back() += 8;
    broken[name].front() += 8;
    ShapesFile file(broken);
    CAPTURE(name);
    CHECK(layout_has(headers(file.path).findings, "checkpoint.disagreement"));
  }
  wan.erase("text_embedding.2.weight");
  ShapesFile missing(wan);
  CHECK(
      layout_has(headers(missing.path).findings, "checkpoint.tensor-missing"));
}
