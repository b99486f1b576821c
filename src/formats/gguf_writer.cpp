#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <unordered_set>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/formats/gguf.h"
#include "assay/formats/gguf_types.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using Type = GgufValue::Type;

// Bytes of a header, little endian on any machine.
class Encoder {
 public:
  template <class T>
  void put(T value) {
    std::array<char, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &value, sizeof(T));
    if constexpr (std::endian::native == std::endian::big) {
      std::ranges::reverse(bytes);
    }
    text_.append(bytes.data(), bytes.size());
  }

  void put_text(std::string_view text) {
    put(uint64_t{text.size()});
    text_ += text;
  }

  // An integer in the width that its type says, refused if it does not fit.
  template <class Stored, class Held>
  void put_integer(Held value) {
    if (!std::in_range<Stored>(value)) {
      fail("gguf.metadata-type",
           "value to be written",
           fmt::format("an integer of {} bytes", sizeof(Stored)),
           std::to_string(value));
    }
    put(static_cast<Stored>(value));
  }

  template <class Held>
  void put_number(Type type, Held value) {
    if constexpr (std::is_same_v<Held, double>) {
      if (type != Type::f32 && type != Type::f64) {
        throw std::logic_error("GgufWriter: a float of another type");
      }
      type == Type::f32 ? put(static_cast<float>(value)) : put(value);
    } else {
      switch (type) {
        case Type::u8:
        case Type::boolean:
          return put_integer<uint8_t>(value);
        case Type::i8:
          return put_integer<int8_t>(value);
        case Type::u16:
          return put_integer<uint16_t>(value);
        case Type::i16:
          return put_integer<int16_t>(value);
        case Type::u32:
          return put_integer<uint32_t>(value);
        case Type::i32:
          return put_integer<int32_t>(value);
        case Type::u64:
          return put_integer<uint64_t>(value);
        case Type::i64:
          return put_integer<int64_t>(value);
        default:
          throw std::logic_error("GgufWriter: an integer of another type");
      }
    }
  }

  void put_value(const GgufValue& value) {
    if (value.type == Type::array) {
      put(static_cast<uint32_t>(value.element_type));
      put(uint64_t{array_size(value)});
    }
    std::visit([&](const auto& held) { put_held(value, held); }, value.value);
  }

  std::string take() { return std::move(text_); }
  size_t size() const { return text_.size(); }
  void pad(size_t size) { text_.append(size, '\0'); }

 private:
  template <class Held>
  void put_held(const GgufValue& value, const Held& held) {
    if constexpr (std::is_same_v<Held, std::string>) {
      put_text(held);
    } else if constexpr (std::is_same_v<Held, bool>) {
      put(static_cast<uint8_t>(held));
    } else if constexpr (std::is_arithmetic_v<Held>) {
      put_number(value.type, held);
    } else {
      for (const auto& element : held) {
        using Element = std::decay_t<decltype(element)>;
        if constexpr (std::is_same_v<Element, GgufValue>) {
          put_value(element);
        } else if constexpr (std::is_same_v<Element, std::string>) {
          put_text(element);
        } else {
          put_number(value.element_type, element);
        }
      }
    }
  }

  std::string text_;
};

struct Placed {
  uint64_t offset;
  uint64_t bytes;
};

uint64_t padding(uint64_t position, uint64_t alignment) {
  return (alignment - position % alignment) % alignment;
}

uint32_t checked_type(const GgufWriter::Entry& entry, std::string_view where) {
  auto id = ggml_id(entry.dtype);
  if (!id) {
    fail("gguf.tensor-type",
         std::string(where),
         "a type that GGUF has",
         std::string(name(entry.dtype)));
  }
  return *id;
}

uint64_t checked_bytes(const GgufWriter::Entry& entry, std::string_view where) {
  if (entry.shape.empty() || entry.shape.size() > 4 ||
      std::ranges::any_of(entry.shape, [](int64_t dim) { return dim <= 0; })) {
    fail("gguf.dimensions",
         std::string(where),
         "1 to 4 dimensions over 0",
         to_string(entry.shape));
  }
  const auto& block = info(entry.dtype);
  if (entry.shape.back() % block.elements != 0) {
    fail("gguf.block-size",
         std::string(where),
         fmt::format("rows of a multiple of {} values", block.elements),
         to_string(entry.shape));
  }
  auto count = element_count(entry.shape);
  auto bytes = count ? byte_size(entry.dtype, *count) : std::nullopt;
  if (!bytes) {
    fail("gguf.size-overflow",
         std::string(where),
         "a size that 64 bits hold",
         to_string(entry.shape));
  }
  return *bytes;
}

