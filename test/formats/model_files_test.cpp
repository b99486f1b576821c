#include "assay/formats/model_files.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/formats/safetensors.h"

#include "raw_bytes.h"

using namespace assay;
using namespace assay_test;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(ASSAY_TEST_DIR) / "golden";

// A file with one byte for each tensor.
void write_tensors(const fs::path& path,
                   const std::vector<std::string>& names) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& name : names) {
    entries.push_back({name, DType::u8, {1}});
  }
  SafetensorsWriter writer(path, std::move(entries), {{"format", "mlx"}});
  writer.write(bytes_of(std::string(names.size(), 'd')));
  writer.commit();
}

// Two shards with tensors a, b and c, and their index.
struct Sharded : TemporaryFolder {
  Sharded() {
    write_tensors(path / "model-00001-of-00002.safetensors", {"a", "b"});
    write_tensors(path / "model-00002-of-00002.safetensors", {"c"});
    index({{"a", 1}, {"b", 1}, {"c", 2}});
    write("config.json", R"({"model_type": "test"})");
  }
  void index(const std::vector<std::pair<std::string, int>>& entries) {
    Json map = Json::object();
    for (const auto& [name, shard] : entries) {
      map[name] =
          "model-0000" + std::to_string(shard) + "-of-00002.safetensors";
    }
    write_index(
        Json{{"metadata", {{"total_size", 3}}}, {"weight_map", map}}.dump());
  }
  void metadata(const Json& metadata) {
    auto name = "model.safetensors.index.json";
    auto json = parse_json(read_text(path / name), name);
    json["metadata"] = metadata;
    write_index(json.dump());
  }
  void write_index(std::string_view text) {
    write("model.safetensors.index.json", text);
  }
};

std::vector<std::string> ids(const ModelFiles& model) {
  std::vector<std::string> result;
  for (const auto& finding : model.findings) {
    result.push_back(finding.id);
  }
  return result;
}

