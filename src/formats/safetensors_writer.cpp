#include <array>
#include <atomic>
#include <stdexcept>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/formats/quote.h"
#include "assay/formats/safetensors.h"

namespace assay {
namespace {

uint64_t bytes_of(const SafetensorsWriter::Entry& entry,
                  const std::string& file) {
  auto count = element_count(entry.shape);
  auto bytes = count ? byte_size(entry.dtype, *count) : std::nullopt;
  if (!bytes || is_block_quantized(entry.dtype)) {
    fail("safetensors.shape",
         fmt::format("{}: tensor {}", file, quote(entry.name)),
         "whole bytes of a plain type",
         fmt::format("{} {}", name(entry.dtype), to_string(entry.shape)));
  }
  return *bytes;
}

// The JSON of the header, offsets in the order declared, padded with spaces so
// that the data begins at a multiple of 8.
std::string header_text(const std::vector<SafetensorsWriter::Entry>& entries,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& file,
                        uint64_t& total) {
  // Built entry by entry: an ordered JSON object would look through all the
  // names before each one it takes.
  std::unordered_set<std::string_view> names;
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":" + Json(metadata).dump();
  }
  total = 0;
  for (const auto& entry : entries) {
    uint64_t begin = total;
    if (__builtin_add_overflow(total, bytes_of(entry, file), &total)) {
      fail("safetensors.shape", file, "fewer than 2^64 bytes of data", "more");
    }
    if (!names.insert(entry.name).second || entry.name == "__metadata__") {
      fail("safetensors.duplicate-key",
           file,
           "each name once",
           quote(entry.name) + " twice");
    }
    Json info = {{"dtype", std::string(name(entry.dtype))},
                 {"shape", entry.shape},
                 {"data_offsets", {begin, total}}};
    text += text.size() > 1 ? "," : "";
    text += Json(entry.name).dump() + ":" + info.dump();
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

struct SafetensorsWriter::State {
  AtomicFile file;
  uint64_t left;                    ///< bytes of data that have no place yet
  std::atomic<uint64_t> empty = 0;  ///< bytes of room that was left
};

SafetensorsWriter::SafetensorsWriter(
    const std::filesystem::path& path,
    const std::vector<Entry>& entries,
    const std::map<std::string, std::string>& metadata) {
  uint64_t total = 0;
  std::string text;
  try {
    text = header_text(entries, metadata, path.string(), total);
  } catch (const Json::exception& error) {
    fail("safetensors.header-malformed",
         path.string(),
         "names and metadata in UTF-8",
         error.what());
  }
  state_.reset(new State{.file = AtomicFile(path), .left = total});
  std::array<std::byte, 8> length{};
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<std::byte>(uint64_t{text.size()} >> (8 * i));
  }
  state_->file.write(length);
  state_->file.write(text);
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  write_at(skip(bytes.size()), bytes);
}

uint64_t SafetensorsWriter::skip(uint64_t bytes) {
  if (bytes > state_->left) {
    throw std::logic_error("SafetensorsWriter: more data than declared");
  }
  state_->left -= bytes;
  state_->empty += bytes;
  return state_->file.skip(bytes);
}

void SafetensorsWriter::write_at(uint64_t at,
                                 std::span<const std::byte> bytes) {
  state_->file.write_at(at, bytes);
  state_->empty -= bytes.size();
}

void SafetensorsWriter::commit() {
  if (const uint64_t missing = state_->left + state_->empty; missing != 0) {
    throw std::logic_error(
        fmt::format("SafetensorsWriter: {} bytes of data missing", missing));
  }
  state_->file.commit();
}

}  // namespace assay
