#include "assay/formats/safetensors_index.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <simdjson.h>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

// A shard is a file in the folder of the index, or below it. Links are fine:
// download caches are made of them.
bool stays_inside(const std::string& shard) {
  auto path = fs::path(shard);
  return !shard.empty() && path.is_relative() && path.has_filename() &&
         is_printable_utf8(shard) && shard.find('\\') == std::string::npos &&
         shard.find(':') == std::string::npos &&
         std::ranges::none_of(
             path, [](const fs::path& part) { return part == ".."; });
}

class IndexReader {
 public:
  explicit IndexReader(std::string_view where) : where_(where) {}

  SafetensorsIndex read(std::string_view text) {
    simdjson::dom::parser parser;
    simdjson::dom::object document =
        parser.parse(simdjson::padded_string(text));
    bool found = false;
    for (auto field : document) {
      if (field.key == "metadata" && field.value.is_object()) {
        read_metadata(field.value);
      }
      if (field.key != "weight_map") {
        continue;
      }
      if (found) {
        malformed("one weight_map", "a second one");
      }
      found = true;
      read_weight_map(field.value);
    }
    if (!found) {
      malformed("an object weight_map", "none");
    }
    return std::move(index_);
  }

  [[noreturn]] void malformed(std::string expected, std::string actual) const {
    fail("index.malformed",
         std::string(where_),
         std::move(expected),
         std::move(actual));
  }

 private:
  void read_metadata(simdjson::dom::object metadata) {
    index_.has_metadata = true;
    for (auto field : metadata) {
      if (field.key == "total_size") {
        read_size(field.value);
      }
    }
  }

  // Some writers sum in floating point.
  void read_size(simdjson::dom::element value) {
    uint64_t size = 0;
    double number = 0;
    if (value.get(size) == simdjson::SUCCESS) {
      index_.total_size = size;
    } else if (value.get(number) == simdjson::SUCCESS && number >= 0 &&
               number < 9e15 && number == std::floor(number)) {
      index_.total_size = static_cast<uint64_t>(number);
    } else {
      index_.unread_size = quote(simdjson::minify(value));
    }
  }

  void read_weight_map(simdjson::dom::object map) {
    std::unordered_map<std::string, size_t> numbers;
    for (auto field : map) {
      auto tensor = std::string(field.key);
      auto shard = std::string(std::string_view(field.value));
      if (!stays_inside(shard)) {
        fail("index.unsafe-path",
             fmt::format("{}: tensor {}", where_, quote(tensor)),
             "a file in the folder of the index",
             quote(shard));
      }
      auto [number, fresh] = numbers.emplace(shard, index_.shards.size());
      if (fresh) {
        index_.shards.push_back(shard);
      }
      if (!index_.shard_of.emplace(tensor, number->second).second) {
        malformed("each tensor once", quote(tensor) + " twice");
      }
    }
  }

  std::string_view where_;
  SafetensorsIndex index_;
};

}  // namespace

SafetensorsIndex parse_safetensors_index(std::string_view text,
                                         std::string_view where) {
  auto reader = IndexReader(where);
  try {
    return reader.read(text);
  } catch (const simdjson::simdjson_error& error) {
    reader.malformed("JSON with weight_map: {tensor: file}", error.what());
  }
}

// transformers (utils/hub.py) and diffusers (utils/hub_utils.py) put names into
// index["metadata"], which must be there. Neither reads total_size; exo plans
// with it, and huggingface_hub hands it on (get_safetensors_metadata). It is
// the bytes of all tensors (huggingface_hub, serialization/_base.py); the first
// mlx-lm (ml-explore/mlx-examples, pull request 413) wrote those of the files.
std::vector<Finding> hold_metadata(const SafetensorsIndex& index,
                                   std::string_view where,
                                   uint64_t tensor_bytes,
                                   uint64_t file_bytes) {
  if (!index.has_metadata) {
    return {make_finding("index.no-metadata",
                         std::string(where),
                         "an object metadata, which may be empty",
                         "none")};
  }
  bool right = index.total_size ? *index.total_size == tensor_bytes ||
                                      *index.total_size == file_bytes
                                : index.unread_size.empty();
  if (right) {
    return {};
  }
  return {
      make_finding("index.total-size",
                   fmt::format("{}: metadata.total_size", where),
                   fmt::format("{}, the bytes of all tensors", tensor_bytes),
                   index.total_size ? fmt::format("{}", *index.total_size)
                                    : index.unread_size)};
}

}  // namespace assay
