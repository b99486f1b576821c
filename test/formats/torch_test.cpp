// PyTorch's checkpoints: what torch saved, read to the same values; and what
// it would read beyond its bounds, refused.

#include <algorithm>

#include <doctest/doctest.h>

#include "assay/formats/model_files.h"
#include "assay/formats/safetensors.h"
#include "assay/formats/torch_tensors.h"

#include "raw_bytes.h"
#include "raw_zip.h"

using namespace assay;
using namespace assay_test;
namespace fs = std::filesystem;

namespace {

const fs::path kTorch = fs::path(ASSAY_TEST_DIR) / "golden/torch";

std::vector<std::string> names_of(const ModelFiles& model) {
  std::vector<std::string> names;
  for (const auto& tensor : model.tensors) {
    names.push_back(tensor.name);
  }
  std::ranges::sort(names);
  return names;
}

// Same names, types, shapes and bytes as beside it in safetensors.
void expect_golden(const std::string& file) {
  CAPTURE(file);
  auto model = open_model(kTorch / file);
  auto golden = open_model((kTorch / file).replace_extension(".safetensors"));
  CHECK(model.container == Container::torch);
  CHECK(names_of(model) == names_of(golden));
  TensorData data(model);
  TensorData golden_data(golden);
  for (const auto& tensor : golden.tensors) {
    CAPTURE(tensor.name);
    const auto* own = model.find(tensor.name);
    REQUIRE(own != nullptr);
    CHECK(own->dtype == tensor.dtype);
    CHECK(own->shape == tensor.shape);
    CHECK(own->bytes == tensor.bytes);
    CHECK(std::ranges::equal(data.bytes(*own), golden_data.bytes(tensor)));
    data.release(*own);
    CHECK(std::ranges::equal(data.bytes(*own), golden_data.bytes(tensor)));
  }
}

std::string text_value(std::string_view text) {
  return RawBytes().raw("X").put(uint32_t(text.size())).raw(text).text;
}

std::string number(int64_t value) {
  return RawBytes().raw("\x8a\x08").put(value).text;
}

std::string torch_numbers(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (auto value : values) {
    text += number(value);
  }
  return text + "t";
}

/** A state dict with one tensor 'w', as torch.save writes it. */
struct RawTensor {
  std::string type = "FloatStorage";
  int64_t count = 6;
  int64_t first = 0;
  std::vector<int64_t> shape = {2, 3};
  std::vector<int64_t> strides = {3, 1};

  std::string pickle() const {
    return "\x80\x02}" + text_value("w") +
           "ctorch._utils\n_rebuild_tensor_v2\n((" + text_value("storage") +
           "ctorch\n" + type + "\n" + text_value("0") + text_value("cpu") +
           number(count) + "tQ" + number(first) + torch_numbers(shape) +
           torch_numbers(strides) + "\x89" +
           "ccollections\nOrderedDict\n)RtRs.";
  }
  std::string file(size_t bytes) const {
    return RawZip()
        .add("archive/data.pkl", pickle())
        .add("archive/data/0", std::string(bytes, 'd'))
        .add("archive/version", "3\n")
        .end();
  }
};

TorchTensors torch_tensors(std::string_view bytes) {
  return parse_torch(bytes_of(bytes), "test");
}

std::string torch_refusal(std::string_view bytes) {
  return finding_of([&] { torch_tensors(bytes); }).id;
}

}  // namespace

TEST_CASE("torch's zip archives are read to the values that torch reads") {
  expect_golden("zip.pt");
  expect_golden("plain.pt");
  expect_golden("no_checksums.pt");
}

TEST_CASE("so are the format before 1.6 and the tar before 0.1.10") {
  expect_golden("legacy.pt");
  expect_golden("tar.pth");
}

TEST_CASE("big-endian and packed storages are put in order") {
  expect_golden("big_endian.pt");
  expect_golden("deflated.pt");
}

TEST_CASE("the model's state dict is found in what trainers save") {
  expect_golden("lightning.ckpt");
  expect_golden("nested.pth");
  expect_golden("module.pt");
  auto model = open_model(kTorch / "lightning.ckpt");
  REQUIRE(model.findings.size() == 1);
  CHECK(model.findings[0].id == "torch.other-tensors");
}

TEST_CASE("views keep where they lie, and plain tensors are mapped") {
  auto model = open_model(kTorch / "zip.pt");
  const auto* whole = model.find("whole");
  const auto* rows = model.find("rows");
  const auto* turned = model.find("transposed");
  REQUIRE((whole != nullptr && rows != nullptr && turned != nullptr));
  CHECK(whole->is_plain());
  CHECK(rows->is_plain());
  CHECK(rows->offset == whole->offset + 6 * 4);
  CHECK(turned->strides == std::vector<int64_t>{1, 6});
  CHECK(turned->offset == whole->offset);
}

TEST_CASE("kinds of tensors that have no equal are named, the others read") {
  auto model = open_model(kTorch / "unsupported.pt");
  CHECK(names_of(model) == std::vector<std::string>{"plain"});
  CHECK(model.findings.size() == 5);
  for (const auto& finding : model.findings) {
    CHECK(finding.id == "torch.unsupported");
  }
}

