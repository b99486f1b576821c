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

TEST_CASE("cores of convolutions have both ranks") {
  // lycoris/modules/loha.py and lokr.py: hada_t1 (r, r, k, k), w1_a (r, out),
  // w1_b (r, in); lokr_t2 (r, r, k, k) beside lokr_w2_a (r, b).
  Shapes loha = {{"lora_unet_m.hada_w1_a", {2, 8}},
                 {"lora_unet_m.hada_w1_b", {2, 6}},
                 {"lora_unet_m.hada_w2_a", {2, 8}},
                 {"lora_unet_m.hada_w2_b", {2, 6}},
                 {"lora_unet_m.hada_t1", {2, 2, 3, 3}},
                 {"lora_unet_m.hada_t2", {2, 2, 3, 3}}};
  CHECK(!layout_has(pairs_of(loha), "adapter.rank-mismatch"));
  loha["lora_unet_m.hada_t1"] = {4, 2, 3, 3};
  CHECK(layout_has(pairs_of(loha), "adapter.rank-mismatch"));
  Shapes lokr = {{"lora_unet_m.lokr_w1", {4, 2}},
                 {"lora_unet_m.lokr_w2_a", {3, 16}},
                 {"lora_unet_m.lokr_w2_b", {3, 32}},
                 {"lora_unet_m.lokr_t2", {3, 3, 3, 3}},
                 {"lora_unet_m.dora_scale", {64, 1, 1, 1}}};
  CHECK(size_of(lokr) == std::pair<int64_t, int64_t>(64, 64));
  CHECK(pairs_of(lokr).size() == 1);  // which method it is
  lokr["lora_unet_m.lokr_t2"] = {3, 2, 3, 3};
  CHECK(layout_has(pairs_of(lokr), "adapter.rank-mismatch"));
  lokr["lora_unet_m.lokr_t2"] = {3, 3, 3, 3};
  lokr["lora_unet_m.dora_scale"] = {63, 1, 1, 1};
  CHECK(layout_has(pairs_of(lokr), "adapter.dora"));
}

TEST_CASE("a magnitude has one value an output") {
  const std::string kName = "base_model.model.h.mlp.up_proj.";
  Shapes wide = {{kName + "lora_A.weight", {4, 32}},
                 {kName + "lora_B.weight", {64, 4}},
                 {kName + "lora_magnitude_vector.weight", {64}}};
  CHECK(pairs_of(wide).empty());
  wide[kName + "lora_magnitude_vector.weight"] = {32};
  CHECK(layout_has(pairs_of(wide), "adapter.dora"));
  // LyCORIS along the inputs; kohya's own along the outputs.
  Shapes turned = {{"lora_unet_m.lora_down.weight", {4, 32}},
                   {"lora_unet_m.lora_up.weight", {64, 4}},
                   {"lora_unet_m.dora_scale", {1, 32}}};
  CHECK(!layout_has(pairs_of(turned), "adapter.dora"));
  turned["lora_unet_m.dora_scale"] = {32, 1};
  CHECK(layout_has(pairs_of(turned), "adapter.dora"));
}

namespace {

/** What kohya's scripts save for a module of this size. */
void add_kohya(Shapes& shapes, const std::string& name, Shape size) {
  auto out = size[0], in = size[1];
  shapes["lora_unet_" + name + ".alpha"] = {};
  shapes["lora_unet_" + name + ".lora_down.weight"] = {4, in};
  shapes["lora_unet_" + name + ".lora_up.weight"] = {out, 4};
}

std::vector<Finding> on_modules(const Shapes& shapes,
                                const rules::BaseModules& base,
                                std::string& detail) {
  ShapesFile file(shapes);
  return rules::adapter_base(open_adapter(file.path), base, detail);
}

/** A base of one file, through all the names that it is given. */
rules::BaseModules base_of(const Shapes& shapes) {
  ShapesFile file(shapes);
  return rules::base_modules(file.path);
}

// The UNet of SDXL, one module of each kind, by diffusers' names.
rules::BaseModules sdxl() {
  rules::BaseModules modules;
  for (int block = 0; block < 3; ++block) {
    for (int i = 0; i < 2; ++i) {
      modules[fmt::format("unet.down_blocks.{}.resnets.{}.conv1", block, i)] =
          Shape{8, 8, 3, 3};
    }
  }
  const std::string kAttention = "transformer_blocks.0.attn1.to_q";
  modules["unet.down_blocks.1.attentions.0." + kAttention] = Shape{640, 640};
  modules["unet.down_blocks.1.attentions.1.proj_in"] = Shape{640, 640};
  modules["unet.down_blocks.0.downsamplers.0.conv"] = Shape{8, 8, 3, 3};
  modules["unet.mid_block.attentions.0.proj_in"] = Shape{8, 8};
  modules["unet.mid_block.resnets.1.time_emb_proj"] = Shape{8, 8};
  modules["unet.mid_block.resnets.1.conv2"] = Shape{8, 8, 3, 3};
  modules["unet.up_blocks.0.attentions.2.proj_out"] = Shape{8, 8};
  modules["unet.up_blocks.0.upsamplers.0.conv"] = Shape{8, 8, 3, 3};
  modules["unet.up_blocks.2.resnets.2.conv_shortcut"] = Shape{8, 8, 1, 1};
  modules["unet.add_embedding.linear_1"] = Shape{8, 8};
  return modules;
}

}  // namespace

