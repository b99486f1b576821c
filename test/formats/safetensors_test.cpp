#include "assay/formats/safetensors.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/json.h"

#include "raw_bytes.h"

using namespace assay;
using namespace assay_test;

namespace {

SafetensorsHeader parsed_header(const std::string& file) {
  return parse_safetensors(bytes_of(file), file.size(), "x.safetensors");
}

// One U8 tensor of two bytes, with fields to spoil.
std::string entry(std::string_view dtype,
                  std::string_view shape,
                  std::string_view offsets) {
  return std::string(R"({"a":{"dtype":)")
      .append(dtype)
      .append(R"(,"shape":)")
      .append(shape)
      .append(R"(,"data_offsets":)")
      .append(offsets)
      .append("}}");
}

std::string two(std::string_view first, std::string_view second) {
  return std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)")
      .append(first)
      .append(R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)")
      .append(second)
      .append("}}");
}

struct MalformedSafetensors {
  const char* what;
  std::string file;
  const char* id;
  const char* in_line;  ///< a value or place that the finding must name
};

const std::string kGood = entry(R"("U8")", "[2]", "[0,2]");

std::vector<MalformedSafetensors> malformed_framing() {
  return {
      {"empty file", "", "safetensors.truncated", "0 bytes"},
      {"seven bytes", "1234567", "safetensors.truncated", "7 bytes"},
      {"length beyond the file",
       raw_safetensors("{}", 0, 3),
       "safetensors.header-length",
       "found 3"},
      {"length of 2^64 - 1",
       raw_safetensors("{}", 0, -2).replace(0, 8, std::string(8, '\xff')),
       "safetensors.header-length",
       "18446744073709551615"},
      {"length over 100 MB",
       raw_safetensors("{}", 0, 100'000'001),
       "safetensors.header-length",
       "100000001"},
      {"no header", raw_safetensors("", 4), "safetensors.header-malformed", ""},
      {"not JSON",
       raw_safetensors("tensors!", 0),
       "safetensors.header-malformed",
       "'t'"},
      {"an array",
       raw_safetensors("[]", 0),
       "safetensors.header-malformed",
       "'['"},
      {"space before the header",
       raw_safetensors(" {}", 0),
       "safetensors.header-malformed",
       "' '"},
      {"cut JSON",
       raw_safetensors(kGood.substr(0, kGood.size() - 1), 2),
       "safetensors.header-malformed",
       ""},
      {"NUL padding",
       raw_safetensors(std::string("{}\0\0\0\0\0\0", 8), 0),
       "safetensors.header-malformed",
       ""},
      {"a second value",
       raw_safetensors("{} {}", 0),
       "safetensors.header-malformed",
       ""},
      {"comma at the end",
       raw_safetensors(R"({"__metadata__":{},})", 0),
       "safetensors.header-malformed",
       ""},
      {"invalid UTF-8",
       raw_safetensors("{\"\xff\":1}", 0),
       "safetensors.header-malformed",
       ""},
      {"control character in a name",
       raw_safetensors("{\"a\nb\":1}", 0),
       "safetensors.header-malformed",
       ""},
      {"half a surrogate pair",
       raw_safetensors(R"({"\ud800":{}})", 0),
       "safetensors.header-malformed",
       ""},
      {"metadata of numbers",
       raw_safetensors(R"({"__metadata__":{"format":1}})", 0),
       "safetensors.metadata",
       "'1'"},
      {"metadata that is text",
       raw_safetensors(R"({"__metadata__":"none"})", 0),
       "safetensors.metadata",
       "none"},
      {"metadata that is nearly null",
       raw_safetensors(R"({"__metadata__":nul})", 0),
       "safetensors.header-malformed",
       ""},
      {"metadata key twice",
       raw_safetensors(R"({"__metadata__":{"k":"1","k":"2"}})", 0),
       "safetensors.duplicate-key",
       "'k'"},
      {"metadata twice",
       raw_safetensors(R"({"__metadata__":{},"__metadata__":{}})", 0),
       "safetensors.duplicate-key",
       "'__metadata__'"},
  };
}

