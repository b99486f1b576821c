#pragma once

// Reads a golden safetensors file whole, with a reader of its own so that a
// defect of the one under test cannot hide in it.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace assay::test {

using Golden = std::map<std::string, std::vector<std::byte>>;

/** Names and data of `path`, relative to the tests' folder. */
inline Golden read_golden(const std::string& path) {
  std::ifstream file(ASSAY_TEST_DIR "/golden/" + path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  uint64_t length = 0;
  if (text.size() < sizeof(length)) {
    throw std::runtime_error("no golden file " + path);
  }
  std::memcpy(&length, text.data(), sizeof(length));
  const auto header = nlohmann::json::parse(text.substr(8, length));
  Golden golden;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      continue;
    }
    const size_t begin = entry["data_offsets"][0];
    const size_t end = entry["data_offsets"][1];
    std::vector<std::byte> data(end - begin);
    if (!data.empty()) {
      std::memcpy(data.data(), text.data() + 8 + length + begin, data.size());
    }
    golden[name] = std::move(data);
  }
  return golden;
}

template <typename T>
std::vector<T> as(const std::vector<std::byte>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) {
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  }
  return values;
}

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  }
  return bytes;
}

/** First place where the bits differ, or the length of the longer. */
template <typename T>
size_t first_difference(const std::vector<T>& a, const std::vector<T>& b) {
  size_t i = 0;
  while (i < a.size() && i < b.size() &&
         std::memcmp(&a[i], &b[i], sizeof(T)) == 0) {
    ++i;
  }
  return i;
}

}  // namespace assay::test