TEST_CASE("a view within its storage is read, one outside is refused") {
  CHECK(torch_tensors(RawTensor().file(24)).tensors.size() == 1);
  auto spoiled = [](auto change) {
    RawTensor tensor;
    change(tensor);
    return torch_refusal(tensor.file(24));
  };
  CHECK(spoiled([](auto& t) { t.first = 1; }) == "torch.view");
  CHECK(spoiled([](auto& t) { t.first = -1; }) == "torch.view");
  CHECK(spoiled([](auto& t) { t.shape = {2, 4}; }) == "torch.view");
  CHECK(spoiled([](auto& t) { t.strides = {4, 1}; }) == "torch.view");
  CHECK(spoiled([](auto& t) { t.strides = {-3, 1}; }) == "torch.view");
  CHECK(spoiled([](auto& t) { t.strides = {3}; }) == "torch.view");
  CHECK(spoiled([](auto& t) { t.shape = {-2, -3}; }) == "torch.view");
  CHECK(spoiled([](auto& t) {
          t.shape = {int64_t{1} << 62, 4};
          t.strides = {int64_t{1} << 62, 1};
        }) == "torch.view");
  // Values repeated by a stride of 0, more than the file could hold.
  CHECK(spoiled([](auto& t) {
          t.shape = {int64_t{1} << 40};
          t.strides = {0};
        }) == "torch.view");
}

TEST_CASE("the bytes of a storage are those that the pickle states") {
  CHECK(torch_refusal(RawTensor().file(23)) == "torch.storage");
  CHECK(torch_refusal(RawTensor().file(28)) == "torch.storage");
  RawTensor tensor;
  tensor.type = "DoubleStorage";
  CHECK(torch_refusal(tensor.file(24)) == "torch.storage");
  tensor.type = "FloatStorage";
  tensor.count = int64_t{1} << 62;
  CHECK(torch_refusal(tensor.file(24)) == "torch.storage");
  auto none = RawZip().add("a/data.pkl", RawTensor().pickle()).end();
  CHECK(torch_refusal(none) == "torch.storage");
}

TEST_CASE("what is no checkpoint is told from what is a broken one") {
  CHECK(torch_refusal("\x80\x02}.") == "torch.no-tensors");
  CHECK(torch_refusal("\x80\x02}") == "torch.malformed");
  CHECK(torch_refusal("GARBAGE") == "torch.malformed");
  CHECK(torch_refusal("") == "torch.malformed");
  CHECK(torch_refusal(RawZip().add("a/version", "3\n").end()) ==
        "torch.malformed");
  CHECK(torch_refusal(RawZip().add("data.pkl", "\x80\x02}.").end()) ==
        "torch.malformed");
  auto twice = RawZip()
                   .add("a/data.pkl", "\x80\x02}.")
                   .add("a/DATA.pkl", "\x80\x02}.")
                   .end();
  CHECK(torch_refusal(twice) == "torch.malformed");
}

TEST_CASE("every prefix of a checkpoint is refused, none crashes") {
  for (const auto* file : {"legacy.pt", "tar.pth", "plain.pt"}) {
    auto whole = read_text(kTorch / file);
    auto end = whole.find_last_not_of('\0');  // a tar is padded
    for (size_t length = 0; length + 600 < end; length += 7) {
      CAPTURE(length);
      auto id = torch_refusal(whole.substr(0, length));
      CHECK((id.starts_with("torch.") || id.starts_with("zip.")));
    }
  }
}

TEST_CASE("values that refer to each other without end are refused") {
  // Each dictionary holds the one before it twice.
  std::string text = "\x80\x02}q\x01";
  for (int i = 0; i < 40; ++i) {
    text += "0}q\x02(" + text_value("a") + "h\x01" + text_value("b") +
            "h\x01uq\x01";
  }
  auto file = RawZip().add("a/data.pkl", text + ".").end();
  CHECK(torch_refusal(file) == "torch.malformed");
}

TEST_CASE("a folder with .bin weights opens, single and sharded") {
  auto single = open_model(kTorch / "gpt2");
  CHECK(single.container == Container::torch);
  CHECK(single.files.size() == 1);
  CHECK(single.findings.empty());
  auto sharded = open_model(kTorch / "llama");
  CHECK(sharded.files.size() == 2);
  CHECK(sharded.findings.empty());
  for (const auto* name : {"llama", "gpt2"}) {
    auto golden = open_model(fs::path(ASSAY_TEST_DIR) / "golden/arch" / name);
    CHECK(names_of(open_model(kTorch / name)) == names_of(golden));
  }
}

TEST_CASE("what a trainer leaves beside the weights is not taken for them") {
  TemporaryFolder folder;
  fs::copy_file(kTorch / "plain.pt", folder.path / "pytorch_model.bin");
  fs::copy_file(kTorch / "nested.pth", folder.path / "training_args.bin");
  fs::copy_file(kTorch / "nested.pth", folder.path / "optimizer.pt");
  auto model = open_model(folder.path);
  CHECK(model.files.size() == 1);
  CHECK(model.findings.empty());
}
