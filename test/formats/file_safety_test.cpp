// The verdicts on a corpus of hostile and sound files, and what they cost.

#include "assay/formats/file_safety.h"

#include <algorithm>
#include <fstream>
#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/json.h"
#include "assay/formats/torch_tensors.h"

#include "raw_bytes.h"
#include "raw_zip.h"

using namespace assay;
using namespace assay_test;
namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

const fs::path kCorpus = fs::path(ASSAY_TEST_DIR) / "corpus/safety";

FileSafety judge(std::string_view bytes, const char* name = "model.bin") {
  return judge_bytes(bytes_of(bytes), name);
}

std::string reasons(const FileSafety& file) {
  std::string text;
  for (const auto& reason : file.reasons) {
    text += reason.place + " " + std::to_string(reason.offset) + ": " +
            reason.text + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("each file of the corpus gets the verdict that it deserves") {
  auto verdicts = parse_json(read_text(kCorpus / "verdicts.json"), "verdicts");
  CHECK(verdicts.size() >= 60);
  for (const auto& [file, entry] : verdicts.items()) {
    auto found = judge_path(kCorpus / file);
    REQUIRE(found.size() == 1);
    auto trick = entry["trick"].get<std::string>();
    auto why = reasons(found[0]);
    CAPTURE(file);
    CAPTURE(trick);
    CAPTURE(why);
    CHECK(std::string(name(found[0].safety)) ==
          entry["verdict"].get<std::string>());
    CHECK((found[0].safety == Safety::safe) == found[0].reasons.empty());
    CHECK((found[0].safety == Safety::safe) == findings_of(found[0]).empty());
  }
}

TEST_CASE("what torch saved for the golden files is safe") {
  auto found = judge_path(fs::path(ASSAY_TEST_DIR) / "golden/torch");
  CHECK(found.size() >= 12);
  for (const auto& file : found) {
    auto why = reasons(file);
    CAPTURE(file.path);
    CAPTURE(why);
    bool module = file.path.filename() == "module.pt";
    CHECK(file.safety == (module ? Safety::undecided : Safety::safe));
  }
}

TEST_CASE("a verdict names import, call and byte") {
  auto file =
      judge("\x80\x02}X\x01\0\0\0kcos\nsystem\nX\x04\0\0\0echo\x85Rs."sv);
  CHECK(file.safety == Safety::unsafe);
  REQUIRE(file.reasons.size() == 2);
  CHECK(file.reasons[0].text == "imports os.system (GLOBAL)");
  CHECK(file.reasons[0].offset == 9);
  CHECK(file.reasons[1].text == "calls os.system('echo') (REDUCE)");
  CHECK(file.reasons[1].offset == 30);
  REQUIRE(file.imports.size() == 1);
  CHECK(file.imports[0].called);
  auto findings = findings_of(file);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].id == "pickle.unsafe");
  CHECK(findings[0].where == "model.bin: pickle 1, byte 9");
}

TEST_CASE("one hostile file in a folder does not hide the others") {
  TemporaryFolder folder;
  fs::create_directories(folder.path / "sub");
  folder.write("a.pkl", "cos\nsystem\n(S'echo'\ntR.");
  folder.write("sub/b.pt", "\x80\x02}.");
  folder.write("weights.data", "\x80\x02}.");
  folder.write("notes.txt", "no pickle");
  folder.write("llama2.bin", std::string(100, '\1'));
  auto found = judge_path(folder.path);
  REQUIRE(found.size() == 3);
  CHECK(found[0].safety == Safety::unsafe);
  CHECK(found[1].safety == Safety::safe);
  CHECK(found[2].safety == Safety::safe);
}

TEST_CASE("a spoiled byte never makes an unsafe file safe") {
  // Whatever is changed, the import stands there: only its own bytes may
  // turn the verdict.
  std::string evil =
      "\x80\x02}X\x01\0\0\0kcos\nsystem\nX\x04\0\0\0echo\x85Rs."s;
  for (size_t at = 0; at < evil.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      auto changed = evil;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      CAPTURE(at);
      bool import = changed.find("cos\nsystem\n") != std::string::npos;
      bool safe = judge(changed).safety == Safety::safe;
      CHECK_FALSE((import && at > 8 && safe));
    }
  }
}

