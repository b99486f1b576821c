#pragma once

// What the Rust library gives and takes, with owners: a buffer of its own
// memory that is given back, and text as the pointer and size it wants.

#include <cstdint>
#include <string>
#include <string_view>

#include "assay/text/rust/include/assay_text.h"

namespace assay::rust_text {

/** Bytes that Rust allocated. */
class Bytes {
 public:
  Bytes() = default;
  ~Bytes() { assay_text_bytes_free(bytes_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  assay_text_bytes* out() { return &bytes_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes_.data), bytes_.size};
  }
  std::string text() const { return std::string(view()); }

 private:
  assay_text_bytes bytes_{};
};

/** Token ids that Rust allocated. */
class Ids {
 public:
  Ids() = default;
  ~Ids() { assay_text_ids_free(ids_); }
  Ids(const Ids&) = delete;
  Ids& operator=(const Ids&) = delete;

  assay_text_ids* out() { return &ids_; }
  const uint32_t* begin() const { return ids_.data; }
  const uint32_t* end() const { return ids_.data + ids_.size; }

 private:
  assay_text_ids ids_{};
};

inline const uint8_t* data(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace assay::rust_text