void check_name(const std::string& name, size_t limit, std::string where) {
  if (name.empty() || name.size() > limit || !is_printable_utf8(name)) {
    fail("gguf.name",
         std::move(where),
         fmt::format("a name of 1 to {} bytes of UTF-8", limit),
         fmt::format("{} ({} bytes)", quote(name), name.size()));
  }
}

}  // namespace

struct GgufWriter::State {
  AtomicFile file;
  std::vector<Placed> tensors;
  uint64_t alignment;
  size_t current = 0;    ///< tensor whose bytes come next
  uint64_t written = 0;  ///< of it

  // Passes over tensors that are complete, padding after each.
  void advance() {
    while (current < tensors.size() && written == tensors[current].bytes) {
      auto gap =
          std::string(static_cast<size_t>(padding(written, alignment)), '\0');
      file.write(std::string_view(gap));
      written = 0;
      ++current;
    }
  }
};

namespace {

std::string encode_header(const GgufMetadata& metadata,
                          const std::vector<GgufWriter::Entry>& entries,
                          uint32_t alignment,
                          const std::string& file,
                          std::vector<Placed>& placed) {
  Encoder out;
  out.put(uint32_t{0x46554747});  // "GGUF"
  out.put(uint32_t{3});
  out.put(uint64_t{entries.size()});
  out.put(uint64_t{metadata.entries.size()});
  std::unordered_set<std::string_view> names;
  for (const auto& [key, value] : metadata.entries) {
    check_name(key, 65535, file + ": key");
    if (!names.insert(key).second) {
      fail("gguf.duplicate-key", file, "each key once", quote(key) + " twice");
    }
    out.put_text(key);
    out.put(static_cast<uint32_t>(value.type));
    out.put_value(value);
  }
  names.clear();
  uint64_t offset = 0;
  for (const auto& entry : entries) {
    auto where = fmt::format("{}: tensor {}", file, quote(entry.name));
    check_name(entry.name, 63, where);
    if (!names.insert(entry.name).second) {
      fail("gguf.duplicate-tensor", where, "each name once", "it twice");
    }
    auto type = checked_type(entry, where);
    auto bytes = checked_bytes(entry, where);
    out.put_text(entry.name);
    out.put(static_cast<uint32_t>(entry.shape.size()));
    for (auto dim = entry.shape.rbegin(); dim != entry.shape.rend(); ++dim) {
      out.put(*dim);
    }
    out.put(type);
    out.put(offset);
    placed.push_back({offset, bytes});
    if (__builtin_add_overflow(offset, bytes, &offset) ||
        __builtin_add_overflow(offset, padding(offset, alignment), &offset)) {
      fail("gguf.size-overflow", where, "fewer than 2^64 bytes", "more");
    }
  }
  out.pad(static_cast<size_t>(padding(out.size(), alignment)));
  return out.take();
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path,
                       const GgufMetadata& metadata,
                       const std::vector<Entry>& tensors,
                       uint32_t alignment) {
  if (!std::has_single_bit(alignment)) {
    fail("gguf.alignment",
         path.string(),
         "a power of two",
         std::to_string(alignment));
  }
  auto complete = metadata;
  // 32 is what a file without the key has.
  if (alignment != 32 || metadata.find("general.alignment") != nullptr) {
    complete.set("general.alignment", gguf_u32(alignment));
  }
  std::vector<Placed> placed;
  auto header =
      encode_header(complete, tensors, alignment, path.string(), placed);
  state_.reset(new State{AtomicFile(path), std::move(placed), alignment});
  state_->file.write(std::string_view(header));
}

GgufWriter::~GgufWriter() = default;

void GgufWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (state_->current == state_->tensors.size()) {
      throw std::logic_error("GgufWriter: more data than declared");
    }
    uint64_t left = state_->tensors[state_->current].bytes - state_->written;
    auto piece = bytes.first(
        static_cast<size_t>(std::min<uint64_t>(left, bytes.size())));
    state_->file.write(piece);
    state_->written += piece.size();
    bytes = bytes.subspan(piece.size());
    state_->advance();
  }
}

void GgufWriter::commit() {
  if (state_->current != state_->tensors.size()) {
    throw std::logic_error(
        fmt::format("GgufWriter: data of {} tensors missing",
                    state_->tensors.size() - state_->current));
  }
  state_->file.commit();
}

}  // namespace assay