// A sparse file: the tensor's ten gigabytes are a hole, which reading would
// turn into pages.
TEST_CASE("a checkpoint of 10 GB is judged and listed by its pickle alone") {
  constexpr uint64_t kBytes = uint64_t{10} << 30;
  TemporaryFolder folder;
  auto path = folder.path / "pytorch_model.bin";
  auto pickle =
      "\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0"
      "storagectorch\nByteStorage\nX\x01\0\0\0"
      "0X\x03\0\0\0"
      "cpu"s +
      RawBytes().raw("\x8a\x08").put(kBytes).text + "tQK\0"s +
      RawBytes().raw("\x8a\x08").put(kBytes).text + "\x85K\x01\x85\x89N" +
      "tRs.";
  auto local = [](std::string_view name, uint64_t size, uint32_t crc) {
    RawBytes bytes;
    bytes.raw("PK\x03\x04").put(uint16_t{45}).put(uint32_t{0});
    bytes.put(uint32_t{0}).put(crc).put(uint64_t{0xffffffffffffffff});
    bytes.put(uint16_t(name.size())).put(uint16_t{20}).raw(name);
    return bytes.put(uint16_t{1}).put(uint16_t{16}).put(size).put(size).text;
  };
  auto central = [](std::string_view name,
                    uint64_t size,
                    uint32_t crc,
                    uint64_t header) {
    RawBytes bytes;
    bytes.raw("PK\x01\x02").put(uint16_t{45}).put(uint16_t{45});
    bytes.put(uint32_t{0}).put(uint32_t{0}).put(crc);
    bytes.put(uint64_t{0xffffffffffffffff}).put(uint16_t(name.size()));
    bytes.put(uint16_t{28}).put(uint16_t{0}).put(uint64_t{0});
    bytes.put(uint32_t{0xffffffff}).raw(name);
    bytes.put(uint16_t{1}).put(uint16_t{24}).put(size).put(size).put(header);
    return bytes.text;
  };
  auto head =
      local("archive/data.pkl", pickle.size(), plain_crc(pickle)) + pickle;
  uint64_t second = head.size();
  head += local("archive/data/0", kBytes, 0);
  auto directory =
      central("archive/data.pkl", pickle.size(), plain_crc(pickle), 0) +
      central("archive/data/0", kBytes, 0, second);
  uint64_t start = head.size() + kBytes;
  RawBytes end;
  end.raw(directory).raw("PK\x06\x06").put(uint64_t{44});
  end.put(uint32_t{0x2d002d}).put(uint64_t{0}).put(uint64_t{2});
  end.put(uint64_t{2}).put(uint64_t{directory.size()}).put(start);
  end.raw("PK\x06\x07").put(uint32_t{0}).put(start + directory.size());
  end.put(uint32_t{1}).raw("PK\x05\x06").put(uint32_t{0});
  end.put(uint32_t{0xffffffff}).put(uint64_t{0xffffffffffffffff});
  end.put(uint16_t{0});
  {
    std::ofstream file(path, std::ios::binary);
    file.write(head.data(), static_cast<std::streamsize>(head.size()));
    file.seekp(static_cast<std::streamoff>(start));
    file.write(end.text.data(), static_cast<std::streamsize>(end.text.size()));
  }
  REQUIRE(fs::file_size(path) > kBytes);
  auto before = resident_bytes();
  auto found = judge_path(path);
  auto tensors = read_torch(path).tensors;
  auto after = resident_bytes();
  REQUIRE(found.size() == 1);
  CAPTURE(reasons(found[0]));
  CHECK(found[0].safety == Safety::safe);
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].bytes == kBytes);
  CHECK(after < before + (8u << 20));
}
