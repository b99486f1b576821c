#include "assay/formats/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/formats/gguf_types.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using Type = GgufValue::Type;

constexpr uint64_t kMaxElements = 1 << 24;  // in all arrays of a header
constexpr int kMaxArrayDepth = 4;
constexpr size_t kMaxTensorName = 63;  // GGML_MAX_NAME with its final NUL
constexpr size_t kMaxKey = 65535;      // 2^16 - 1, as the format says
constexpr uint32_t kMaxDims = 4;
// The least that an entry takes: name length and name, type, value; dimension
// count, one dimension, type, offset.
constexpr uint64_t kLeastKey = 8 + 1 + 4 + 1;
constexpr uint64_t kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;

// Types of the keys that readers look at without asking.
struct KnownKey {
  std::string_view key;
  Type type;
  Type element = Type::u32;
};
constexpr std::array kKnownKeys = {
    KnownKey{"general.architecture", Type::string},
    KnownKey{"general.alignment", Type::u32},
    KnownKey{"general.name", Type::string},
    KnownKey{"split.no", Type::u16},
    KnownKey{"split.count", Type::u16},
    KnownKey{"split.tensors.count", Type::i32},
    KnownKey{"tokenizer.ggml.model", Type::string},
    KnownKey{"tokenizer.ggml.tokens", Type::array, Type::string},
    KnownKey{"tokenizer.ggml.merges", Type::array, Type::string},
    KnownKey{"tokenizer.ggml.scores", Type::array, Type::f32},
    KnownKey{"tokenizer.ggml.token_type", Type::array, Type::i32},
    KnownKey{"tokenizer.chat_template", Type::string},
};

template <class T>
T byte_swapped(T value) {
  if constexpr (sizeof(T) == 8) {
    return std::bit_cast<T>(__builtin_bswap64(std::bit_cast<uint64_t>(value)));
  } else if constexpr (sizeof(T) == 4) {
    return std::bit_cast<T>(__builtin_bswap32(std::bit_cast<uint32_t>(value)));
  } else if constexpr (sizeof(T) == 2) {
    return std::bit_cast<T>(__builtin_bswap16(std::bit_cast<uint16_t>(value)));
  } else {
    return value;
  }
}

// Reads a header from front to back. `subject_` is the key or tensor at hand,
// for the messages.
class GgufHeaderReader {
 public:
  GgufHeaderReader(std::span<const std::byte> bytes,
                   uint64_t file_size,
                   std::string_view file)
      : bytes_(bytes), file_size_(file_size), file_(file) {}

  GgufHeader read() {
    read_magic();
    read_version();
    auto tensors = read_count("tensors", kLeastTensor);
    auto keys = read_count("metadata keys", kLeastKey);
    read_metadata(keys);
    read_alignment();
    read_tensors(tensors);
    return std::move(header_);
  }

 private:
  [[noreturn]] void refuse(std::string_view id,
                           std::string expected,
                           std::string actual) const {
    auto where = fmt::format("{}: byte {}", file_, start_);
    if (!subject_.empty()) {
      where += ", " + subject_;
    }
    fail(id, std::move(where), std::move(expected), std::move(actual));
  }

  uint64_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(uint64_t size, std::string_view what) {
    start_ = position_;
    if (size > left()) {
      refuse("gguf.truncated",
             fmt::format("{} bytes of {}", size, what),
             fmt::format("{} bytes to the end of the file", left()));
    }
    auto taken = bytes_.subspan(position_, static_cast<size_t>(size));
    position_ += static_cast<size_t>(size);
    return taken;
  }

  template <class T>
  T get(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    constexpr bool kHostBig = std::endian::native == std::endian::big;
    return header_.big_endian == kHostBig ? value : byte_swapped(value);
  }

