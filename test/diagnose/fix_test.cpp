// What the files prove is repaired; what they do not is left, with the reason.
// A repair never puts a value that was not there before the defect was planted.

#include "assay/diagnose/fix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <doctest/doctest.h>

#include "assay/core/catalogue.h"
#include "assay/formats/model_files.h"
#include "assay/text/tokenizer.h"

#include "../check/sound_copy.h"
#include "../check/weights.h"
#include "../inspect/model_copy.h"

using namespace assay;
using assay::testing::ModelCopy;
using assay::testing::SoundCopy;
using assay::testing::Weights;
namespace fs = std::filesystem;

namespace {

FixOptions headers_only() {
  FixOptions options;
  options.check.headers_only = true;
  return options;
}

FixReport dry_run(const fs::path& path) {
  return fix(path, headers_only());
}

Json read(const fs::path& file) {
  return parse_json(read_text(file), file.string());
}

std::string told(const FixReport& report) {
  std::string text = diff_of(report);
  for (const auto& one : report.untouched) {
    text += to_line(one.finding) + "\n  " + one.why + "\n";
  }
  for (const auto& one : report.after.findings) {
    text += "after: " + to_line(one) + "\n";
  }
  return text;
}

const FileChange* change_of(const FixReport& report, const fs::path& file) {
  auto change = std::ranges::find_if(report.changes, [&](const auto& one) {
    return one.to == file || one.from == file;
  });
  return change == report.changes.end() ? nullptr : &*change;
}

bool gone(const FixReport& report, std::string_view id) {
  return std::ranges::any_of(report.gone,
                             [&](const auto& one) { return one.id == id; });
}

bool left(const FixReport& report, std::string_view id) {
  return std::ranges::any_of(report.untouched, [&](const auto& one) {
    return one.finding.id == id && !one.why.empty();
  });
}

/** The text of a document after the repair is what it was before the defect. */
void restores(const fs::path& model,
              const std::string& file,
              const std::string& sound,
              std::string_view id) {
  auto report = dry_run(model);
  CAPTURE(told(report));
  CAPTURE(std::string(id));
  const auto* change = change_of(report, file);
  REQUIRE(change != nullptr);
  CHECK(change->after == sound);
  CHECK(gone(report, id));
  CHECK(report.result.empty());
}

/** The numbers as float32, in the order of the rows. */
Weights::Tensor float_tensor(const std::vector<std::vector<float>>& rows) {
  Weights::Tensor tensor{DType::f32,
                         {static_cast<int64_t>(rows.size()),
                          static_cast<int64_t>(rows.front().size())},
                         ""};
  for (const auto& row : rows) {
    tensor.data.append(reinterpret_cast<const char*>(row.data()),
                       row.size() * sizeof(float));
  }
  return tensor;
}

/** Makes of a llama a table of pairs of tokens: what the layers add is nothing,
 * the embedding says which token it is (rare ones share the last place), the
 * head how likely each is to follow it in some English text. */
void predict_by_pairs(const fs::path& folder, Weights& weights) {
  auto ids = load_tokenizer(open_model(folder))
                 .encode(
                     "We eat bread and butter in the morning. The children "
                     "play in the garden with their dog, and at night they "
                     "sleep in their beds. People who work in the town go "
                     "there by train; the others walk to the fields. When "
                     "the sun goes down, the day is over, and each of them "
                     "sits at the table to read and to talk.");
  const auto& shape = weights.tensors.at("lm_head.weight").shape;
  auto rows = static_cast<size_t>(shape[0]);
  auto width = static_cast<size_t>(shape[1]);
  std::map<int32_t, size_t> counts;
  for (auto id : ids) {
    ++counts[id];
  }
  std::vector<std::pair<size_t, int32_t>> frequent;
  for (auto [id, count] : counts) {
    frequent.emplace_back(count, id);
  }
  std::ranges::sort(frequent, std::ranges::greater{});
  std::vector<size_t> place(rows, width - 1);
  for (size_t i = 0; i < std::min(width - 1, frequent.size()); ++i) {
    place.at(static_cast<size_t>(frequent[i].second)) = i;
  }
  constexpr float kUnseen = 0.01F;
  std::vector<std::vector<float>> pairs(rows,
                                        std::vector<float>(width, kUnseen));
  std::vector<float> all(width, kUnseen * static_cast<float>(rows));
  for (size_t i = 1; i < ids.size(); ++i) {
    auto before = place.at(static_cast<size_t>(ids[i - 1]));
    pairs.at(static_cast<size_t>(ids[i]))[before] += 1;
    all[before] += 1;
  }
  std::vector<std::vector<float>> embedding(rows, std::vector<float>(width, 0));
  for (size_t row = 0; row < rows; ++row) {
    embedding[row][place[row]] = 1;
    for (size_t at = 0; at < width; ++at) {
      // The norm makes the one of the embedding the root of the width.
      pairs[row][at] = std::log(pairs[row][at] / all[at]) /
                       std::sqrt(static_cast<float>(width));
    }
  }
  for (auto& [name, tensor] : weights.tensors) {
    if (name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight")) {
      std::ranges::fill(tensor.data, '\0');
    }
  }
  weights.tensors["model.embed_tokens.weight"] = float_tensor(embedding);
  weights.tensors["lm_head.weight"] = float_tensor(pairs);
  weights.tensors["model.norm.weight"] =
      float_tensor({std::vector<float>(width, 1)});
  weights.tensors["model.norm.weight"].shape = {static_cast<int64_t>(width)};
}

std::vector<std::string> whole_numbers(const Json& config) {
  std::vector<std::string> fields;
  for (const auto& [key, value] : config.items()) {
    if (value.is_number_integer() && value.get<int64_t>() > 0 &&
        !key.ends_with("_token_id")) {
      fields.push_back(key);
    }
  }
  return fields;
}

}  // namespace