TEST_CASE("a UNet's modules have their original names too") {
  auto modules = sdxl();
  rules::add_original_names(modules);
  // Those that kohya's map gives for SDXL, and that adapters' lists have.
  for (const auto* name : {"input_blocks.1.0.in_layers.2",
                           "input_blocks.4.1.transformer_blocks.0.attn1.to_q",
                           "input_blocks.5.1.proj_in",
                           "input_blocks.3.0.op",
                           "middle_block.1.proj_in",
                           "middle_block.2.emb_layers.1",
                           "middle_block.2.out_layers.3",
                           "output_blocks.2.1.proj_out",
                           "output_blocks.2.2.conv",
                           "output_blocks.8.0.skip_connection",
                           "label_emb.0.0"}) {
    CAPTURE(name);
    CHECK(modules.contains(name));
  }
  // Of a UNet whose block has no attention the upsampler is the second.
  modules = sdxl();
  modules.erase("unet.up_blocks.0.attentions.2.proj_out");
  rules::add_original_names(modules);
  CHECK(modules.contains("output_blocks.2.1.conv"));
  CHECK(!modules.contains("output_blocks.2.2.conv"));
}

TEST_CASE("a UNet of a single file has diffusers' names too") {
  auto modules = sdxl();
  rules::add_original_names(modules);
  rules::BaseModules file;
  for (const auto& [name, shape] : modules) {
    if (!name.starts_with("unet.")) {
      file["model.diffusion_model." + name] = shape;
    }
  }
  rules::add_diffusers_names(file);
  for (const auto& [name, shape] : sdxl()) {
    CAPTURE(name);
    CHECK(file.contains(name));
  }
}

TEST_CASE("adapters of Stable Diffusion 1 on its single file") {
  testing::SoundCopy kohya("kohya-lora");
  testing::SoundCopy diffusers("diffusers-lora");
  for (const auto* adapter : {&kohya, &diffusers}) {
    std::string detail;
    auto findings = rules::adapter_base(
        open_adapter(adapter->path),
        rules::base_modules(testing::sound("checkpoint-sd1/sd1.safetensors")),
        detail);
    CAPTURE(detail);
    CHECK(detail.starts_with("28 of 28"));
    CHECK(!layout_has(findings, "adapter.base-target"));
  }
}

TEST_CASE("an OpenCLIP text encoder has transformers' names too") {
  const std::string kOld =
      "conditioner.embedders.1.model.transformer.resblocks.0.";
  auto base = base_of({{kOld + "attn.in_proj_weight", {24, 8}},
                       {kOld + "attn.out_proj.weight", {8, 8}},
                       {kOld + "mlp.c_fc.weight", {32, 8}},
                       {kOld + "mlp.c_proj.weight", {8, 32}}});
  const std::string kNew = "lora_te2_text_model_encoder_layers_0_";
  CHECK(base.at(kNew + "self_attn_q_proj") == Shape{8, 8});
  CHECK(base.at(kNew + "self_attn_v_proj") == Shape{8, 8});
  CHECK(base.at(kNew + "mlp_fc1") == Shape{32, 8});
  CHECK(base.at(kNew + "mlp_fc2") == Shape{8, 32});
}