std::vector<MalformedSafetensors> malformed_entries() {
  auto spoiled = [](std::string_view dtype,
                    std::string_view shape,
                    std::string_view offsets) {
    return raw_safetensors(entry(dtype, shape, offsets), 2);
  };
  return {
      {"entry is a number",
       raw_safetensors(R"({"a":1})", 0),
       "safetensors.entry",
       "tensor 'a'"},
      {"no dtype",
       raw_safetensors(R"({"a":{"shape":[2],"data_offsets":[0,2]}})", 2),
       "safetensors.entry",
       "no dtype"},
      {"no shape",
       raw_safetensors(R"({"a":{"dtype":"U8","data_offsets":[0,2]}})", 2),
       "safetensors.entry",
       "no shape"},
      {"no offsets",
       raw_safetensors(R"({"a":{"dtype":"U8","shape":[2]}})", 2),
       "safetensors.entry",
       "no data_offsets"},
      {"a field too many",
       raw_safetensors(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"x":1}})", 2),
       "safetensors.entry",
       "'x'"},
      {"dtype twice",
       raw_safetensors(
           R"({"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}})",
           2),
       "safetensors.duplicate-key",
       "'dtype'"},
      {"tensor twice",
       raw_safetensors(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
           R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
           2),
       "safetensors.duplicate-key",
       "'a'"},
      {"the same name, escaped",
       raw_safetensors(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
           R"("\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
           2),
       "safetensors.duplicate-key",
       "'a'"},
      {"unknown dtype",
       spoiled(R"("F7")", "[2]", "[0,2]"),
       "safetensors.dtype",
       "'F7'"},
      {"lower-case dtype",
       spoiled(R"("u8")", "[2]", "[0,2]"),
       "safetensors.dtype",
       "'u8'"},
      {"a type of ggml",
       spoiled(R"("Q4_0")", "[32]", "[0,18]"),
       "safetensors.dtype",
       "'Q4_0'"},
      {"dtype is a number",
       spoiled("8", "[2]", "[0,2]"),
       "safetensors.entry",
       "'8'"},
      {"shape is a number",
       spoiled(R"("U8")", "2", "[0,2]"),
       "safetensors.shape",
       "'2'"},
      {"negative dimension",
       spoiled(R"("U8")", "[-2]", "[0,2]"),
       "safetensors.shape",
       "'-2'"},
      {"fraction as dimension",
       spoiled(R"("U8")", "[2.0]", "[0,2]"),
       "safetensors.shape",
       "'2.0'"},
      {"exponent as dimension",
       spoiled(R"("U8")", "[2e0]", "[0,2]"),
       "safetensors.shape",
       "'2e0'"},
      {"leading zero",
       spoiled(R"("U8")", "[02]", "[0,2]"),
       "safetensors.shape",
       "'02'"},
      {"text as dimension",
       spoiled(R"("U8")", R"(["2"])", "[0,2]"),
       "safetensors.shape",
       "2"},
      {"dimension over 64 bits",
       spoiled(R"("U8")", "[18446744073709551618]", "[0,2]"),
       "safetensors.shape",
       "18446744073709551618"},
      {"dimension over 63 bits",
       spoiled(R"("U8")", "[9223372036854775808]", "[0,2]"),
       "safetensors.shape",
       "9223372036854775808"},
      {"product over 64 bits",
       spoiled(R"("U8")", "[4294967296,4294967298]", "[0,2]"),
       "safetensors.shape",
       "(4294967296, 4294967298)"},
      {"bytes over 64 bits",
       spoiled(R"("F64")", "[4611686018427387904]", "[0,2]"),
       "safetensors.shape",
       "(4611686018427387904)"},
      {"dimension of 2^32 + 4",
       spoiled(R"("U8")", "[4294967300]", "[0,2]"),
       "safetensors.size-mismatch",
       "4294967300"},
      {"half a byte",
       spoiled(R"("F4")", "[3]", "[0,2]"),
       "safetensors.shape",
       "(3)"},
      {"one offset",
       spoiled(R"("U8")", "[2]", "[0]"),
       "safetensors.offsets",
       "found 1"},
      {"three offsets",
       spoiled(R"("U8")", "[2]", "[0,2,2]"),
       "safetensors.offsets",
       "more than 2"},
      {"negative offset",
       spoiled(R"("U8")", "[2]", "[-2,0]"),
       "safetensors.offsets",
       "'-2'"},
      {"offsets turned round",
       spoiled(R"("U8")", "[2]", "[2,0]"),
       "safetensors.offsets",
       "[2, 0]"},
      {"offsets beyond the data",
       spoiled(R"("U8")", "[3]", "[0,3]"),
       "safetensors.offsets",
       "[0, 3]"},
      {"offsets that wrap",
       spoiled(R"("U8")", "[2]", "[18446744073709551614,18446744073709551616]"),
       "safetensors.offsets",
       "18446744073709551616"},
      {"fewer bytes than the shape",
       spoiled(R"("U16")", "[2]", "[0,2]"),
       "safetensors.size-mismatch",
       "2 bytes"},
      {"more bytes than the shape",
       spoiled(R"("U8")", "[1]", "[0,2]"),
       "safetensors.size-mismatch",
       "2 bytes"},
      {"overlap",
       raw_safetensors(two("[0,2]", "[1,3]"), 3),
       "safetensors.overlap",
       "'b'"},
      {"one tensor upon the other",
       raw_safetensors(two("[0,2]", "[0,2]"), 2),
       "safetensors.overlap",
       "'b'"},
      {"hole between",
       raw_safetensors(two("[0,2]", "[3,5]"), 5),
       "safetensors.hole",
       "'b'"},
      {"hole in front",
       raw_safetensors(entry(R"("U8")", "[2]", "[1,3]"), 3),
       "safetensors.hole",
       "'a'"},
      {"data after the last",
       raw_safetensors(kGood, 3),
       "safetensors.trailing-data",
       "1 more"},
      {"data of no tensor",
       raw_safetensors("{}", 1),
       "safetensors.trailing-data",
       "1 more"},
  };
}