TEST_CASE("every repair has an entry of the catalogue, and says what it does") {
  CHECK(repairs().size() > 20);
  for (const auto& repair : repairs()) {
    CAPTURE(std::string(repair.id));
    CHECK(find_entry(repair.id) != nullptr);
    CHECK(find_repair(repair.id) == &repair);
    CHECK(!repair.what.empty());
  }
  CHECK(find_repair("tensor.not-finite") == nullptr);
}

TEST_CASE("a sound model is left alone") {
  ModelCopy copy("llama");
  auto report = dry_run(copy.path);
  CHECK(report.changes.empty());
  CHECK(report.gone.empty());
  CHECK(!fs::exists(copy.path.string() + "-fixed"));
}

TEST_CASE("a wrong size is restored, or left where two explain it") {
  size_t restored = 0;
  for (const auto* architecture :
       {"llama", "qwen3_moe", "gpt2", "gemma3_text", "deepseek_v3"}) {
    ModelCopy copy(architecture);
    auto sound = read_text(copy.path / "config.json");
    auto config = read(copy.path / "config.json");
    for (const auto& field : whole_numbers(config)) {
      auto value = config[field].get<int64_t>();
      for (auto wrong : {2 * value, value + 1}) {
        write_text(copy.path / "config.json", sound);
        copy.edit_config([&](Json& json) { json[field] = wrong; });
        auto planted = read_text(copy.path / "config.json");
        auto report = dry_run(copy.path);
        CAPTURE(architecture);
        CAPTURE(field);
        CAPTURE(wrong);
        CAPTURE(told(report));
        const auto* change = change_of(report, "config.json");
        if (change != nullptr) {
          // One line differs, and it is as it was.
          CHECK(parse_json(change->after, "after")[field] == value);
          CHECK(parse_json(change->after, "after") == config);
          ++restored;
        }
      }
    }
  }
  CHECK(restored > 40);
}

TEST_CASE("sizes of llama: which are proven") {
  ModelCopy copy("llama");
  auto sound = read(copy.path / "config.json");
  for (auto [field, wrong] : {std::pair("num_hidden_layers", 3),
                              std::pair("num_hidden_layers", 1),
                              std::pair("hidden_size", 96),
                              std::pair("intermediate_size", 128),
                              std::pair("vocab_size", 300),
                              std::pair("num_key_value_heads", 4),
                              std::pair("num_attention_heads", 8),
                              std::pair("head_dim", 32)}) {
    copy.edit_config([&](Json& json) { json[field] = wrong; });
    restores(copy.path,
             "config.json",
             to_text(sound),
             std::string_view(field) == "num_hidden_layers" && wrong == 1
                 ? "tensor.unexpected"
             : std::string_view(field) == "num_hidden_layers"
                 ? "tensor.missing"
                 : "shape.mismatch");
    copy.edit_config([&](Json& json) { json[field] = sound[field]; });
  }
}