namespace {

// FLUX by diffusers' names and by those of its adapters: the list at the head
// of networks/convert_flux_lora.py (kohya-ss/sd-scripts).
rules::BaseModules flux() {
  rules::BaseModules modules;
  auto double_block = [&](const char* name, Shape shape) {
    modules[fmt::format("transformer.transformer_blocks.0.{}", name)] =
        std::move(shape);
  };
  for (const auto* name : {"to_q", "to_k", "to_v", "to_out.0"}) {
    double_block(fmt::format("attn.{}", name).c_str(), {3072, 3072});
  }
  for (const auto* name :
       {"add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"}) {
    double_block(fmt::format("attn.{}", name).c_str(), {3072, 3072});
  }
  for (const auto* name : {"ff", "ff_context"}) {
    double_block(fmt::format("{}.net.0.proj", name).c_str(), {12288, 3072});
    double_block(fmt::format("{}.net.2", name).c_str(), {3072, 12288});
  }
  double_block("norm1.linear", {18432, 3072});
  double_block("norm1_context.linear", {18432, 3072});
  const std::string kSingle = "transformer.single_transformer_blocks.0.";
  for (const auto* name : {"to_q", "to_k", "to_v"}) {
    modules[kSingle + "attn." + name] = Shape{3072, 3072};
  }
  modules[kSingle + "proj_mlp"] = Shape{12288, 3072};
  modules[kSingle + "proj_out"] = Shape{3072, 15360};
  modules[kSingle + "norm.linear"] = Shape{9216, 3072};
  modules["transformer.x_embedder"] = Shape{3072, 64};
  return modules;
}

Shapes kohya_flux() {
  Shapes shapes;
  for (const auto* half : {"img", "txt"}) {
    auto name = [&](const char* part) {
      return fmt::format("double_blocks_0_{}_{}", half, part);
    };
    add_kohya(shapes, name("attn_proj"), {3072, 3072});
    add_kohya(shapes, name("attn_qkv"), {9216, 3072});
    add_kohya(shapes, name("mlp_0"), {12288, 3072});
    add_kohya(shapes, name("mlp_2"), {3072, 12288});
    add_kohya(shapes, name("mod_lin"), {18432, 3072});
  }
  add_kohya(shapes, "single_blocks_0_linear1", {21504, 3072});
  add_kohya(shapes, "single_blocks_0_linear2", {3072, 15360});
  add_kohya(shapes, "single_blocks_0_modulation_lin", {9216, 3072});
  return shapes;
}

// Names with dots as kohya writes them.
rules::BaseModules underscored(const rules::BaseModules& modules) {
  auto more = modules;
  for (const auto& [name, shape] : modules) {
    auto flat = "lora_unet_" + name;
    std::ranges::replace(flat, '.', '_');
    more.emplace(flat, shape);
  }
  return more;
}

}  // namespace

TEST_CASE("FLUX's original names join what diffusers has apart") {
  auto modules = flux();
  rules::add_original_names(modules);
  CHECK(modules["double_blocks.0.img_attn.qkv"] == Shape{9216, 3072});
  CHECK(modules["single_blocks.0.linear1"] == Shape{21504, 3072});
  CHECK(modules["img_in"] == Shape{3072, 64});
  auto base = underscored(modules);
  std::string detail;
  CHECK(on_modules(kohya_flux(), base, detail).empty());
  CHECK(detail == "13 of 13 modules");
  auto broken = kohya_flux();
  add_kohya(broken, "double_blocks_0_img_attn_qkv", {3072, 3072});
  CHECK(layout_has(on_modules(broken, base, detail), "adapter.base-shape"));
  broken = kohya_flux();
  add_kohya(broken, "double_blocks_1_img_attn_qkv", {9216, 3072});
  CHECK(layout_has(on_modules(broken, base, detail), "adapter.base-target"));
  // XLabs: (src/flux/modules/layers.py), queries, keys and values of linear1.
  Shapes xlabs;
  auto add = [&](const char* name, int64_t out, int64_t in) {
    xlabs[fmt::format("{}.down.weight", name)] = {16, in};
    xlabs[fmt::format("{}.up.weight", name)] = {out, 16};
  };
  add("double_blocks.0.processor.qkv_lora1", 9216, 3072);
  add("double_blocks.0.processor.qkv_lora2", 9216, 3072);
  add("double_blocks.0.processor.proj_lora1", 3072, 3072);
  add("double_blocks.0.processor.proj_lora2", 3072, 3072);
  add("single_blocks.0.processor.qkv_lora", 9216, 3072);
  add("single_blocks.0.processor.proj_lora", 3072, 15360);
  CHECK(on_modules(xlabs, modules, detail).empty());
  CHECK(detail == "6 of 6 modules");
}