std::string refusal(const fs::path& path) {
  return finding_of([&] { open_model(path); }).id;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("a folder with shards is one list of tensors") {
  Sharded folder;
  auto model = open_model(folder.path);
  CHECK(ids(model) == Ids{});
  CHECK(model.files.size() == 2);
  REQUIRE(model.tensors.size() == 3);
  CHECK(model.find("c")->file == 1);
  CHECK(model.find("none") == nullptr);
  CHECK(model.config["model_type"] == "test");
  CHECK(model.generation_config.is_null());
  CHECK(model.safetensors_metadata.at("format") == "mlx");
  auto moved = std::move(model);
  CHECK(moved.find("b")->name == "b");
}

TEST_CASE("index against shards: each disagreement is its own finding") {
  Sharded folder;
  SUBCASE("a shard is missing") {
    fs::remove(folder.path / "model-00002-of-00002.safetensors");
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.missing-shard"});
    CHECK(
        model.findings[0].where.ends_with("model-00002-of-00002.safetensors"));
    CHECK(model.tensors.size() == 2);
  }
  SUBCASE("all shards are missing") {
    fs::remove(folder.path / "model-00001-of-00002.safetensors");
    fs::remove(folder.path / "model-00002-of-00002.safetensors");
    CHECK(refusal(folder.path) == "index.missing-shard");
  }
  SUBCASE("an entry that no shard holds") {
    folder.index({{"a", 1}, {"b", 1}, {"c", 2}, {"gone", 2}});
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.stale-entry"});
    CHECK(model.findings[0].actual == "'gone'");
  }
  SUBCASE("an entry of the wrong shard") {
    folder.index({{"a", 1}, {"b", 2}, {"c", 2}});
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.stale-entry"});
    CHECK(model.findings[0].actual == "'b'");
  }
  SUBCASE("a tensor that is not listed") {
    folder.index({{"a", 1}, {"c", 2}});
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.unlisted-tensor"});
    CHECK(model.findings[0].actual == "'b'");
    CHECK(model.find("b") != nullptr);
  }
  SUBCASE("a tensor in two shards: that of the index counts") {
    write_tensors(folder.path / "model-00001-of-00002.safetensors",
                  {"a", "b", "c"});
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.duplicate-tensor"});
    CHECK(model.tensors.size() == 3);
    CHECK(model.find("c")->file == 1);
  }
  SUBCASE("a size that the shards do not have") {
    for (const auto& size : {Json(5), Json(-3), Json(3.5), Json("3"), Json()}) {
      folder.metadata({{"total_size", size}});
      CAPTURE(size.dump());
      CHECK(ids(open_model(folder.path)) == Ids{"index.total-size"});
    }
  }
  SUBCASE("a size that the shards have, of tensors or of files; or none") {
    auto files =
        fs::file_size(folder.path / "model-00001-of-00002.safetensors") +
        fs::file_size(folder.path / "model-00002-of-00002.safetensors");
    for (const auto& metadata : {Json{{"total_size", 3}},
                                 Json{{"total_size", 3.0}},
                                 Json{{"total_size", files}},
                                 Json::object()}) {
      folder.metadata(metadata);
      CAPTURE(metadata.dump());
      CHECK(ids(open_model(folder.path)) == Ids{});
    }
  }
  SUBCASE("no metadata, which transformers and diffusers cannot do without") {
    for (const auto& metadata : {Json(), Json("none")}) {
      folder.metadata(metadata);
      CHECK(ids(open_model(folder.path)) == Ids{"index.no-metadata"});
    }
  }
  SUBCASE("a single file beside the shards") {
    write_tensors(folder.path / "model.safetensors", {"a", "b", "c"});
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.stray-file"});
    CHECK(model.findings[0].actual == "'model.safetensors'");
    CHECK(model.files.size() == 2);
  }
  SUBCASE("no index") {
    fs::remove(folder.path / "model.safetensors.index.json");
    auto model = open_model(folder.path);
    CHECK(ids(model) == Ids{"index.absent"});
    CHECK(model.tensors.size() == 3);
  }
}

TEST_CASE("an index is refused that is malformed or leaves its folder") {
  Sharded folder;
  auto with = [&](std::string_view text) {
    folder.write_index(text);
    return refusal(folder.path);
  };
  CHECK(with("") == "index.malformed");
  CHECK(with("[]") == "index.malformed");
  CHECK(with("{}") == "index.malformed");
  CHECK(with(R"({"weight_map": []})") == "index.malformed");
  CHECK(with(R"({"weight_map": {"a": 1}})") == "index.malformed");
  CHECK(with(R"({"weight_map": {"a": "x"}} 1)") == "index.malformed");
  CHECK(with(R"({"weight_map": {"a": "x"}, "metadata": {]})") ==
        "index.malformed");
  CHECK(with(R"({"weight_map": {"a": "x"}, "weight_map": {"a": "y"}})") ==
        "index.malformed");
  CHECK(with(R"({"weight_map": {"a": "x", "a": "y"}})") == "index.malformed");
  for (const char* shard : {"/etc/passwd",
                            "../other/model.safetensors",
                            "sub/../../model.safetensors",
                            "..",
                            "",
                            "sub/",
                            "C:\\\\model.safetensors",
                            "..\\\\model.safetensors",
                            "a\\u0000b.safetensors"}) {
    CAPTURE(shard);
    CHECK(with(std::string(R"({"weight_map": {"a": ")") + shard + "\"}}") ==
          "index.unsafe-path");
  }
}

TEST_CASE("shards may be links, and in a folder below") {
  Sharded folder;
  TemporaryFolder store;
  auto shard = folder.path / "model-00002-of-00002.safetensors";
  fs::rename(shard, store.path / "blob");
  fs::create_symlink(store.path / "blob", shard);
  CHECK(open_model(folder.path).tensors.size() == 3);

  fs::create_directory(folder.path / "part");
  fs::rename(shard, folder.path / "part/c.safetensors");
  folder.write_index(
      R"({"metadata": {}, )"
      R"("weight_map": {"a": "model-00001-of-00002.safetensors",)"
      R"("b": "model-00001-of-00002.safetensors",)"
      R"("c": "part/c.safetensors"}})");
  auto model = open_model(folder.path);
  CHECK(ids(model) == Ids{});
  CHECK(model.tensors.size() == 3);
}

TEST_CASE("a folder with one file, whatever lies beside it") {
  TemporaryFolder folder;
  write_tensors(folder.path / "weights.safetensors", {"a"});
  CHECK(ids(open_model(folder.path)) == Ids{});
  write_tensors(folder.path / "model.safetensors", {"a"});
  write_tensors(folder.path / "consolidated.safetensors", {"a"});
  auto model = open_model(folder.path);
  CHECK(ids(model) == Ids{"index.stray-file"});
  CHECK(model.files ==
        std::vector<fs::path>{folder.path / "model.safetensors"});
  fs::remove(folder.path / "model.safetensors");
  CHECK(refusal(folder.path) == "model.ambiguous");
}

TEST_CASE("a folder without weights says what it holds instead") {
  TemporaryFolder folder;
  CHECK(refusal(folder.path) == "model.no-weights");
  folder.write("model.h5", "x");
  auto finding = finding_of([&] { open_model(folder.path); });
  CHECK(finding.id == "model.no-weights");
  CHECK(finding.actual == "'model.h5'");
  CHECK(refusal(folder.path / "none") == "file.unreadable");
  CHECK(refusal(folder.path / "model.h5") == "model.unknown-format");
}

TEST_CASE("GGUF: a file, a folder, a split one") {
  auto model = open_model(kGolden / "gguf/v3-big-endian.gguf");
  CHECK(model.container == Container::gguf);
  CHECK(model.big_endian);
  CHECK(model.gguf->text("general.architecture") == "llama");

  TemporaryFolder folder;
  for (const char* name :
       {"split-00001-of-00002.gguf", "split-00002-of-00002.gguf"}) {
    fs::copy_file(kGolden / "gguf" / name, folder.path / name);
  }
  auto split = open_model(folder.path);
  CHECK(split.files.size() == 2);
  CHECK(split.tensors.size() == 5);
  CHECK(ids(split) == Ids{});
  folder.write("mmproj-f16.gguf", "not looked at");
  CHECK(ids(open_model(folder.path)) == Ids{"model.not-read"});
  fs::copy_file(kGolden / "gguf/v3.gguf", folder.path / "another.gguf");
  CHECK(refusal(folder.path) == "model.ambiguous");
  write_tensors(folder.path / "model.safetensors", {"a"});
  auto both = open_model(folder.path);
  CHECK(both.container == Container::safetensors);
  CHECK(ids(both) == Ids{"model.not-read"});
  CHECK(both.findings[0].severity == Severity::note);
}

TEST_CASE("GGUF: data after the end and a missing architecture are findings") {
  TemporaryFolder folder;
  auto text = RawGguf(1, 0).tensor("t", {8}, 0, 0).pad().data(32 + 5).text;
  auto model = open_model(folder.write("a.gguf", text));
  CHECK(ids(model) == Ids{"gguf.trailing-data", "gguf.no-architecture"});
  CHECK(model.findings[0].actual == "5 more bytes");
}

TEST_CASE("the chat template is found wherever it is kept") {
  TemporaryFolder folder;
  write_tensors(folder.path / "model.safetensors", {"a"});
  auto found = [&] { return open_model(folder.path).chat_template; };
  CHECK(found() == "");
  folder.write("chat_template.json", R"({"chat_template": "json"})");
  CHECK(found() == "json");
  folder.write("tokenizer_config.json", R"({"chat_template": "config"})");
  CHECK(found() == "config");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool", "template": "tool"},)"
               R"({"name": "default", "template": "first"}]})");
  CHECK(found() == "first");
  folder.write("chat_template.jinja", "jinja");
  CHECK(found() == "jinja");

  fs::remove(folder.path / "chat_template.jinja");
  fs::remove(folder.path / "chat_template.json");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool", "template": "tool"}]})");
  CHECK(ids(open_model(folder.path)) == Ids{"template.unusable"});

  RawGguf gguf(0, 2);
  gguf.key("general.architecture", 8).string("llama");
  gguf.key("tokenizer.chat_template", 8).string("of the gguf");
  TemporaryFolder other;
  CHECK(open_model(other.write("m.gguf", gguf.text)).chat_template ==
        "of the gguf");
}

