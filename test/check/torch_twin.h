#pragma once

// The same weights as a file of safetensors, as torch.save writes them: a zip
// with a pickle of the state dict and a storage for each tensor. Names that are
// to share one storage (tied weights) are given.

#include <filesystem>
#include <map>
#include <string>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/formats/safetensors.h"

#include "../formats/raw_zip.h"

namespace assay::testing {

namespace torch_twin {

inline std::string text(std::string_view value) {
  using assay_test::RawBytes;
  return RawBytes().raw("X").put(uint32_t(value.size())).raw(value).text;
}

inline std::string number(int64_t value) {
  return assay_test::RawBytes().raw("\x8a\x08").put(value).text;
}

inline std::string tuple(const std::vector<int64_t>& values) {
  std::string all = "(";
  for (auto value : values) {
    all += number(value);
  }
  return all + "t";
}

inline std::string storage_type(DType dtype) {
  const std::map<DType, std::string> kTypes = {{DType::f32, "FloatStorage"},
                                               {DType::f16, "HalfStorage"},
                                               {DType::bf16, "BFloat16Storage"},
                                               {DType::i64, "LongStorage"},
                                               {DType::i32, "IntStorage"},
                                               {DType::u8, "ByteStorage"}};
  REQUIRE(kTypes.contains(dtype));
  return kTypes.at(dtype);
}

inline std::string rebuilt(const TensorInfo& tensor, const std::string& key) {
  int64_t count = 1;
  std::vector<int64_t> strides(tensor.shape.size());
  for (size_t axis = tensor.shape.size(); axis-- > 0;) {
    strides[axis] = count;
    count *= tensor.shape[axis];
  }
  return text(tensor.name) + "ctorch._utils\n_rebuild_tensor_v2\n((" +
         text("storage") + "ctorch\n" + storage_type(tensor.dtype) + "\n" +
         text(key) + text("cpu") + number(count) + "tQ" + number(0) +
         tuple({tensor.shape.begin(), tensor.shape.end()}) + tuple(strides) +
         "\x89" + "ccollections\nOrderedDict\n)RtR";
}

}  // namespace torch_twin

/** Writes `to` and removes `from`; `also`: a second name of a tensor. */
inline void to_torch(const std::filesystem::path& from,
                     const std::filesystem::path& to,
                     const std::map<std::string, std::string>& also = {}) {
  auto header = read_safetensors(from);
  auto bytes = read_text(from);
  assay_test::RawZip zip;
  std::string pickle = "\x80\x02}(";
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    auto tensor = header.tensors[i];
    auto key = std::to_string(i);
    zip.add("archive/data/" + key, bytes.substr(tensor.offset, tensor.bytes));
    pickle += torch_twin::rebuilt(tensor, key);
    if (auto other = also.find(tensor.name); other != also.end()) {
      tensor.name = other->second;
      pickle += torch_twin::rebuilt(tensor, key);
    }
  }
  write_text(to,
             zip.add("archive/data.pkl", pickle + "u.")
                 .add("archive/version", "3\n")
                 .end());
  std::filesystem::remove(from);
}

/** Every *.safetensors of a folder and those below it; model.safetensors
 * becomes pytorch_model.bin. */
inline void all_to_torch(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") {
      files.push_back(entry.path());
    }
  }
  REQUIRE(!files.empty());
  for (const auto& file : files) {
    auto stem = file.stem().string();
    auto own = stem.starts_with("model") ? "pytorch_" + stem : stem;
    to_torch(file, file.parent_path() / (own + ".bin"));
  }
}

}  // namespace assay::testing