TEST_CASE("heads without head_dim have two explanations, and stay") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& json) {
    json.erase("head_dim");
    json["num_attention_heads"] = 8;
  });
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(report.changes.empty());
  CHECK(left(report, "shape.mismatch"));
}

TEST_CASE("an absent size is found where the tensors show it") {
  ModelCopy copy("llama");
  auto sound = read(copy.path / "config.json");
  for (const auto* field : {"num_hidden_layers",
                            "hidden_size",
                            "intermediate_size",
                            "vocab_size"}) {
    copy.edit_config([&](Json& json) { json.erase(field); });
    auto report = dry_run(copy.path);
    CAPTURE(field);
    CAPTURE(told(report));
    const auto* change = change_of(report, "config.json");
    bool defaulted = report.before.findings.size() <= 1 && change == nullptr;
    if (!defaulted) {
      REQUIRE(change != nullptr);
      CHECK(parse_json(change->after, "after")[field] == sound[field]);
    }
    copy.edit_config([&](Json& json) { json = sound; });
  }
}

TEST_CASE("an absent number of key heads is put back, as the tensors show it") {
  for (const auto* name : {"llama", "mistral", "qwen2", "qwen3", "phi3"}) {
    CAPTURE(name);
    ModelCopy copy(name);
    auto sound = read(copy.path / "config.json");
    REQUIRE(sound["num_key_value_heads"] < sound["num_attention_heads"]);
    copy.edit_config([](Json& json) { json.erase("num_key_value_heads"); });
    auto report = dry_run(copy.path);
    CAPTURE(told(report));
    const auto* change = change_of(report, "config.json");
    REQUIRE(change != nullptr);
    // Put back at the end: nlohmann::json compares without the order.
    CHECK(nlohmann::json::parse(change->after) ==
          nlohmann::json::parse(to_text(sound)));
    CHECK(gone(report, "shape.mismatch"));
  }
}

TEST_CASE("an absent number of key heads beside another defect stays absent") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& json) { json.erase("num_key_value_heads"); });
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    REQUIRE(tensors.erase("model.layers.0.self_attn.k_proj.weight") == 1);
  });
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(report.changes.empty());
  CHECK(left(report, "shape.mismatch"));
}

TEST_CASE("an absent number that no tensor shows stays absent") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& json) { json.erase("rms_norm_eps"); });
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(report.changes.empty());
  CHECK(left(report, "config.missing-field"));
}

TEST_CASE("a head that is not there is tied") {
  ModelCopy copy("llama");
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    REQUIRE(tensors.erase("lm_head.weight") == 1);
  });
  copy.edit_config([](Json& json) { json["tie_word_embeddings"] = false; });
  auto sound = read(copy.path / "config.json");
  sound["tie_word_embeddings"] = true;
  restores(copy.path, "config.json", to_text(sound), "head.missing");
}

TEST_CASE(
    "a flag that ties a head of its own is taken back where a run proves") {
  SoundCopy copy("llama");
  copy.set("config.json", "tie_word_embeddings", true);
  auto run = [&](const FixOptions& options) { return fix(copy.path, options); };
  // Neither head says anything of a text: no proof.
  auto unproven = run({});
  CHECK(unproven.changes.empty());
  CHECK(left(unproven, "head.tied-differs"));
  // The stored head predicts each token by the one before it.
  Weights weights(copy.path / "model.safetensors");
  predict_by_pairs(copy.path, weights);
  weights.save();
  copy.set("config.json", "dtype", "float32");
  auto unasked = run(headers_only());
  CAPTURE(told(unasked));
  CHECK(unasked.changes.empty());
  CHECK(left(unasked, "head.tied-differs"));
  FixOptions in_place;
  in_place.write = FixOptions::Write::in_place;
  auto report = run(in_place);
  REQUIRE(report.changes.size() == 1);
  CHECK(read(copy.path / "config.json")["tie_word_embeddings"] == false);
  CHECK(read(report.backup / "config.json")["tie_word_embeddings"] == true);
  CHECK(gone(report, "head.tied-differs"));
  // The same head, and a flag that is right: it stays.
  CHECK(run({}).changes.empty());
}

