#include "assay/formats/gguf.h"

#include <doctest/doctest.h>

#include "assay/formats/gguf_types.h"

#include "raw_bytes.h"

using namespace assay;
using namespace assay_test;

namespace {

constexpr uint64_t kHuge = ~uint64_t{0};

GgufHeader parse(const std::string& file) {
  return parse_gguf(bytes_of(file), file.size(), "x.gguf");
}

struct Malformed {
  const char* what;
  std::string file;
  const char* id;
  const char* in_line;  ///< a value or place that the finding must name
};

RawGguf one_tensor() {
  return RawGguf(1, 0);
}

// A header with one F32 tensor of given dimensions, type and offset.
std::string tensor_file(std::vector<int64_t> dims,
                        uint32_t type = 0,
                        uint64_t offset = 0,
                        std::string_view name = "t") {
  return one_tensor()
      .tensor(name, std::move(dims), type, offset)
      .pad()
      .data(64)
      .text;
}

std::vector<Malformed> malformed_start() {
  return {
      {"empty file", "", "gguf.truncated", "0 bytes"},
      {"three bytes", "GGU", "gguf.truncated", "3 bytes"},
      {"another magic", "GGML____________________", "gguf.magic", "'GGML'"},
      {"magic of a web page", "<!DOCTYPE html>", "gguf.magic", "'<!DO'"},
      {"nothing after the magic", "GGUF", "gguf.truncated", "0 bytes"},
      {"version 0", RawGguf(0, 0, 0).text, "gguf.version", "found 0"},
      {"version 1", RawGguf(0, 0, 1).text, "gguf.version", "found 1"},
      {"version 4", RawGguf(0, 0, 4).text, "gguf.version", "found 4"},
      {"version 1, big endian",
       RawGguf(0, 0, 1, true).text,
       "gguf.version",
       "found 1"},
      {"tensor count beyond the file",
       RawGguf(1000, 0).text,
       "gguf.count",
       "found 1000"},
      {"tensor count of 2^64 - 1",
       RawGguf(kHuge, 0).text,
       "gguf.count",
       "18446744073709551615"},
      {"key count beyond the file",
       RawGguf(0, 1000).text,
       "gguf.count",
       "found 1000"},
      {"key count of 2^64 - 1",
       RawGguf(0, kHuge).text,
       "gguf.count",
       "18446744073709551615"},
      {"ends within the counts",
       RawGguf(0, 0).text.substr(0, 20),
       "gguf.truncated",
       "4 bytes"},
  };
}

std::vector<Malformed> malformed_metadata() {
  auto one = [] { return RawGguf(0, 1); };
  auto tail = std::string(64, '\0');
  auto array = [&](uint32_t element, uint64_t count) {
    auto file = one().key("k", 9);
    file.put(element).put(count).raw(tail);
    return file.text;
  };
  auto nested = one().key("k", 9);
  for (int i = 0; i < 8; ++i) {
    nested.put(uint32_t{9}).put(uint64_t{1});
  }
  auto many = RawGguf(0, 1).key("k", 9);
  many.put(uint32_t{0}).put((uint64_t{1} << 24) + 1);
  many.data((1u << 24) + 1);
  return {
      {"key longer than the file",
       one().put(kHuge).raw(tail).text,
       "gguf.truncated",
       "18446744073709551615"},
      {"empty key", one().key("", 4).raw(tail).text, "gguf.name", "''"},
      {"key of 65536 bytes",
       one().key(std::string(65536, 'k'), 4).raw(tail).text,
       "gguf.name",
       "65536 bytes"},
      {"key with a NUL",
       one().key(std::string("a\0b", 3), 4).raw(tail).text,
       "gguf.name",
       "'a\\x00b'"},
      {"key that is no UTF-8",
       one().key("a\xff", 4).raw(tail).text,
       "gguf.name",
       "\\xff"},
      {"key twice",
       RawGguf(0, 2).u32("k", 1).u32("k", 2).text,
       "gguf.duplicate-key",
       "key 'k'"},
      {"value type 13",
       one().key("k", 13).raw(tail).text,
       "gguf.value-type",
       "found 13"},
      {"value type 2^32 - 1",
       one().key("k", ~0u).raw(tail).text,
       "gguf.value-type",
       "4294967295"},
      {"element type 13", array(13, 1), "gguf.value-type", "found 13"},
      {"boolean 2",
       one().key("k", 7).raw("\x02").raw(tail).text,
       "gguf.boolean",
       "found 2"},
      {"boolean 2 in an array",
       one().key("k", 9).put(7u).put(uint64_t{1}).raw("\x02").raw(tail).text,
       "gguf.boolean",
       "found 2"},
      {"string beyond the file",
       one().key("k", 8).put(uint64_t{100}).raw(tail).text,
       "gguf.truncated",
       "100 bytes"},
      {"string of 2^64 - 1",
       one().key("k", 8).put(kHuge).raw(tail).text,
       "gguf.truncated",
       "18446744073709551615"},
      {"array beyond the file", array(4, 17), "gguf.truncated", "17 elements"},
      {"array of 2^64 - 1",
       array(4, kHuge),
       "gguf.truncated",
       "18446744073709551615 elements"},
      {"array of 2^62 f64",
       array(12, uint64_t{1} << 62),
       "gguf.truncated",
       "4611686018427387904 elements"},
      {"strings of an array beyond the file",
       array(8, 9),
       "gguf.truncated",
       "9 elements"},
      {"arrays nested 9 deep", nested.text, "gguf.array-depth", "4 levels"},
      {"17 million elements", many.text, "gguf.array-length", "16777217"},
      {"ends within a number",
       one().key("some.longer.key", 10).raw("1234").text,
       "gguf.truncated",
       "8 bytes of u64"},
      {"alignment 0",
       one().u32("general.alignment", 0).text,
       "gguf.alignment",
       "found 0"},
      {"alignment 24",
       one().u32("general.alignment", 24).text,
       "gguf.alignment",
       "found 24"},
      {"alignment as u64",
       one().key("general.alignment", 10).raw(tail).text,
       "gguf.metadata-type",
       "found u64"},
      {"alignment as text",
       one().key("general.alignment", 8).raw(tail).text,
       "gguf.metadata-type",
       "found string"},
      {"architecture as number",
       one().u32("general.architecture", 1).text,
       "gguf.metadata-type",
       "found u32"},
      {"split.count as u32",
       one().u32("split.count", 1).text,
       "gguf.metadata-type",
       "found u32"},
      {"tokens as array of numbers",
       one()
           .key("tokenizer.ggml.tokens", 9)
           .put(4u)
           .put(uint64_t{1})
           .raw(tail)
           .text,
       "gguf.metadata-type",
       "array of 1 u32"},
  };
}

std::vector<Malformed> malformed_tensors() {
  auto pair = [](uint64_t first, uint64_t second, std::string_view name = "b") {
    return RawGguf(2, 0)
        .tensor("a", {8}, 0, first)
        .tensor(name, {8}, 0, second)
        .pad()
        .data(256)
        .text;
  };
  auto dims = RawGguf(1, 0);
  dims.string("t").put(5u);
  for (int i = 0; i < 5; ++i) {
    dims.put(int64_t{1});
  }
  dims.put(0u).put(uint64_t{0}).pad().data(64);
  auto no_dims = RawGguf(1, 0);
  no_dims.string("t").put(0u).put(0u).put(uint64_t{0}).pad().data(64);
  int64_t big = int64_t{1} << 32;
  return {
      {"name of 64 bytes",
       tensor_file({8}, 0, 0, std::string(64, 'n')),
       "gguf.name",
       "64 bytes"},
      {"name with an escape",
       tensor_file({8}, 0, 0, "\x1b[2J"),
       "gguf.name",
       "\\x1b[2J"},
      {"no name", tensor_file({8}, 0, 0, ""), "gguf.name", "''"},
      {"name twice", pair(0, 32, "a"), "gguf.duplicate-tensor", "'a'"},
      {"five dimensions", dims.text, "gguf.dimensions", "found 5"},
      {"no dimensions", no_dims.text, "gguf.dimensions", "found 0"},
      {"dimension 0", tensor_file({8, 0}), "gguf.dimensions", "found 0"},
      {"dimension -1", tensor_file({-1}), "gguf.dimensions", "found -1"},
      {"product of 2^64",
       tensor_file({big, big}),
       "gguf.size-overflow",
       "(4294967296, 4294967296)"},
      {"product of 2^63",
       tensor_file({big, int64_t{1} << 31}),
       "gguf.size-overflow",
       "(2147483648, 4294967296)"},
      {"2^62 values of 8 bytes",
       tensor_file({int64_t{1} << 62}, 28),
       "gguf.size-overflow",
       "F64 (4611686018427387904)"},
      {"type 43", tensor_file({8}, 43), "gguf.tensor-type", "found 43"},
      {"type 2^32 - 1",
       tensor_file({8}, ~0u),
       "gguf.tensor-type",
       "4294967295"},
      {"type 4, removed",
       tensor_file({32}, 4),
       "gguf.removed-type",
       "4 (Q4_2)"},
      {"type 31, removed",
       tensor_file({32}, 31),
       "gguf.removed-type",
       "31 (Q4_0_4_4)"},
      {"type 38, removed",
       tensor_file({32}, 38),
       "gguf.removed-type",
       "38 (IQ4_NL_8_8)"},
      {"Q4_0 row of 33", tensor_file({33}, 2), "gguf.block-size", "(33)"},
      {"Q4_K rows of 128, blocks over rows",
       tensor_file({128, 2}, 12),
       "gguf.block-size",
       "(2, 128)"},
      {"data beyond the end", tensor_file({17}), "gguf.beyond-end", "68 bytes"},
      {"first tensor not at 0",
       tensor_file({8}, 0, 32),
       "gguf.hole",
       "offset 32"},
      {"offset not aligned", pair(0, 33), "gguf.misaligned", "offset 33"},
      {"hole", pair(0, 64), "gguf.hole", "offset 64"},
      {"overlap", pair(0, 0), "gguf.overlap", "where 'a' ends"},
      {"order turned round", pair(32, 0), "gguf.hole", "offset 32"},
      {"offset that wraps",
       pair(0, kHuge - 31),
       "gguf.hole",
       "18446744073709551584"},
      {"no room for the padding of the header",
       one_tensor().tensor("t", {8}, 0, 0).text,
       "gguf.beyond-end",
       "32 bytes"},
      {"ends within a tensor",
       one_tensor().string("long.enough.a.name").put(1u).put(int64_t{8}).text,
       "gguf.truncated",
       "tensor 'long.enough.a.name'"},
  };
}

void check_all(const std::vector<Malformed>& cases) {
  for (const auto& test : cases) {
    CAPTURE(test.what);
    auto finding = finding_of([&] { parse(test.file); });
    CHECK(finding.id == test.id);
    auto line = to_line(finding);
    CAPTURE(line);
    CHECK(finding.where.starts_with("x.gguf: byte "));
    CHECK(line.find(test.in_line) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("a malformed GGUF start is a finding") {
  check_all(malformed_start());
}

TEST_CASE("malformed GGUF metadata is a finding") {
  check_all(malformed_metadata());
}

TEST_CASE("a malformed GGUF tensor is a finding") {
  check_all(malformed_tensors());
}

TEST_CASE("a GGUF finding names file, byte, tensor and value") {
  auto finding = finding_of([] { parse(tensor_file({8, -3})); });
  // 24 bytes of counts, 9 of name, 4 of dimension count, 8 of the first.
  CHECK(finding.where == "x.gguf: byte 45, tensor 't'");
  CHECK(finding.actual == "-3");
}

TEST_CASE("both versions and byte orders give the same header") {
  for (uint32_t version : {2u, 3u}) {
    for (bool big : {false, true}) {
      CAPTURE(version);
      CAPTURE(big);
      RawGguf file(2, 4, version, big);
      file.u32("general.alignment", 64);
      file.key("f", 6).put(0.5f);
      file.key("texts", 9).put(8u).put(uint64_t{2}).string("a").string("");
      file.key("nested", 9).put(9u).put(uint64_t{1}).put(3u).put(uint64_t{1});
      file.put(int16_t{-2});
      file.tensor("a", {32, 3}, 2, 0).tensor("b", {5}, 27, 64);
      file.pad(64).data(64 + 40);
      auto header = parse(file.text);
      CHECK(header.version == version);
      CHECK(header.big_endian == big);
      CHECK(header.alignment == 64);
      CHECK(header.metadata.number("f") == 0.5);
      CHECK(*header.metadata.texts("texts") ==
            std::vector<std::string>{"a", ""});
      auto nested = std::get<std::vector<GgufValue>>(
          header.metadata.find("nested")->value);
      CHECK(std::get<std::vector<int64_t>>(nested.at(0).value).at(0) == -2);
      REQUIRE(header.tensors.size() == 2);
      CHECK(header.tensors[0].shape == Shape{3, 32});
      CHECK(header.tensors[0].dtype == DType::q4_0);
      CHECK(header.tensors[0].bytes == 54);
      CHECK(header.tensors[0].offset == header.data_offset);
      CHECK(header.data_offset % 64 == 0);
      CHECK(header.tensors[1].offset == header.data_offset + 64);
      // The padding after the last tensor may be missing.
      CHECK(header.data_end == file.text.size() + 24);
    }
  }
}

TEST_CASE("metadata only is a valid GGUF; its end need not be padded") {
  auto header = parse(RawGguf(0, 1).u32("k", 7).text);
  CHECK(header.tensors.empty());
  CHECK(header.metadata.integer("k") == 7);
}

TEST_CASE("any prefix of a good GGUF is refused") {
  auto file =
      RawGguf(1, 1).u32("k", 7).tensor("t", {16}, 0, 0).pad().data(64).text;
  CHECK(parse(file).tensors.size() == 1);
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    CHECK(finding_of([&] { parse(file.substr(0, size)); }).id != "");
  }
}

TEST_CASE("values are had by kind, and another kind is an error") {
  GgufMetadata metadata;
  metadata.set("int", gguf_i32(-5));
  metadata.set("big", {GgufValue::Type::u64, GgufValue::Type::u32, kHuge});
  metadata.set("half", gguf_f32(0.5f));
  metadata.set("yes", gguf_bool(true));
  metadata.set("text", gguf_text("hello"));
  metadata.set("ids", gguf_u32s({1, 2}));
  CHECK(metadata.integer("int") == -5);
  CHECK(metadata.number("half") == 0.5);
  CHECK(metadata.boolean("yes") == true);
  CHECK(metadata.text("text") == "hello");
  CHECK(metadata.integers("ids") == std::vector<int64_t>{1, 2});
  CHECK(!metadata.integer("none"));
  CHECK(metadata.texts("none") == nullptr);
  auto refused = [&](auto call) {
    return finding_of([&] { call(); }).id == "gguf.metadata-type";
  };
  CHECK(refused([&] { metadata.integer("big"); }));
  CHECK(refused([&] { metadata.integer("half"); }));
  CHECK(refused([&] { metadata.number("int"); }));
  CHECK(refused([&] { metadata.boolean("int"); }));
  CHECK(refused([&] { metadata.text("ids"); }));
  CHECK(refused([&] { metadata.texts("ids"); }));
  CHECK(refused([&] { metadata.numbers("ids"); }));
  CHECK(refused([&] { metadata.integers("text"); }));
}

TEST_CASE("numbers of ggml types go both ways") {
  CHECK(dtype_from_ggml(0) == DType::f32);
  CHECK(dtype_from_ggml(30) == DType::bf16);
  CHECK(dtype_from_ggml(39) == DType::mxfp4);
  CHECK(dtype_from_ggml(40) == DType::nvfp4);
  CHECK(dtype_from_ggml(42) == DType::q2_0);
  CHECK(!dtype_from_ggml(43));
  CHECK(!ggml_id(DType::u8));
  for (uint32_t id = 0; id < 43; ++id) {
    CAPTURE(id);
    auto dtype = dtype_from_ggml(id);
    CHECK(dtype.has_value() == removed_ggml_type(id).empty());
    if (dtype) {
      CHECK(ggml_id(*dtype) == id);
    }
  }
}

namespace {

GgufMetadata every_type() {
  using Type = GgufValue::Type;
  auto list = [](Type type, auto value) {
    return GgufValue{Type::array, type, value};
  };
  GgufMetadata metadata;
  auto& to = metadata.entries;
  to.emplace_back("u8", GgufValue{Type::u8, Type::u32, uint64_t{255}});
  to.emplace_back("i8", GgufValue{Type::i8, Type::u32, int64_t{-128}});
  to.emplace_back("u16", GgufValue{Type::u16, Type::u32, uint64_t{65535}});
  to.emplace_back("i16", GgufValue{Type::i16, Type::u32, int64_t{-32768}});
  to.emplace_back("u32", gguf_u32(~0u));
  to.emplace_back("i32", gguf_i32(INT32_MIN));
  to.emplace_back("u64", GgufValue{Type::u64, Type::u32, kHuge});
  to.emplace_back("i64", GgufValue{Type::i64, Type::u32, INT64_MIN});
  to.emplace_back("f32", gguf_f32(1e-6f));
  to.emplace_back("f64", GgufValue{Type::f64, Type::u32, 1e300});
  to.emplace_back("bool", gguf_bool(true));
  to.emplace_back("text", gguf_text(std::string("a\0b\n", 4)));
  to.emplace_back("texts", gguf_texts({"", "b"}));
  to.emplace_back("bools", list(Type::boolean, std::vector<uint64_t>{1, 0}));
  to.emplace_back("u8s", list(Type::u8, std::vector<uint64_t>{0, 255}));
  to.emplace_back("i8s", list(Type::i8, std::vector<int64_t>{-128, 127}));
  to.emplace_back("i64s", list(Type::i64, std::vector<int64_t>{INT64_MIN}));
  to.emplace_back("f32s", gguf_f32s({0.5f, -2}));
  to.emplace_back("f64s", list(Type::f64, std::vector<double>{1e-300}));
  to.emplace_back("none", gguf_texts({}));
  to.emplace_back("nested",
                  list(Type::array,
                       std::vector<GgufValue>{gguf_i32s({1}), gguf_texts({})}));
  return metadata;
}

}  // namespace

TEST_CASE("what is written as GGUF is read back") {
  TemporaryFolder folder;
  for (uint32_t alignment : {8u, 32u, 256u}) {
    CAPTURE(alignment);
    auto path = folder.path / "a.gguf";
    auto metadata = every_type();
    GgufWriter writer(path,
                      metadata,
                      {{"a", DType::f32, {2, 3}},
                       {"b", DType::q4_k, {2, 256}},
                       {"c", DType::i8, {1, 1, 1, 1}}},
                      alignment);
    // In pieces that do not end where tensors do.
    auto data = std::string(24, 'a') + std::string(288, 'b') + "c";
    writer.write(bytes_of(data.substr(0, 100)));
    writer.write(bytes_of(data.substr(100)));
    writer.commit();
    auto header = read_gguf(path);
    CHECK(header.version == 3);
    CHECK(header.alignment == alignment);
    if (alignment != 32) {
      CHECK(header.metadata.entries.back().first == "general.alignment");
      header.metadata.entries.pop_back();
    }
    CHECK(header.metadata.entries == metadata.entries);
    REQUIRE(header.tensors.size() == 3);
    CHECK(header.tensors[1].shape == Shape{2, 256});
    CHECK(header.data_end == std::filesystem::file_size(path));
    MappedFile file(path);
    CHECK(file.text().substr(header.tensors[0].offset, 24) ==
          std::string(24, 'a'));
    CHECK(file.text().substr(header.tensors[1].offset, 288) ==
          std::string(288, 'b'));
    CHECK(file.text()[header.tensors[2].offset] == 'c');
  }
}

TEST_CASE("the GGUF writer refuses what no reader would take") {
  TemporaryFolder folder;
  auto write = [&](GgufWriter::Entry entry,
                   GgufMetadata metadata = {},
                   uint32_t alignment = 32) {
    return finding_of([&] {
             GgufWriter(folder.path / "a", metadata, {entry}, alignment);
           })
        .id;
  };
  CHECK(write({"a", DType::f32, {1}}) == "");
  CHECK(write({std::string(64, 'n'), DType::f32, {1}}) == "gguf.name");
  CHECK(write({"a", DType::u8, {1}}) == "gguf.tensor-type");
  CHECK(write({"a", DType::f32, {1, 1, 1, 1, 1}}) == "gguf.dimensions");
  CHECK(write({"a", DType::f32, {0}}) == "gguf.dimensions");
  CHECK(write({"a", DType::q8_0, {2, 16}}) == "gguf.block-size");
  CHECK(write({"a", DType::f32, {1}}, {}, 12) == "gguf.alignment");
  GgufMetadata wide;
  wide.set("k", {GgufValue::Type::u8, GgufValue::Type::u32, uint64_t{256}});
  CHECK(write({"a", DType::f32, {1}}, wide) == "gguf.metadata-type");

  GgufWriter writer(folder.path / "b", {}, {{"a", DType::i8, {2}}});
  CHECK_THROWS_AS(writer.write(bytes_of("123")), std::logic_error);
  GgufWriter cut(folder.path / "c", {}, {{"a", DType::i8, {2}}});
  cut.write(bytes_of("1"));
  CHECK_THROWS_AS(cut.commit(), std::logic_error);
}
