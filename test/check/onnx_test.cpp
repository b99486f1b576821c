// ONNX models as the onnx package saves them; damaged and hostile ones.

#include "assay/formats/onnx.h"

#include "sound_copy.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

const std::string kFile = "model.onnx";

/** Replaces a text by one of the same length, so that no length changes. */
void replace(const fs::path& path,
             const std::string& from,
             const std::string& to) {
  REQUIRE(from.size() == to.size());
  auto text = read_text(path);
  auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  write_text(path, text.replace(at, from.size(), to));
}

}  // namespace

TEST_CASE("ONNX models are sound by their headers and never run") {
  for (const auto* name : {"onnx", "onnx/model.onnx", "onnx-external"}) {
    is_sound(sound(name));
  }
  CHECK(checked(sound("onnx")).verdict == Verdict::undecided);
}

TEST_CASE("what an ONNX file holds") {
  auto model = read_onnx(sound("onnx/model.onnx"));
  CHECK(model.ir_version == 8);
  CHECK(model.producer == "assay-sound");
  REQUIRE(model.opsets.size() == 1);
  CHECK(model.opsets[0].second == 17);
  CHECK(model.nodes == 4);
  CHECK(model.operators.at("MatMul") == 2);
  REQUIRE(model.tensors.size() == 3);
  CHECK(model.tensors[0].name == "first.weight");
  CHECK(model.tensors[0].shape == Shape{8, 16});
  CHECK(onnx_type_name(model.tensors[0].type) == "FLOAT");
  REQUIRE(model.inputs.size() == 1);
  CHECK(model.inputs[0].shape == std::vector<std::string>{"batch", "8"});
}

TEST_CASE("damaged ONNX files end as findings at every length") {
  auto text = read_text(sound("onnx-external/model.onnx"));
  SoundCopy copy("onnx");
  for (size_t length = 1; length < text.size(); length += 3) {
    write_text(copy.path / kFile, text.substr(0, length));
    CAPTURE(length);
    CHECK(headers(copy.path).verdict == Verdict::findings);
  }
  write_text(copy.path / kFile, "version https://git-lfs.github.com/spec/v1");
  names(copy, "onnx.malformed");
  // A graph in a graph in a graph: bounded.
  std::string deep = "\x0a\x00";
  for (int i = 0; i < 40; ++i) {
    auto wrap = [&](char tag) {
      std::string length;
      for (auto rest = deep.size(); true; rest >>= 7) {
        length += static_cast<char>((rest & 0x7f) | (rest > 127 ? 0x80 : 0));
        if (rest <= 127) {
          break;
        }
      }
      deep = tag + length + deep;
    };
    wrap('\x32');  // AttributeProto.g
    wrap('\x2a');  // NodeProto.attribute
    wrap('\x0a');  // GraphProto.node
  }
  write_text(copy.path / kFile,
             "\x08\x08\x3a" +
                 std::string{static_cast<char>((deep.size() & 0x7f) | 0x80),
                             static_cast<char>(deep.size() >> 7)} +
                 deep);
  names(copy, "onnx.limit");
}

TEST_CASE("names and external data") {
  SoundCopy undefined("onnx");
  // The node's input comes first in the file, the initializer's name later.
  replace(undefined.path / kFile, "first.weight", "firsx.weight");
  names(undefined, "onnx.undefined");
  SoundCopy alone("onnx-external");
  fs::remove(alone.path / "model.onnx_data");
  names(alone, "onnx.external-missing");
  SoundCopy cut("onnx-external");
  fs::resize_file(cut.path / "model.onnx_data", 100);
  names(cut, "onnx.external-range");
  for (const auto* location : {"/tc/shadow_data", "../../some_data"}) {
    SoundCopy hostile("onnx-external");
    replace(hostile.path / kFile, "model.onnx_data", location);
    names(hostile, "onnx.unsafe-path");
  }
}