TEST_CASE("both spellings of a config are repaired in their own") {
  ModelCopy copy("llama");
  auto older = fs::path(ASSAY_TEST_DIR) / "golden/arch/llama/config.v4.json";
  auto sound = read(older);
  write_text(copy.path / "config.json", to_text(sound));
  copy.edit_config([](Json& json) {
    json["hidden_size"] = 96;
    json["torch_dtype"] = "float16";
  });
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  const auto* change = change_of(report, "config.json");
  REQUIRE(change != nullptr);
  CHECK(change->after == to_text(sound));
}

TEST_CASE("a quantization block follows the stored shapes") {
  for (const auto* name : {"llama-4bit-g32", "llama-4bit-g64", "llama-mxfp4"}) {
    auto source = fs::path(ASSAY_TEST_DIR) / "golden/mlx_lm" / name;
    ModelCopy copy("llama");
    fs::copy_file(source / "model.safetensors",
                  copy.path / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    auto sound = read(source / "config.json");
    for (auto [bits, group] :
         {std::pair(8, 32), std::pair(4, 128), std::pair(3, 64)}) {
      auto broken = sound;
      for (const auto* block : {"quantization", "quantization_config"}) {
        broken[block]["bits"] = bits;
        broken[block]["group_size"] = group;
        broken[block]["mode"] = "affine";
      }
      write_text(copy.path / "config.json", to_text(broken));
      auto report = dry_run(copy.path);
      CAPTURE(name);
      CAPTURE(told(report));
      const auto* change = change_of(report, "config.json");
      REQUIRE(change != nullptr);
      CHECK(parse_json(change->after, "after") == sound);
    }
    auto bare = sound;
    bare.erase("quantization");
    bare.erase("quantization_config");
    write_text(copy.path / "config.json", to_text(bare));
    auto report = dry_run(copy.path);
    CAPTURE(told(report));
    const auto* change = change_of(report, "config.json");
    REQUIRE(change != nullptr);
    auto found = parse_json(change->after, "after")["quantization"];
    CHECK(found["bits"] == sound["quantization"]["bits"]);
    CHECK(found["group_size"] == sound["quantization"]["group_size"]);
  }
}

TEST_CASE("a block that no tensor follows is removed") {
  ModelCopy copy("llama");
  auto sound = read_text(copy.path / "config.json");
  copy.edit_config([](Json& json) {
    json["quantization"] = {{"group_size", 64}, {"bits", 4}};
  });
  auto before = read(copy.path / "config.json");
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  const auto* change = change_of(report, "config.json");
  REQUIRE(change != nullptr);
  before.erase("quantization");
  CHECK(parse_json(change->after, "after") == before);
  CHECK(gone(report, "quantization.unused"));
}

namespace {

/** A model in two shards and its index, as save_pretrained writes them. */
struct Sharded : ModelCopy {
  Sharded() : ModelCopy("llama") {
    edit_tensors([&](Tensors& tensors) { all = tensors; });
    fs::remove(path / "model.safetensors");
    size_t i = 0;
    std::array<Tensors, 2> halves;
    for (const auto& [name, tensor] : all) {
      halves[i++ % 2].emplace(name, tensor);
    }
    Json map = Json::object();
    uint64_t bytes = 0;
    for (size_t half = 0; half < 2; ++half) {
      auto file = fmt::format("model-0000{}-of-00002.safetensors", half + 1);
      save(file, halves[half]);
      for (const auto& [name, tensor] : halves[half]) {
        holder[name] = file;
        bytes += tensor.data.size();
      }
    }
    write("model.safetensors.index.json",
          to_text(Json{{"metadata", {{"total_size", bytes}}},
                       {"weight_map", holder}}));
  }

  void save(const std::string& file, const Tensors& tensors) const {
    std::vector<SafetensorsWriter::Entry> entries;
    for (const auto& [name, tensor] : tensors) {
      entries.push_back({name, tensor.entry.dtype, tensor.entry.shape});
    }
    SafetensorsWriter writer(path / file, entries, {{"format", "pt"}});
    for (const auto& [name, tensor] : tensors) {
      writer.write(tensor.data);
    }
    writer.commit();
  }

  Tensors all;
  std::map<std::string, std::string> holder;
};

constexpr auto kIndex = "model.safetensors.index.json";

}  // namespace

TEST_CASE("an index is written anew from the shards' headers") {
  Sharded copy;
  auto sound = read_text(copy.path / kIndex);
  REQUIRE(dry_run(copy.path).changes.empty());

  fs::remove(copy.path / kIndex);
  restores(copy.path, kIndex, sound, "index.absent");

  auto index = parse_json(sound, "index");
  auto first = index["weight_map"].begin().key();
  index["weight_map"].erase(first);
  copy.write(kIndex, to_text(index));
  restores(copy.path, kIndex, sound, "index.unlisted-tensor");

  index = parse_json(sound, "index");
  auto& place = index["weight_map"].begin().value();
  place = place == "model-00001-of-00002.safetensors"
              ? "model-00002-of-00002.safetensors"
              : "model-00001-of-00002.safetensors";
  copy.write(kIndex, to_text(index));
  restores(copy.path, kIndex, sound, "index.stale-entry");

  index = parse_json(sound, "index");
  index["metadata"]["total_size"] = 5;
  copy.write(kIndex, to_text(index));
  restores(copy.path, kIndex, sound, "index.total-size");

  index = parse_json(sound, "index");
  index.erase("metadata");
  copy.write(kIndex, to_text(index));
  restores(copy.path, kIndex, sound, "index.no-metadata");

  copy.write(kIndex, "{\"weight_map\": ");
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  REQUIRE(change_of(report, kIndex) != nullptr);
  CHECK(change_of(report, kIndex)->after == sound);
}

TEST_CASE("a shard that is really missing is not written off") {
  Sharded copy;
  fs::remove(copy.path / "model-00002-of-00002.safetensors");
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(report.changes.empty());
  CHECK(left(report, "index.missing-shard"));
  fs::remove(copy.path / kIndex);
  report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(change_of(report, kIndex) == nullptr);
  CHECK(change_of(report, "config.json") == nullptr);
}

TEST_CASE("an index of shards that were merged goes away") {
  Sharded copy;
  copy.save("model.safetensors", copy.all);
  for (int i : {1, 2}) {
    fs::remove(copy.path / fmt::format("model-0000{}-of-00002.safetensors", i));
  }
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  REQUIRE(change_of(report, kIndex) != nullptr);
  CHECK(change_of(report, kIndex)->to.empty());
  CHECK(report.after.verdict != Verdict::undecided);
  CHECK(!has_errors(report.after.findings));
}

TEST_CASE("a stray copy is left out, a stray of other values stays") {
  Sharded copy;
  copy.save("model.safetensors", copy.all);
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  REQUIRE(change_of(report, "model.safetensors") != nullptr);
  CHECK(gone(report, "index.stray-file"));

  auto other = copy.all;
  other.begin()->second.data[0] ^= std::byte{1};
  copy.save("model.safetensors", other);
  report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(report.changes.empty());
}

TEST_CASE("names in another case are found") {
  ModelCopy copy("llama");
  fs::rename(copy.path / "config.json", copy.path / "Config.json");
  if (fs::exists(copy.path / "config.json")) {
    return;  // a file system that does not tell cases apart
  }
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  REQUIRE(report.changes.size() == 1);
  CHECK(report.changes[0].from == "Config.json");
  CHECK(report.changes[0].to == "config.json");
  CHECK(gone(report, "config.missing"));
}

TEST_CASE("the result is a new folder; weights and model stay as they were") {
  ModelCopy copy("llama");
  auto sound = read_text(copy.path / "config.json");
  copy.edit_config([](Json& json) { json["intermediate_size"] = 128; });
  auto broken = read_text(copy.path / "config.json");
  auto weights = read_text(copy.path / "model.safetensors");
  auto options = headers_only();
  options.write = FixOptions::Write::folder;
  options.out = copy.path.string() + "-out";
  std::string shown;
  options.before_writing = [&](const FixReport& report) {
    CHECK(!fs::exists(options.out));
    shown = diff_of(report);
  };
  auto report = fix(copy.path, options);
  CHECK(shown.find("+  \"intermediate_size\": 96,") != std::string::npos);
  CHECK(shown.find("-  \"intermediate_size\": 128,") != std::string::npos);
  CHECK(report.result == options.out);
  CHECK(parse_json(read_text(options.out / "config.json"), "") ==
        parse_json(sound, ""));
  CHECK(read_text(options.out / "model.safetensors") == weights);
  CHECK(read_text(copy.path / "config.json") == broken);
  CHECK(!has_errors(report.after.findings));
  CHECK(gone(report, "shape.mismatch"));
  CHECK_THROWS_AS(fix(copy.path, options), Error);  // it is there
  options.out = copy.path / "inside";
  CHECK_THROWS_AS(fix(copy.path, options), Error);
  fs::remove_all(copy.path.string() + "-out");
}

TEST_CASE("a repair in place keeps a backup that undoes it") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& json) { json["vocab_size"] = 300; });
  auto broken = read_text(copy.path / "config.json");
  auto options = headers_only();
  options.write = FixOptions::Write::in_place;
  auto report = fix(copy.path, options);
  CAPTURE(told(report));
  CHECK(report.result == copy.path);
  CHECK(read(copy.path / "config.json")["vocab_size"] == 256);
  CHECK(read_text(report.backup / "config.json") == broken);
  CHECK(!has_errors(report.after.findings));
  // Another repair gets a backup of its own.
  copy.edit_config([](Json& json) { json["vocab_size"] = 512; });
  CHECK(fix(copy.path, options).backup != report.backup);
}

