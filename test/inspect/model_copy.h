#pragma once

// A tiny golden model copied to a folder of its own, to be spoiled in one way.

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/json.h"
#include "assay/core/platform.h"
#include "assay/formats/model_files.h"
#include "assay/formats/safetensors.h"

namespace assay::testing {

namespace fs = std::filesystem;

struct StoredTensor {
  SafetensorsWriter::Entry entry;
  std::vector<std::byte> data;

  /** Of float32 tensors. */
  void fill(float value) {
    for (size_t i = 0; i + 4 <= data.size(); i += 4) {
      std::memcpy(&data[i], &value, 4);
    }
  }
  void set(size_t index, float value) {
    std::memcpy(&data.at(4 * index), &value, 4);
  }
};

class ModelCopy {
 public:
  explicit ModelCopy(const std::string& golden) {
    static int count = 0;
    path = fs::path(ASSAY_BUILD_DIR) / "test-models" /
           fmt::format("{}-{}", platform::process_id(), ++count);
    fs::remove_all(path);
    fs::create_directories(path);
    auto source = fs::path(ASSAY_TEST_DIR) / "golden/arch" / golden;
    for (const auto* name :
         {"config.json", "generation_config.json", "model.safetensors"}) {
      fs::copy_file(source / name, path / name);
    }
  }
  ~ModelCopy() { fs::remove_all(path); }
  ModelCopy(const ModelCopy&) = delete;
  ModelCopy& operator=(const ModelCopy&) = delete;

  void write(const std::string& name, std::string_view text) const {
    write_text(path / name, text);
  }

  void edit(const std::string& document,
            const std::function<void(Json&)>& change) const {
    auto file = path / document;
    auto json = parse_json(read_text(file), file.string());
    change(json);
    write_text(file, to_text(json));
  }
  void edit_config(const std::function<void(Json&)>& change) const {
    edit("config.json", change);
  }

  using Tensors = std::map<std::string, StoredTensor>;
  void edit_tensors(const std::function<void(Tensors&)>& change) const {
    auto file = path / "model.safetensors";
    Tensors tensors;
    {
      auto model = open_model(file);
      auto data = TensorData(model);
      for (const auto& tensor : model.tensors) {
        auto bytes = data.bytes(tensor);
        tensors[tensor.name] = {{tensor.name, tensor.dtype, tensor.shape},
                                {bytes.begin(), bytes.end()}};
      }
    }
    change(tensors);
    std::vector<SafetensorsWriter::Entry> entries;
    for (auto& [name, tensor] : tensors) {
      tensor.entry.name = name;
      tensor.data.resize(
          *byte_size(tensor.entry.dtype, *element_count(tensor.entry.shape)));
      entries.push_back(tensor.entry);
    }
    auto writer = SafetensorsWriter(file, entries, {{"format", "pt"}});
    for (const auto& [name, tensor] : tensors) {
      writer.write(tensor.data);
    }
    writer.commit();
  }

  /** A tokenizer of whole words with ids from 0 to `size` - 1: "w0"..., the
   * last `special` of them special tokens "<s0>"... */
  void add_tokenizer(int size, int special = 3) const {
    Json words = Json::object();
    auto added = Json::array();
    for (int id = 0; id < size; ++id) {
      bool plain = id < size - special;
      auto text = plain ? fmt::format("w{}", id)
                        : fmt::format("<s{}>", id - (size - special));
      if (plain) {
        words[text] = id;
      } else {
        added.push_back({{"id", id},
                         {"content", text},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
      }
    }
    Json json = {
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", added},
        {"normalizer", nullptr},
        {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
        {"post_processor", nullptr},
        {"decoder", nullptr},
        {"model",
         {{"type", "WordLevel"}, {"vocab", words}, {"unk_token", "w0"}}}};
    write("tokenizer.json", to_text(json));
    write("tokenizer_config.json",
          R"({"tokenizer_class": "PreTrainedTokenizerFast",
              "eos_token": "<s0>", "unk_token": "w0"})");
  }

  fs::path path;
};

}  // namespace assay::testing
