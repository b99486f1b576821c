#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/gguf.h"
#include "assay/formats/quote.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

// "model-00002-of-00003.gguf": prefix "model", part 2 of 3.
struct SplitName {
  std::string prefix;
  int part = 0;
  int count = 0;
};

std::optional<int> five_digits(std::string_view text) {
  int value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<SplitName> split_file_name(const std::string& file) {
  constexpr std::string_view kForm = "-00001-of-00003.gguf";
  if (file.size() < kForm.size()) {
    return std::nullopt;
  }
  auto tail = std::string_view(file).substr(file.size() - kForm.size());
  auto part = five_digits(tail.substr(1, 5));
  auto count = five_digits(tail.substr(10, 5));
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" ||
      tail.substr(15) != ".gguf" || !part || !count) {
    return std::nullopt;
  }
  return SplitName{file.substr(0, file.size() - kForm.size()), *part, *count};
}

int64_t split_value(const GgufPart& part,
                    std::string_view key,
                    int64_t expected) {
  auto value = part.header.metadata.integer(key);
  if (value != expected) {
    fail("gguf.split-mismatch",
         fmt::format("{}: key {}", part.path.string(), quote(key)),
         std::to_string(expected),
         value ? std::to_string(*value) : "no such key");
  }
  return *value;
}

GgufPart read_part(const fs::path& path) {
  return {path, read_gguf(path)};
}

void check_tensors(const std::vector<GgufPart>& parts) {
  std::unordered_map<std::string_view, const GgufPart*> holders;
  for (const auto& part : parts) {
    for (const auto& tensor : part.header.tensors) {
      auto [holder, fresh] = holders.emplace(tensor.name, &part);
      if (!fresh) {
        fail("gguf.duplicate-tensor",
             fmt::format(
                 "{}: tensor {}", part.path.string(), quote(tensor.name)),
             "each tensor in one part",
             fmt::format("it also in {}",
                         holder->second->path.filename().string()));
      }
    }
  }
  for (const auto& part : parts) {
    split_value(
        part, "split.tensors.count", static_cast<int64_t>(holders.size()));
  }
}

}  // namespace

std::vector<GgufPart> read_gguf_parts(const fs::path& path) {
  std::vector<GgufPart> parts;
  parts.push_back(read_part(path));
  auto count = parts[0].header.metadata.integer("split.count").value_or(0);
  if (count <= 1) {
    return parts;
  }
  auto named = split_file_name(path.filename().string());
  if (!named || named->count != count || named->part < 1 ||
      named->part > count) {
    fail("gguf.split-name",
         path.string(),
         fmt::format("a name that ends in -00001-of-{:05}.gguf", count),
         quote(path.filename().string()));
  }
  auto given = std::move(parts[0]);
  parts.clear();
  for (int i = 1; i <= named->count; ++i) {
    auto part =
        path.parent_path() /
        fmt::format("{}-{:05}-of-{:05}.gguf", named->prefix, i, named->count);
    if (i == named->part) {
      // One part has this number: it is moved once.
      // NOLINTNEXTLINE(bugprone-use-after-move)
      parts.push_back(std::move(given));
    } else if (fs::exists(part)) {
      parts.push_back(read_part(part));
    } else {
      fail("gguf.missing-part",
           part.string(),
           fmt::format("part {} of {}", i, named->count),
           "no such file");
    }
    split_value(parts.back(), "split.no", i - 1);
    split_value(parts.back(), "split.count", count);
    if (parts.back().header.big_endian != parts[0].header.big_endian) {
      fail("gguf.split-mismatch",
           part.string(),
           "the byte order of the first part",
           "the other one");
    }
  }
  check_tensors(parts);
  return parts;
}

std::vector<fs::path> gguf_parts(const fs::path& path) {
  std::vector<fs::path> paths;
  for (auto& part : read_gguf_parts(path)) {
    paths.push_back(std::move(part.path));
  }
  return paths;
}

}  // namespace assay