TEST_CASE("a file by itself is not written to") {
  auto file = fs::path(ASSAY_TEST_DIR) / "golden/gguf/v3.gguf";
  auto report = dry_run(file);
  CHECK(report.changes.empty());
  CHECK(report.untouched.size() >= 1);
}

TEST_CASE("ids that end a text: two of three documents decide") {
  SoundCopy copy("llama");
  REQUIRE(dry_run(copy.path).changes.empty());
  auto sound = to_text(read(copy.path / "config.json"));
  copy.set("config.json", "eos_token_id", 7);
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  const auto* change = change_of(report, "config.json");
  REQUIRE(change != nullptr);
  CHECK(parse_json(change->after, "")["eos_token_id"] == Json({2, 4}));
  CHECK(gone(report, "special-token.disagrees"));
  copy.set("config.json", "eos_token_id", 2);
  copy.set("config.json", "bos_token_id", 9);
  restores(copy.path, "config.json", sound, "special-token.disagrees");
  // Config and generation_config against the tokenizer: nobody knows.
  copy.set("generation_config.json", "bos_token_id", 9);
  CHECK(dry_run(copy.path).changes.empty());
}

TEST_CASE("the token after an answer ends a generation") {
  SoundCopy copy("llama");
  copy.set("generation_config.json", "eos_token_id", 2);
  FixOptions options;  // only the loaded tokenizer tells
  auto report = fix(copy.path, options);
  CAPTURE(told(report));
  const auto* change = change_of(report, "generation_config.json");
  REQUIRE(change != nullptr);
  CHECK(parse_json(change->after, "")["eos_token_id"] == Json({2, 4}));
  CHECK(gone(report, "special-token.turn-end"));
}

