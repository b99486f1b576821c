// Files that the package gguf wrote, against what it reads in them
// (tools/golden/make_gguf_goldens.py).

#include <algorithm>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/json.h"
#include "assay/formats/gguf.h"
#include "assay/formats/gguf_types.h"

#include "raw_bytes.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(ASSAY_TEST_DIR) / "golden/gguf";

Json to_json(const GgufValue& value) {
  return std::visit(
      [&](const auto& held) -> Json {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::vector<GgufValue>>) {
          auto list = Json::array();
          for (const auto& element : held) {
            list.push_back(to_json(element));
          }
          return list;
        } else if constexpr (std::is_same_v<Held, std::vector<uint64_t>>) {
          auto list = Json::array();
          for (auto element : held) {
            bool truth = value.element_type == GgufValue::Type::boolean;
            list.push_back(truth ? Json(element == 1) : Json(element));
          }
          return list;
        } else {
          return Json(held);
        }
      },
      value.value);
}

std::string python_name(GgufValue::Type type) {
  constexpr const char* kNames[] = {"UINT8",
                                    "INT8",
                                    "UINT16",
                                    "INT16",
                                    "UINT32",
                                    "INT32",
                                    "FLOAT32",
                                    "BOOL",
                                    "STRING",
                                    "ARRAY",
                                    "UINT64",
                                    "INT64",
                                    "FLOAT64"};
  return kNames[static_cast<size_t>(type)];
}

void compare(const GgufHeader& header, const Json& expected) {
  CHECK(header.version == expected["version"]);
  CHECK(header.big_endian == expected["big_endian"]);
  CHECK(header.alignment == expected["alignment"]);
  const auto& metadata = expected["metadata"];
  REQUIRE(header.metadata.entries.size() == metadata.size());
  for (size_t i = 0; i < metadata.size(); ++i) {
    const auto& [key, value] = header.metadata.entries[i];
    CAPTURE(key);
    CHECK(Json(key) == metadata[i]["key"]);
    CHECK(Json(python_name(value.type)) == metadata[i]["types"][0]);
    if (value.type == GgufValue::Type::array) {
      CHECK(Json(python_name(value.element_type)) == metadata[i]["types"][1]);
    }
    // Compared as JSON texts: 1.0 is then not 1.
    CHECK(to_json(value).dump() == metadata[i]["value"].dump());
  }
  const auto& tensors = expected["tensors"];
  REQUIRE(header.tensors.size() == tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& tensor = header.tensors[i];
    CAPTURE(tensor.name);
    CHECK(Json(tensor.name) == tensors[i]["name"]);
    CHECK(ggml_id(tensor.dtype) == tensors[i]["type_id"].get<uint32_t>());
    auto dims = tensor.shape;
    std::ranges::reverse(dims);
    CHECK(Json(dims) == tensors[i]["dims"]);
    CHECK(tensor.offset == tensors[i]["offset"]);
    CHECK(tensor.bytes == tensors[i]["bytes"]);
  }
}

}  // namespace

TEST_CASE("the gguf package's files are read as it reads them") {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".gguf") {
      continue;
    }
    CAPTURE(entry.path().filename().string());
    auto document = entry.path();
    document.replace_extension(".json");
    compare(read_gguf(entry.path()),
            parse_json(read_text(document), document.string()));
    ++files;
  }
  CHECK(files >= 8);
}

TEST_CASE("a split GGUF is whole from any of its parts") {
  for (const char* name :
       {"split-00001-of-00002.gguf", "split-00002-of-00002.gguf"}) {
    auto parts = read_gguf_parts(kFolder / name);
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].path.filename() == "split-00001-of-00002.gguf");
    CHECK(parts[0].header.tensors.size() + parts[1].header.tensors.size() == 5);
  }
  CHECK(gguf_parts(kFolder / "v3.gguf").size() == 1);
}

TEST_CASE("parts that are missing, renamed or mixed are findings") {
  using assay_test::finding_of;
  assay_test::TemporaryFolder folder;
  auto put = [&](const char* from, const char* to) {
    fs::copy_file(
        kFolder / from, folder.path / to, fs::copy_options::overwrite_existing);
    return folder.path / to;
  };
  auto first = put("split-00001-of-00002.gguf", "m-00001-of-00002.gguf");
  CHECK(finding_of([&] { gguf_parts(first); }).id == "gguf.missing-part");
  put("split-00001-of-00002.gguf", "m-00002-of-00002.gguf");
  CHECK(finding_of([&] { gguf_parts(first); }).id == "gguf.split-mismatch");
  auto renamed = put("split-00001-of-00002.gguf", "renamed.gguf");
  CHECK(finding_of([&] { gguf_parts(renamed); }).id == "gguf.split-name");
  put("split-00002-of-00002.gguf", "m-00002-of-00002.gguf");
  CHECK(gguf_parts(first).size() == 2);

  // A tensor in both parts, and a wrong total.
  auto part = [](uint16_t number, int32_t total, const char* tensor) {
    assay_test::RawGguf file(1, 3);
    file.key("split.no", 2).put(number);
    file.key("split.count", 2).put(uint16_t{2});
    file.key("split.tensors.count", 5).put(total);
    return file.tensor(tensor, {8}, 0, 0).pad().data(32).text;
  };
  first = folder.write("d-00001-of-00002.gguf", part(0, 2, "t"));
  folder.write("d-00002-of-00002.gguf", part(1, 2, "t"));
  CHECK(finding_of([&] { gguf_parts(first); }).id == "gguf.duplicate-tensor");
  folder.write("d-00002-of-00002.gguf", part(1, 3, "u"));
  CHECK(finding_of([&] { gguf_parts(first); }).id == "gguf.split-mismatch");
  folder.write("d-00002-of-00002.gguf", part(1, 2, "u"));
  CHECK(gguf_parts(first).size() == 2);
}
