#pragma once

// GGUF versions 2 and 3, little and big endian: reader of headers, writer.
// Format: ggml's docs/gguf.md. Floor of the rules: ggml's gguf.cpp; beyond it
// duplicate keys and tensors, element types of known keys, overlaps.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "assay/formats/tensor_info.h"

namespace assay {

/** One metadata value. Integers keep their sign, not their width (`type`
 * does); arrays hold values of one type, nested arrays included. */
struct GgufValue {
  /** The format's own numbers. */
  enum class Type : uint32_t {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    u64 = 10,
    i64 = 11,
    f64 = 12,
  };
  Type type = Type::u32;
  Type element_type = Type::u32;  ///< of an array
  std::variant<uint64_t,
               int64_t,
               double,
               bool,
               std::string,
               std::vector<uint64_t>,
               std::vector<int64_t>,
               std::vector<double>,
               std::vector<std::string>,
               std::vector<GgufValue>>
      value;  ///< arrays: of booleans as uint64_t 0/1, nested as GgufValue

  friend bool operator==(const GgufValue&, const GgufValue&) = default;
};

/** "u32", "string"... */
std::string_view name(GgufValue::Type type);
/** Type and value in a few words: "u32 7", "array of 3 string". */
std::string describe(const GgufValue& value);
/** Elements of an array; 0 for anything else. */
size_t array_size(const GgufValue& value);

/** Values of the types that models use. */
GgufValue gguf_u32(uint32_t value);
GgufValue gguf_i32(int32_t value);
GgufValue gguf_f32(float value);
GgufValue gguf_bool(bool value);
GgufValue gguf_text(std::string value);
GgufValue gguf_texts(std::vector<std::string> values);
GgufValue gguf_u32s(const std::vector<uint32_t>& values);
GgufValue gguf_i32s(const std::vector<int32_t>& values);
GgufValue gguf_f32s(const std::vector<float>& values);

/** Metadata in file order. */
class GgufMetadata {
 public:
  std::vector<std::pair<std::string, GgufValue>> entries;

  const GgufValue* find(std::string_view key) const;
  /** Adds an entry, or replaces that of the same key. */
  void set(std::string_view key, GgufValue value);

  /** The value if it is there and of that kind; integers convert when they
   * fit, floats from f32 and f64. Nothing if absent; Error gguf.metadata-type
   * if there with another kind. */
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  const std::vector<std::string>* texts(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
};

struct GgufHeader {
  uint32_t version = 3;
  bool big_endian = false;
  uint64_t alignment = 32;
  uint64_t data_offset = 0;  ///< first byte of tensor data in the file
  uint64_t data_end = 0;     ///< after the last tensor and its padding
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors;  ///< in file order, absolute offsets
};

/** Parses the header of a GGUF of `file_size` bytes; `bytes` is the mapped
 * file, or anything that covers the header. `where` names the file in
 * findings. Throws Error gguf.* with tensor or key, byte offset and value.
 *
 * Beyond the rules of ggml: at least one dimension and no empty one, names in
 * UTF-8 without control characters, booleans 0 or 1, at most 2^24 elements in
 * all arrays together (a u8 takes 8 bytes here, so that a large array would
 * otherwise cost more memory than its file). Arrays may nest, 4 levels.
 *
 * When `big_endian` is set, the data of the tensors is so too; the header is
 * returned in the order of this machine. */
GgufHeader parse_gguf(std::span<const std::byte> bytes,
                      uint64_t file_size,
                      std::string_view where);

GgufHeader read_gguf(const std::filesystem::path& path);

struct GgufPart {
  std::filesystem::path path;
  GgufHeader header;
};

/** All parts of a split GGUF ("-00001-of-00003.gguf") in order, given any of
 * them; the file alone if it is not split. Checks split.no, split.count and
 * split.tensors.count, and that no tensor is in two parts. The metadata of
 * the model is that of the first part. */
std::vector<GgufPart> read_gguf_parts(const std::filesystem::path& path);

/** Their paths. */
std::vector<std::filesystem::path> gguf_parts(
    const std::filesystem::path& path);

/** Writes a GGUF v3, little endian: declare everything, append data in order,
 * commit. The padding between tensors is added here. `general.alignment` is
 * set from `alignment`, a power of two. Throws Error gguf.* for what the
 * format cannot hold (types it lacks, names over 63 bytes, partial blocks). */
class GgufWriter {
 public:
  struct Entry {
    std::string name;
    DType dtype;
    Shape shape;  ///< outermost first
  };
  GgufWriter(const std::filesystem::path& path,
             const GgufMetadata& metadata,
             const std::vector<Entry>& tensors,
             uint32_t alignment = 32);
  ~GgufWriter();
  /** The next bytes of the data; may come in pieces that cross tensors. */
  void write(std::span<const std::byte> bytes);
  /** Checks that all declared bytes came, and puts the file in place. */
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