TEST_CASE("a template goes where readers look") {
  SoundCopy copy("llama");
  auto text = read_text(copy.path / "chat_template.jinja");
  fs::remove(copy.path / "chat_template.jinja");
  copy.set("config.json", "chat_template", text);
  restores(copy.path, "chat_template.jinja", text, "template.misplaced");
  copy.erase("config.json", "chat_template");
  write_text(copy.path / "chat_template.json",
             to_text(Json{{"chat_template", text}}));
  restores(copy.path, "chat_template.jinja", text, "template.misplaced");
  fs::remove(copy.path / "chat_template.json");
}

TEST_CASE("the stored type is named in the config's own spelling") {
  SoundCopy copy("llama");
  auto sound = to_text(read(copy.path / "config.json"));
  copy.set("config.json", "dtype", "float32");
  restores(copy.path, "config.json", sound, "dtype.differs");
  copy.erase("config.json", "dtype");
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  REQUIRE(change_of(report, "config.json") != nullptr);
  CHECK(parse_json(change_of(report, "config.json")->after, "")["dtype"] ==
        "float16");
}

TEST_CASE("sizes of components are what their tensors show") {
  SoundCopy copy("sd1");
  REQUIRE(dry_run(copy.path).changes.empty());
  for (auto [file, field] :
       {std::pair("unet/config.json", "in_channels"),
        std::pair("unet/config.json", "cross_attention_dim"),
        std::pair("vae/config.json", "latent_channels"),
        std::pair("text_encoder/config.json", "hidden_size"),
        std::pair("text_encoder/config.json", "vocab_size")}) {
    auto sound = read_text(copy.path / file);
    auto json = parse_json(sound, file);
    json[field] = json[field].get<int>() + 5;
    write_text(copy.path / file, to_text(json));
    auto report = dry_run(copy.path);
    CAPTURE(told(report));
    const auto* change = change_of(report, file);
    REQUIRE(change != nullptr);
    CHECK(parse_json(change->after, file) == parse_json(sound, file));
    CHECK(gone(report, "component.shape-mismatch"));
    write_text(copy.path / file, sound);
  }
}

