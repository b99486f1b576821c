#include "assay/formats/safetensors_index.h"

#include <algorithm>

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

}  // namespace assay
