#pragma once

// Files of both formats made byte by byte, right or wrong as a test asks;
// nothing here is shared with the writers under test.

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/platform.h"

namespace assay_test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/** Appends numbers in either byte order. */
struct RawBytes {
  std::string text;
  bool big_endian = false;

  template <class T>
  RawBytes& put(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (size_t i = 0; i < sizeof(T); ++i) {
      text += bytes[big_endian ? sizeof(T) - 1 - i : i];
    }
    return *this;
  }
  RawBytes& raw(std::string_view more) {
    text += more;
    return *this;
  }
  RawBytes& string(std::string_view value) {
    return put(uint64_t{value.size()}).raw(value);
  }
  RawBytes& pad(size_t alignment = 32) {
    text.resize((text.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  RawBytes& data(size_t size) {
    text.resize(text.size() + size, 'd');
    return *this;
  }
};

/** A GGUF by its fields. */
struct RawGguf : RawBytes {
  explicit RawGguf(uint64_t tensors,
                   uint64_t keys,
                   uint32_t version = 3,
                   bool big = false) {
    big_endian = big;
    raw("GGUF").put(version).put(tensors).put(keys);
  }
  RawGguf& key(std::string_view name, uint32_t type) {
    string(name).put(type);
    return *this;
  }
  RawGguf& u32(std::string_view name, uint32_t value) {
    key(name, 4).put(value);
    return *this;
  }
  RawGguf& tensor(std::string_view name,
                  std::vector<int64_t> dims,  // innermost first
                  uint32_t type,
                  uint64_t offset) {
    string(name).put(static_cast<uint32_t>(dims.size()));
    for (auto dim : dims) {
      put(dim);
    }
    put(type).put(offset);
    return *this;
  }
};

/** Length field, header, data. */
inline std::string raw_safetensors(std::string_view json,
                                   size_t data,
                                   int64_t length = -1) {
  RawBytes bytes;
  bytes.put(length < 0 ? int64_t(json.size()) : length).raw(json);
  bytes.text.resize(bytes.text.size() + data, 'd');
  return bytes.text;
}

/** The finding that `call` ends with; an empty id if it ends well. */
template <class Call>
assay::Finding finding_of(Call&& call) {
  try {
    call();
  } catch (const assay::Error& error) {
    return error.finding();
  }
  return {};
}

struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    static int count = 0;
    path =
        std::filesystem::temp_directory_path() /
        ("assay-formats-test-" + std::to_string(assay::platform::process_id()) +
         "-" + std::to_string(count++));
    std::filesystem::create_directories(path);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path write(std::string_view name, std::string_view text) {
    auto file = path / name;
    std::filesystem::create_directories(file.parent_path());
    assay::write_text(file, text);
    return file;
  }
};

}  // namespace assay_test