TEST_CASE("entries of a pipeline follow its folders") {
  SoundCopy copy("sd1");
  auto sound = read(copy.path / "model_index.json");
  copy.erase("model_index.json", "vae");
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  const auto* change = change_of(report, "model_index.json");
  REQUIRE(change != nullptr);
  CHECK(parse_json(change->after, "")["vae"] == sound["vae"]);
  CHECK(gone(report, "pipeline.component-absent"));

  write_text(copy.path / "model_index.json", to_text(sound));
  auto wrong = sound;
  wrong["unet"][1] = "UNet2DModel";
  write_text(copy.path / "model_index.json", to_text(wrong));
  restores(copy.path,
           "model_index.json",
           to_text(sound),
           "component.class-mismatch");
}

TEST_CASE("an adapter's rank is that of its pairs, its alpha is not theirs") {
  SoundCopy copy("peft-lora");
  fs::copy(assay::testing::sound("llama"), copy.folder / "llama");
  auto sound = to_text(read(copy.path / "adapter_config.json"));
  copy.set("adapter_config.json", "r", 16);
  restores(copy.path, "adapter_config.json", sound, "adapter.rank-config");
  write_text(copy.path / "adapter_config.json", sound);
  copy.erase("adapter_config.json", "lora_alpha");
  auto report = dry_run(copy.path);
  CAPTURE(told(report));
  CHECK(report.changes.empty());
  CHECK(left(report, "adapter.scale-missing"));

  SoundCopy dora("peft-dora");
  auto config = to_text(read(dora.path / "adapter_config.json"));
  dora.set("adapter_config.json", "use_dora", false);
  restores(dora.path, "adapter_config.json", config, "adapter.dora");
}

TEST_CASE("a link in the model is not followed into its target") {
  ModelCopy copy("llama");
  auto blobs = copy.path.string() + "-blobs";
  fs::create_directories(blobs);
  fs::rename(copy.path / "config.json", fs::path(blobs) / "config");
  fs::create_symlink(fs::path(blobs) / "config", copy.path / "config.json");
  auto json = read(copy.path / "config.json");
  json["vocab_size"] = 300;
  write_text(fs::path(blobs) / "config", to_text(json));
  auto options = headers_only();
  options.write = FixOptions::Write::in_place;
  auto report = fix(copy.path, options);
  CAPTURE(told(report));
  CHECK(read(copy.path / "config.json")["vocab_size"] == 256);
  CHECK(read(fs::path(blobs) / "config")["vocab_size"] == 300);
  fs::remove_all(blobs);
}
