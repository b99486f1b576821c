// Zip archives: what they hold, and what they disagree about.

#include "assay/formats/zip.h"

#include <algorithm>
#include <charconv>

#include <doctest/doctest.h>

#include "raw_bytes.h"
#include "raw_zip.h"

using namespace assay;
using namespace assay_test;
using OddityKind = ZipOddity::Kind;

namespace {

constexpr uint64_t kLimit = 1 << 20;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<OddityKind> oddities(std::string_view archive) {
  std::vector<OddityKind> kinds;
  for (const auto& oddity : read_zip(bytes_of(archive), "test").oddities) {
    kinds.push_back(oddity.kind);
  }
  return kinds;
}

using Kinds = std::vector<OddityKind>;

std::string zip_refusal(std::string_view archive) {
  return finding_of([&] { read_zip(bytes_of(archive), "test"); }).id;
}

std::string unpack_refusal(std::string_view archive, uint64_t limit = kLimit) {
  auto zip = read_zip(bytes_of(archive), "test");
  REQUIRE_FALSE(zip.entries.empty());
  return finding_of([&] { unpack(zip, zip.entries[0], limit, true, "test"); })
      .id;
}

RawZipEntry zip_entry(std::string name, std::string data) {
  RawZipEntry made;
  made.name = std::move(name);
  made.data = std::move(data);
  return made;
}

// CPython's zipfile, ZIP_DEFLATED: a/one is 100 times "abc", a/two the bytes
// from 0 to 31.
constexpr std::string_view kDeflated =
    "504b03041400000008000000210084b8c4d0090000002c01000005000000612f6f6e"
    "654b4c4a4e1c45c42100504b0304140000000800000021008a7e2691220000002000"
    "000005000000612f74776f6360646266616563e7e0e4e2e6e1e5e317101412161115"
    "1397909492969195930700504b010214031400000008000000210084b8c4d0090000"
    "002c010000050000000000000000000000800100000000612f6f6e65504b01021403"
    "140000000800000021008a7e26912200000020000000050000000000000000000000"
    "80012c000000612f74776f504b0506000000000200020066000000710000000000";

std::string zip_from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
    bytes += static_cast<char>(value);
  }
  return bytes;
}

}  // namespace

TEST_CASE("stored entries lie in the file as they are") {
  auto archive = RawZip().add("a/one", "hello").add("a/two", "world!").end();
  auto zip = read_zip(bytes_of(archive), "test");
  CHECK(zip.oddities.empty());
  REQUIRE(zip.entries.size() == 2);
  const auto* two = zip.find("a/two");
  REQUIRE(two != nullptr);
  CHECK(two->stored());
  CHECK(archive.substr(two->data, two->size) == "world!");
  CHECK(text_of(unpack(zip, *two, kLimit, true, "test")) == "world!");
  CHECK(crc_of(zip, *two, "test") == 0x718498e8);
  CHECK(zip.find("a/three") == nullptr);
}

TEST_CASE("deflated entries are unpacked") {
  auto archive = zip_from_hex(kDeflated);
  auto zip = read_zip(bytes_of(archive), "test");
  CHECK(zip.oddities.empty());
  REQUIRE(zip.entries.size() == 2);
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    expected += "abc";
  }
  CHECK_FALSE(zip.entries[0].stored());
  CHECK(text_of(unpack(zip, zip.entries[0], kLimit, true, "test")) == expected);
  auto two = text_of(unpack(zip, zip.entries[1], kLimit, true, "test"));
  REQUIRE(two.size() == 32);
  CHECK(two[31] == 31);
  SUBCASE("and not beyond the limit") {
    CHECK(unpack_refusal(archive, 299) == "zip.too-large");
    CHECK(unpack_refusal(archive, 300) == "");
  }
  SUBCASE("and not when they are damaged") {
    auto data = static_cast<size_t>(zip.entries[0].data);
    archive[data] = '\x07';
    CHECK(unpack_refusal(archive) == "zip.malformed");
  }
}

TEST_CASE("zip64 end records lead to the directory") {
  auto made = RawZip().add("a/one", "hello");
  CHECK(oddities(made.end64()) == Kinds{});
  CHECK(read_zip(bytes_of(made.end64()), "test").entries.size() == 1);
  // Behind other bytes their locator is wrong.
  CHECK(zip_refusal(made.end64(uint64_t{1} << 63)) == "");
  auto bad = RawZip().end64(77);
  bad[0] = 'X';
  CHECK(zip_refusal(bad) == "zip.malformed");
}

TEST_CASE("what breaks off is refused, at every length") {
  auto archive = RawZip().add("a/one", "hello").end();
  for (size_t length = 0; length < archive.size(); ++length) {
    CAPTURE(length);
    CHECK(zip_refusal(archive.substr(0, length)) == "zip.malformed");
  }
}