TEST_CASE("names of a layout that the base has not are no defect") {
  // By diffusers' names, on a file that has only the original ones.
  auto modules = flux();
  rules::add_original_names(modules);
  std::erase_if(modules, [](const auto& one) {
    return one.first.starts_with("transformer.");
  });
  const std::string kName = "transformer.transformer_blocks.0.attn.to_q.";
  std::string detail;
  Shapes shapes = {{kName + "lora_A.weight", {4, 3072}},
                   {kName + "lora_B.weight", {3072, 4}}};
  CHECK(on_modules(shapes, modules, detail).empty());
  CHECK(detail.find("diffusers") != std::string::npos);
  // The same name on another transformer is one.
  CHECK(layout_has(on_modules(shapes, sdxl(), detail), "adapter.base-target"));
}

TEST_CASE("Stable Diffusion 3 and Lumina 2 have their original names too") {
  rules::BaseModules modules;
  const std::string kBlock = "transformer.transformer_blocks.0.";
  for (const auto* name :
       {"to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"}) {
    modules[kBlock + "attn." + name] = Shape{64, 64};
  }
  modules[kBlock + "ff_context.net.2"] = Shape{64, 256};
  modules["transformer.pos_embed.proj"] = Shape{64, 16, 2, 2};
  rules::add_original_names(modules);
  CHECK(modules["joint_blocks.0.x_block.attn.qkv"] == Shape{192, 64});
  CHECK(modules["joint_blocks.0.context_block.attn.qkv"] == Shape{192, 64});
  CHECK(modules["joint_blocks.0.context_block.mlp.fc2"] == Shape{64, 256});
  CHECK(modules.contains("x_embedder.proj"));
  rules::BaseModules lumina;
  lumina["time_caption_embed.caption_embedder.1"] = Shape{2304, 2304};
  lumina["layers.3.attn.to_q"] = Shape{2304, 2304};
  lumina["layers.3.attn.to_k"] = Shape{768, 2304};
  lumina["layers.3.attn.to_v"] = Shape{768, 2304};
  lumina["context_refiner.1.feed_forward.linear_3"] = Shape{9216, 2304};
  rules::add_original_names(lumina);
  CHECK(lumina["layers.3.attention.qkv"] == Shape{3840, 2304});
  CHECK(lumina.contains("context_refiner.1.feed_forward.w3"));
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

TEST_CASE("as deep as Lumina and PixArt were published") {
  auto with = [](Shapes shapes, const std::string& stack, int blocks) {
    for (int i = 0; i < blocks; ++i) {
      shapes[fmt::format("{}.{}.norm.weight", stack, i)] = {1};
    }
    return shapes;
  };
  auto deep = [](const Shapes& shapes) {
    ShapesFile file(shapes);
    return !layout_has(headers(file.path).findings, "checkpoint.depth");
  };
  Shapes lumina = {{"cap_embedder.0.weight", {1}},
                   {"cap_embedder.1.weight", {2304, 1}},
                   {"x_embedder.weight", {2304, 1}}};
  lumina = with(with(lumina, "noise_refiner", 2), "context_refiner", 2);
  CHECK(deep(with(lumina, "layers", 26)));
  CHECK(!deep(with(lumina, "layers", 25)));
  lumina.erase("context_refiner.1.norm.weight");
  CHECK(!deep(with(lumina, "layers", 26)));
  Shapes pixart = {{"x_embedder.proj.weight", {1152, 1, 2, 2}},
                   {"t_block.1.weight", {6912, 1}},
                   {"y_embedder.y_proj.fc1.weight", {1152, 1}},
                   {"blocks.0.cross_attn.kv_linear.weight", {2304, 1152}}};
  CHECK(deep(with(pixart, "blocks", 28)));
  CHECK(!deep(with(pixart, "blocks", 27)));
}