  std::string_view get_text(std::string_view what) {
    auto length = get<uint64_t>(what);
    auto at = start_;
    auto text = take(length, what);
    start_ = at;
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  void read_magic() {
    auto magic = take(4, "magic");
    auto text = std::string_view(reinterpret_cast<const char*>(magic.data()),
                                 magic.size());
    if (text != "GGUF") {
      refuse("gguf.magic", "'GGUF'", quote(text));
    }
  }

  void read_version() {
    auto version = get<uint32_t>("version");
    // A version is small: zero in the low half means the other byte order.
    if (version != 0 && (version & 0xffff) == 0) {
      header_.big_endian = true;
      version = byte_swapped(version);
    }
    if (version != 2 && version != 3) {
      refuse("gguf.version", "version 2 or 3", std::to_string(version));
    }
    header_.version = version;
  }

  uint64_t read_count(std::string_view what, uint64_t least) {
    auto count = get<uint64_t>(what);
    if (count > left() / least) {
      refuse("gguf.count",
             fmt::format(
                 "at most {} {} in {} bytes", left() / least, what, left()),
             std::to_string(count));
    }
    return count;
  }

  // A key or tensor name.
  std::string read_name(std::string_view what, size_t limit) {
    subject_.clear();
    auto text = get_text(what);
    if (text.empty() || text.size() > limit || !is_printable_utf8(text)) {
      refuse("gguf.name",
             fmt::format("a {} of 1 to {} bytes of UTF-8 without control "
                         "characters",
                         what,
                         limit),
             text.size() > limit ? fmt::format("{} bytes", text.size())
                                 : quote(text));
    }
    subject_ = fmt::format("{} {}", what, quote(text));
    return std::string(text);
  }

  void read_metadata(uint64_t count) {
    auto& entries = header_.metadata.entries;
    entries.reserve(static_cast<size_t>(count));
    std::unordered_set<std::string> seen;
    for (uint64_t i = 0; i < count; ++i) {
      auto key = read_name("key", kMaxKey);
      if (!seen.insert(key).second) {
        refuse("gguf.duplicate-key", "each key once", "it a second time");
      }
      auto type = read_type();
      check_known(key, type);
      entries.emplace_back(std::move(key), read_value(type, 0));
      check_known_elements(entries.back().first, entries.back().second);
    }
    subject_.clear();
  }

  Type read_type() {
    auto type = get<uint32_t>("value type");
    if (type > static_cast<uint32_t>(Type::f64)) {
      refuse("gguf.value-type", "a type from 0 to 12", std::to_string(type));
    }
    return static_cast<Type>(type);
  }

  void check_known(std::string_view key, Type type) const {
    auto known = std::ranges::find(kKnownKeys, key, &KnownKey::key);
    if (known != kKnownKeys.end() && known->type != type) {
      refuse("gguf.metadata-type",
             std::string(name(known->type)),
             std::string(name(type)));
    }
  }

  void check_known_elements(std::string_view key,
                            const GgufValue& value) const {
    auto known = std::ranges::find(kKnownKeys, key, &KnownKey::key);
    if (known != kKnownKeys.end() && known->type == Type::array &&
        known->element != value.element_type) {
      refuse("gguf.metadata-type",
             fmt::format("array of {}", name(known->element)),
             describe(value));
    }
  }

  bool read_boolean() {
    auto value = get<uint8_t>("bool");
    if (value > 1) {
      refuse("gguf.boolean", "0 or 1", std::to_string(value));
    }
    return value == 1;
  }

  GgufValue read_value(Type type, int depth) {
    auto unsigned_value = [&](auto value) {
      return GgufValue{type, Type::u32, uint64_t{value}};
    };
    auto signed_value = [&](auto value) {
      return GgufValue{type, Type::u32, int64_t{value}};
    };
    auto float_value = [&](auto value) {
      return GgufValue{type, Type::u32, double{value}};
    };
    switch (type) {
      case Type::u8:
        return unsigned_value(get<uint8_t>("u8"));
      case Type::i8:
        return signed_value(get<int8_t>("i8"));
      case Type::u16:
        return unsigned_value(get<uint16_t>("u16"));
      case Type::i16:
        return signed_value(get<int16_t>("i16"));
      case Type::u32:
        return unsigned_value(get<uint32_t>("u32"));
      case Type::i32:
        return signed_value(get<int32_t>("i32"));
      case Type::f32:
        return float_value(get<float>("f32"));
      case Type::u64:
        return unsigned_value(get<uint64_t>("u64"));
      case Type::i64:
        return signed_value(get<int64_t>("i64"));
      case Type::f64:
        return float_value(get<double>("f64"));
      case Type::boolean:
        return {type, Type::u32, read_boolean()};
      case Type::string:
        return {type, Type::u32, std::string(get_text("string"))};
      case Type::array:
        return read_array(depth + 1);
    }
    refuse("gguf.value-type", "a type from 0 to 12", "another");
  }

  template <class Held, class Stored>
  std::vector<Held> read_numbers(uint64_t count) {
    std::vector<Held> values(static_cast<size_t>(count));
    for (auto& value : values) {
      // Signed bytes are numbers here, never characters.
      Held wide{get<Stored>("array element")};
      value = wide;
    }
    return values;
  }

  static uint64_t least_size(Type type) {
    switch (type) {
      case Type::u8:
      case Type::i8:
      case Type::boolean:
        return 1;
      case Type::u16:
      case Type::i16:
        return 2;
      case Type::u32:
      case Type::i32:
      case Type::f32:
        return 4;
      case Type::array:
        return 12;
      default:
        return 8;
    }
  }

  GgufValue read_array(int depth) {
    if (depth > kMaxArrayDepth) {
      refuse("gguf.array-depth",
             fmt::format("arrays of at most {} levels", kMaxArrayDepth),
             "more");
    }
    GgufValue value;
    value.type = Type::array;
    value.element_type = read_type();
    auto count = get<uint64_t>("array length");
    if (count > left() / least_size(value.element_type)) {
      refuse("gguf.truncated",
             fmt::format("{} elements of {}", count, name(value.element_type)),
             fmt::format("{} bytes to the end of the file", left()));
    }
    if (count > kMaxElements - elements_) {
      refuse("gguf.array-length",
             fmt::format("at most {} elements in all arrays", kMaxElements),
             std::to_string(elements_ + count));
    }
    elements_ += count;
    read_elements(value, count, depth);
    return value;
  }

  void read_elements(GgufValue& array, uint64_t count, int depth) {
    auto& value = array.value;
    switch (array.element_type) {
      case Type::u8:
        value = read_numbers<uint64_t, uint8_t>(count);
        break;
      case Type::u16:
        value = read_numbers<uint64_t, uint16_t>(count);
        break;
      case Type::u32:
        value = read_numbers<uint64_t, uint32_t>(count);
        break;
      case Type::u64:
        value = read_numbers<uint64_t, uint64_t>(count);
        break;
      case Type::i8:
        value = read_numbers<int64_t, int8_t>(count);
        break;
      case Type::i16:
        value = read_numbers<int64_t, int16_t>(count);
        break;
      case Type::i32:
        value = read_numbers<int64_t, int32_t>(count);
        break;
      case Type::i64:
        value = read_numbers<int64_t, int64_t>(count);
        break;
      case Type::f32:
        value = read_numbers<double, float>(count);
        break;
      case Type::f64:
        value = read_numbers<double, double>(count);
        break;
      case Type::boolean: {
        std::vector<uint64_t> truths(static_cast<size_t>(count));
        std::ranges::generate(truths, [this] { return read_boolean(); });
        value = std::move(truths);
        break;
      }
      case Type::string: {
        std::vector<std::string> texts(static_cast<size_t>(count));
        std::ranges::generate(texts, [this] { return get_text("string"); });
        value = std::move(texts);
        break;
      }
      case Type::array: {
        std::vector<GgufValue> arrays;
        arrays.reserve(static_cast<size_t>(count));
        for (uint64_t i = 0; i < count; ++i) {
          arrays.push_back(read_array(depth + 1));
        }
        value = std::move(arrays);
        break;
      }
    }
  }

  void read_alignment() {
    auto alignment = header_.metadata.integer("general.alignment");
    if (!alignment) {
      return;
    }
    header_.alignment = static_cast<uint64_t>(*alignment);
    if (!std::has_single_bit(header_.alignment)) {
      subject_ = "key 'general.alignment'";
      refuse("gguf.alignment", "a power of two", std::to_string(*alignment));
    }
  }

  void read_tensors(uint64_t count) {
    header_.tensors.reserve(static_cast<size_t>(count));
    std::unordered_set<std::string> seen;
    for (uint64_t i = 0; i < count; ++i) {
      TensorInfo info;
      info.name = read_name("tensor", kMaxTensorName);
      if (!seen.insert(info.name).second) {
        refuse("gguf.duplicate-tensor", "each name once", "a second of it");
      }
      info.shape = read_shape();
      auto at_type = position_;
      info.dtype = read_dtype();
      info.offset = get<uint64_t>("data offset");
      start_ = at_type;
      info.bytes = size_of(info);
      header_.tensors.push_back(std::move(info));
    }
    subject_.clear();
    start_ = position_;
    place_data();
  }

  Shape read_shape() {
    auto dims = get<uint32_t>("dimension count");
    if (dims == 0 || dims > kMaxDims) {
      refuse("gguf.dimensions",
             fmt::format("1 to {} dimensions", kMaxDims),
             std::to_string(dims));
    }
    auto start = position_;
    Shape shape(dims);
    for (auto& dim : shape) {
      dim = get<int64_t>("dimension");
      if (dim <= 0) {
        refuse("gguf.dimensions", "dimensions over 0", std::to_string(dim));
      }
    }
    start_ = start;
    std::ranges::reverse(shape);  // the format's order is innermost first
    auto elements = element_count(shape);
    if (!elements || *elements > uint64_t{INT64_MAX}) {
      refuse(
          "gguf.size-overflow", "fewer than 2^63 elements", to_string(shape));
    }
    return shape;
  }

  DType read_dtype() {
    auto id = get<uint32_t>("type");
    auto dtype = dtype_from_ggml(id);
    if (!dtype) {
      auto removed = removed_ggml_type(id);
      if (!removed.empty()) {
        refuse("gguf.removed-type",
               "a type that ggml still has",
               fmt::format("{} ({})", id, removed));
      }
      refuse("gguf.tensor-type", "a known ggml type", std::to_string(id));
    }
    return *dtype;
  }

  uint64_t size_of(const TensorInfo& tensor) const {
    const auto& block = assay::info(tensor.dtype);
    if (tensor.shape.back() % block.elements != 0) {
      refuse("gguf.block-size",
             fmt::format("rows of a multiple of {} values for {}",
                         block.elements,
                         block.name),
             to_string(tensor.shape));
    }
    auto bytes = byte_size(tensor.dtype, *element_count(tensor.shape));
    if (!bytes) {
      refuse("gguf.size-overflow",
             "a size in bytes that 64 bits hold",
             fmt::format("{} {}", block.name, to_string(tensor.shape)));
    }
    return *bytes;
  }

  // Offsets in the file are relative to the data. As in ggml, tensors follow
  // each other in the order of the header, each padded to the alignment.
  void place_data() {
    header_.data_offset = padded(position_).value_or(file_size_);
    uint64_t relative_end = 0;
    const TensorInfo* previous = nullptr;
    for (auto& tensor : header_.tensors) {
      subject_ = fmt::format("tensor {}", quote(tensor.name));
      check_offset(tensor, relative_end, previous);
      uint64_t room = file_size_ - std::min(file_size_, header_.data_offset);
      if (tensor.offset > room || tensor.bytes > room - tensor.offset) {
        refuse(
            "gguf.beyond-end",
            fmt::format("data within the {} bytes after the header", room),
            fmt::format("{} bytes at offset {}", tensor.bytes, tensor.offset));
      }
      // Within the file, so neither sum can wrap; padding alone might.
      relative_end = padded(tensor.offset + tensor.bytes).value_or(UINT64_MAX);
      tensor.offset += header_.data_offset;
      previous = &tensor;
    }
    if (__builtin_add_overflow(
            header_.data_offset, relative_end, &header_.data_end)) {
      header_.data_end = UINT64_MAX;
    }
  }

  void check_offset(const TensorInfo& tensor,
                    uint64_t expected,
                    const TensorInfo* previous) const {
    if (tensor.offset == expected) {
      return;
    }
    auto found = fmt::format("offset {}", tensor.offset);
    if (tensor.offset % header_.alignment != 0) {
      refuse("gguf.misaligned",
             fmt::format("a multiple of {}", header_.alignment),
             found);
    }
    refuse(tensor.offset < expected ? "gguf.overlap" : "gguf.hole",
           previous == nullptr ? fmt::format("offset {}", expected)
                               : fmt::format("offset {}, where {} ends",
                                             expected,
                                             quote(previous->name)),
           found);
  }

  std::optional<uint64_t> padded(uint64_t position) const {
    uint64_t mask = header_.alignment - 1;
    uint64_t sum = 0;
    if (__builtin_add_overflow(position, mask, &sum)) {
      return std::nullopt;
    }
    return sum & ~mask;
  }

  std::span<const std::byte> bytes_;
  uint64_t file_size_;
  std::string_view file_;
  GgufHeader header_;
  uint64_t elements_ = 0;
  size_t position_ = 0;
  size_t start_ = 0;  ///< of the field at hand
  std::string subject_;
};

}  // namespace

GgufHeader parse_gguf(std::span<const std::byte> bytes,
                      uint64_t file_size,
                      std::string_view where) {
  bytes = bytes.first(
      static_cast<size_t>(std::min<uint64_t>(bytes.size(), file_size)));
  return GgufHeaderReader(bytes, file_size, where).read();
}

GgufHeader read_gguf(const std::filesystem::path& path) {
  auto file = MappedFile(path);
  return parse_gguf(file.bytes(), file.size(), path.string());
}

}  // namespace assay