void check_all_safetensors(const std::vector<MalformedSafetensors>& cases) {
  for (const auto& test : cases) {
    CAPTURE(test.what);
    auto finding = finding_of([&] { parsed_header(test.file); });
    CHECK(finding.id == test.id);
    auto line = to_line(finding);
    CAPTURE(line);
    CHECK(finding.where.starts_with("x.safetensors"));
    CHECK(line.find(test.in_line) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("a malformed safetensors frame is a finding") {
  auto cases = malformed_framing();
  CHECK(cases.size() >= 20);
  check_all_safetensors(cases);
}

TEST_CASE("a malformed safetensors entry is a finding") {
  auto cases = malformed_entries();
  CHECK(cases.size() >= 35);
  check_all_safetensors(cases);
}

TEST_CASE("a finding names file, byte, tensor and value") {
  auto finding = finding_of([] {
    parsed_header(raw_safetensors(entry(R"("U8")", "[2,-7]", "[0,2]"), 2));
  });
  // 8 bytes of length, then {"a":{"dtype":"U8","shape":[2,
  CHECK(finding.where == "x.safetensors: header byte 38, tensor 'a'");
  CHECK(finding.actual == "'-7'");

  // The JSON itself breaks within an entry.
  finding = finding_of([] {
    parsed_header(raw_safetensors(R"({"a":{"dtype":"U8"",shape":[2]}})", 2));
  });
  CHECK(finding.id == "safetensors.header-malformed");
  CHECK(finding.where.ends_with("tensor 'a'"));
}

TEST_CASE("metadata may be null, as MLX writes it where there is none") {
  auto header = parsed_header(
      raw_safetensors(R"({"__metadata__":null,"a":{"dtype":"U8","shape":[2],)"
                      R"("data_offsets":[0,2]}})",
                      2));
  CHECK(header.metadata.empty());
  REQUIRE(header.tensors.size() == 1);
  CHECK(header.tensors[0].name == "a");
}

TEST_CASE("a well-formed header gives absolute offsets, sorted") {
  auto json = std::string(
      R"({"b":{"data_offsets":[4,12],"shape":[2,2],"dtype":"BF16"},)"
      R"( "a\u00e9":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"( "empty":{"dtype":"I64","shape":[3,0],"data_offsets":[4,4]},)"
      R"( "__metadata__":{"format":"mlx"}}   )");
  auto header = parsed_header(raw_safetensors(json, 12));
  REQUIRE(header.tensors.size() == 3);
  CHECK(header.tensors[0].name == "aé");
  CHECK(header.tensors[0].offset == 8 + json.size());
  CHECK(header.tensors[0].shape == Shape{});
  CHECK(header.tensors[1].name == "empty");
  CHECK(header.tensors[1].bytes == 0);
  CHECK(header.tensors[2].dtype == DType::bf16);
  CHECK(header.tensors[2].shape == Shape{2, 2});
  CHECK(header.tensors[2].offset == 8 + json.size() + 4);
  CHECK(header.metadata.at("format") == "mlx");
}

TEST_CASE("no tensors is a valid file, and packed types are counted in bits") {
  CHECK(parsed_header(raw_safetensors("{}", 0)).tensors.empty());
  CHECK(parsed_header(raw_safetensors(entry(R"("F4")", "[4]", "[0,2]"), 2))
            .tensors[0]
            .dtype == DType::f4);
  CHECK(parsed_header(raw_safetensors(entry(R"("F6_E3M2")", "[4]", "[0,3]"), 3))
            .tensors[0]
            .bytes == 3);
}

TEST_CASE("any prefix of a good file is refused") {
  auto file = raw_safetensors(kGood, 2);
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    CHECK(finding_of([&] { parsed_header(file.substr(0, size)); }).id != "");
  }
}

TEST_CASE("what is written is read back") {
  TemporaryFolder folder;
  auto path = folder.path / "a.safetensors";
  SafetensorsWriter writer(path,
                           {{"x.weight", DType::f32, {2, 3}},
                            {"name with \"quotes\" and é", DType::u8, {5}},
                            {"none", DType::f16, {0}},
                            {"scalar", DType::bf16, {}}},
                           {{"format", "mlx"}});
  writer.write(bytes_of(std::string(20, 'x')));
  writer.write(bytes_of(std::string(4, 'x') + "12345" + "SC"));
  CHECK(!std::filesystem::exists(path));
  writer.commit();
  auto header = read_safetensors(path);
  REQUIRE(header.tensors.size() == 4);
  CHECK(header.tensors[0].name == "x.weight");
  CHECK(header.tensors[0].offset % 8 == 0);
  CHECK(header.tensors[0].shape == Shape{2, 3});
  CHECK(header.metadata.at("format") == "mlx");
  MappedFile file(path);
  CHECK(file.text().substr(header.tensors[1].offset, 5) == "12345");
  CHECK(header.tensors[1].name == "name with \"quotes\" and é");
  CHECK(file.text().ends_with("12345SC"));
}

TEST_CASE("the writer refuses what no reader would take") {
  TemporaryFolder folder;
  auto write = [&](std::vector<SafetensorsWriter::Entry> entries) {
    return finding_of([&] {
             SafetensorsWriter(folder.path / "a", std::move(entries), {});
           })
        .id;
  };
  CHECK(write({{"a", DType::u8, {1}}, {"a", DType::u8, {1}}}) ==
        "safetensors.duplicate-key");
  CHECK(write({{"__metadata__", DType::u8, {1}}}) ==
        "safetensors.duplicate-key");
  CHECK(write({{"a", DType::q4_0, {32}}}) == "safetensors.shape");
  CHECK(write({{"a", DType::u8, {-1}}}) == "safetensors.shape");
  CHECK(write({{"\xff", DType::u8, {1}}}) == "safetensors.header-malformed");

  SafetensorsWriter writer(folder.path / "b", {{"a", DType::u8, {2}}}, {});
  CHECK_THROWS_AS(writer.write(bytes_of("123")), std::logic_error);
  writer.write(bytes_of("1"));
  CHECK_THROWS_AS(writer.commit(), std::logic_error);
}

TEST_CASE("data may come in any order; a gap in it is refused") {
  TemporaryFolder folder;
  auto file = folder.path / "a";
  SafetensorsWriter writer(
      file, {{"a", DType::u8, {2}}, {"b", DType::u8, {3}}}, {});
  const auto first = writer.skip(2);
  writer.write(bytes_of("345"));
  CHECK_THROWS_AS(writer.skip(1), std::logic_error);
  CHECK_THROWS_AS(writer.commit(), std::logic_error);
  writer.write_at(first, bytes_of("12"));
  writer.commit();
  CHECK(read_text(file).ends_with("12345"));
}

TEST_CASE("files of the safetensors package are read") {
  auto folder = std::filesystem::path(ASSAY_TEST_DIR) / "golden/arch/llama";
  auto header = read_safetensors(folder / "model.safetensors");
  auto config = parse_json(read_text(folder / "config.json"), "config.json");
  int64_t hidden = config["hidden_size"];
  bool found = false;
  for (const auto& tensor : header.tensors) {
    if (tensor.name == "model.embed_tokens.weight") {
      CHECK(tensor.shape == Shape{config["vocab_size"], hidden});
      found = true;
    }
  }
  CHECK(found);
  CHECK(header.metadata.at("format") == "pt");
}