TEST_CASE("every byte changed: read, or refused with a finding") {
  auto archive = RawZip().add("a/one", "hello").add("b", "x").end64();
  for (size_t at = 0; at < archive.size(); ++at) {
    for (char value : {'\0', '\x7f', '\xff'}) {
      auto changed = archive;
      changed[at] = value;
      auto finding = finding_of([&] {
        auto zip = read_zip(bytes_of(changed), "test");
        for (const auto& each : zip.entries) {
          unpack(zip, each, kLimit, true, "test");
        }
      });
      bool known = finding.id.empty() || finding.id.starts_with("zip.");
      CHECK(known);
    }
  }
}

TEST_CASE("a CRC that the data do not have") {
  auto changed = zip_entry("a", "hello");
  changed.crc = 1;
  auto archive = RawZip().add(changed).end();
  CHECK(oddities(archive) == Kinds{});
  CHECK(unpack_refusal(archive) == "zip.crc");
}

TEST_CASE("what an archive disagrees about is listed") {
  auto one = zip_entry("a/one", "hello");
  SUBCASE("two names") {
    one.local_name = "a/two";
    CHECK(oddities(RawZip().add(one).end()) == Kinds{OddityKind::name_differs});
  }
  SUBCASE("two sizes") {
    auto archive = RawZip().add(one).end();
    archive[22] = 4;
    CHECK(oddities(archive) == Kinds{OddityKind::field_differs});
  }
  SUBCASE("one name twice: the first counts") {
    auto archive = RawZip().add("a", "first").add("a", "second").end();
    CHECK(oddities(archive) == Kinds{OddityKind::duplicate_name});
    auto zip = read_zip(bytes_of(archive), "test");
    CHECK(zip.find("a")->size == 5);
  }
  SUBCASE("names that leave the folder") {
    for (auto name :
         {"/etc/x", "../x", "a/../x", "a/..", "C:x", "a\\b", "a\n"}) {
      CAPTURE(name);
      CHECK(oddities(RawZip().add(name, "x").end()) ==
            Kinds{OddityKind::unsafe_name});
    }
    CHECK(oddities(RawZip().add("a/..b/c..", "x").end()) == Kinds{});
  }
  SUBCASE("encryption, unknown methods") {
    one.flags = 1;
    auto archive = RawZip().add(one).end();
    CHECK(oddities(archive) == Kinds{OddityKind::encrypted});
    CHECK(unpack_refusal(archive) == "zip.unsupported");
    one.flags = 0;
    one.method = 12;
    archive = RawZip().add(one).end();
    CHECK(oddities(archive) == Kinds{OddityKind::unknown_method});
    CHECK(unpack_refusal(archive) == "zip.unsupported");
  }
  SUBCASE("data beyond the end") {
    one.packed = one.size = 1 << 20;
    auto archive = RawZip().add(one).end();
    CHECK(oddities(archive).front() == OddityKind::unreachable);
    CHECK(unpack_refusal(archive) == "zip.malformed");
  }
  SUBCASE("no header there") {
    one.header = 7;
    CHECK(oddities(RawZip().add(one).end()).front() == OddityKind::unreachable);
  }
  SUBCASE("entries that share bytes") {
    auto two = zip_entry("a/two", "x");
    two.header = 0;
    two.local_name = "a/one";
    auto kinds = oddities(RawZip().add(one).add(two).end());
    CHECK(std::ranges::count(kinds, OddityKind::overlap) == 1);
  }
  SUBCASE("bytes before, between and after") {
    auto before = RawZip().raw("#!/bin/sh").add(one).end();
    CHECK(oddities(before) == Kinds{OddityKind::prefix});
    auto between = RawZip().add(one).raw("hidden").add("b", "x").end();
    CHECK(oddities(between) == Kinds{OddityKind::gap});
    CHECK(oddities(RawZip().add(one).end() + "tail") ==
          Kinds{OddityKind::trailing});
  }
  SUBCASE("bytes put in front of a whole archive") {
    auto shifted = "front" + RawZip().add(one).end();
    auto zip = read_zip(bytes_of(shifted), "test");
    CHECK(shifted.substr(zip.entries[0].data, 5) == "hello");
    CHECK(oddities(shifted) ==
          Kinds{OddityKind::directory_differs, OddityKind::prefix});
  }
  SUBCASE("another number of entries") {
    CHECK(oddities(RawZip().add(one).end(0, 2)) ==
          Kinds{OddityKind::directory_differs});
  }
  SUBCASE("an older end record") {
    auto older = RawZip().add(one).end();
    auto archive = RawZip().raw(older).add("b", "x").end();
    auto kinds = oddities(archive);
    CHECK(std::ranges::count(kinds, OddityKind::second_directory) == 1);
  }
}

TEST_CASE("bombs are told by their sizes") {
  auto one = zip_entry("a", std::string(1000, 'x'));
  one.method = 8;
  one.size = 1040 * 1000;
  CHECK(oddities(RawZip().add(one).end()) ==
        Kinds{OddityKind::impossible_ratio});
  one.data = std::string(1 << 20, 'x');
  one.size = int64_t{101} << 20;
  CHECK(oddities(RawZip().add(one).end()) == Kinds{OddityKind::extreme_ratio});
  one.size = int64_t{99} << 20;
  CHECK(oddities(RawZip().add(one).end()) == Kinds{});
}