TEST_CASE("documents that do not parse end it") {
  TemporaryFolder folder;
  write_tensors(folder.path / "model.safetensors", {"a"});
  folder.write("config.json", "{");
  CHECK(refusal(folder.path) == "json.malformed");
  // A file by itself does not look at its folder.
  CHECK(open_model(folder.path / "model.safetensors").config.is_null());
}

TEST_CASE("data is mapped when asked for, and checked against the file") {
  TemporaryFolder folder;
  write_tensors(folder.path / "model.safetensors", {"a", "b"});
  auto model = open_model(folder.path);
  {
    TensorData data(model);
    CHECK(data.bytes(*model.find("b"))[0] == std::byte{'d'});
    data.release(*model.find("b"));
    CHECK(data.bytes(*model.find("b"))[0] == std::byte{'d'});
  }
  folder.write("model.safetensors", "cut");
  TensorData data(model);
  CHECK(finding_of([&] { data.bytes(*model.find("b")); }).id == "file.changed");
}

TEST_CASE("every golden folder opens without a finding") {
  int folders = 0;
  for (const auto& entry : fs::directory_iterator(kGolden / "arch")) {
    if (!fs::exists(entry.path() / "model.safetensors")) {
      continue;
    }
    CAPTURE(entry.path().string());
    auto model = open_model(entry.path() / "model.safetensors");
    CHECK(model.findings.empty());
    CHECK(model.tensors.size() > 5);
    if (fs::exists(entry.path() / "model.gguf")) {
      CHECK(open_model(entry.path() / "model.gguf").findings.empty());
    }
    ++folders;
  }
  CHECK(folders >= 15);
}
