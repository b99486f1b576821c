#include "assay/formats/safetensors.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>
#include <simdjson.h>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr uint64_t kPrefix = 8;               // the length field
constexpr uint64_t kMaxHeader = 100'000'000;  // as the safetensors crate
constexpr std::string_view kId = "safetensors.";

// Reads the JSON of one header. Keeps where it is, so that any failure can
// name the tensor and the byte in the file.
class HeaderReader {
 public:
  HeaderReader(std::string_view json, uint64_t data_size, std::string_view file)
      : json_(json),
        data_start_(kPrefix + json.size()),
        data_size_(data_size),
        file_(file) {}

  SafetensorsHeader read() {
    if (json_.size() == 0 || json_.data()[0] != '{') {
      refuse("header-malformed",
             "'{' first",
             quote(std::string_view(json_.data(), json_.size()).substr(0, 1)));
    }
    ondemand::parser parser;
    try {
      ondemand::document document = parser.iterate(json_);
      read_top(document.get_object().value());
      if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
        refuse("header-malformed", "only spaces after the last '}'", "more");
      }
    } catch (const simdjson::simdjson_error& error) {
      refuse("header-malformed", "one JSON object in UTF-8", error.what());
    }
    check_layout();
    return std::move(header_);
  }

 private:
  [[noreturn]] void refuse(std::string_view rule,
                           std::string expected,
                           std::string actual) const {
    auto where = fmt::format("{}: header byte {}", file_, kPrefix + position_);
    if (tensor_) {
      where += fmt::format(", tensor {}", quote(*tensor_));
    }
    fail(std::string(kId).append(rule),
         std::move(where),
         std::move(expected),
         std::move(actual));
  }

  // Remembers the place of a value, and gives its text for messages.
  std::string_view token(ondemand::value& value) {
    std::string_view text = value.raw_json_token();
    position_ = static_cast<size_t>(text.data() - json_.data());
    while (!text.empty() && (text.back() == ' ' || text.back() == '\n' ||
                             text.back() == '\t' || text.back() == '\r')) {
      text.remove_suffix(1);
    }
    return text;
  }

  std::string key_of(ondemand::field& field) {
    position_ = static_cast<size_t>(field.key().raw() - json_.data());
    return std::string(std::string_view(field.unescaped_key()));
  }

  std::string text_of(ondemand::value value,
                      std::string_view rule,
                      std::string_view what) {
    auto actual = token(value);
    std::string_view text;
    if (actual.front() != '"') {
      refuse(rule, fmt::format("a string as {}", what), quote(actual));
    }
    text = value.get_string();
    return std::string(text);
  }

  uint64_t size_of(ondemand::value value,
                   std::string_view rule,
                   uint64_t limit) {
    auto actual = token(value);
    uint64_t size = 0;
    if (value.get_uint64().get(size) != simdjson::SUCCESS || size > limit) {
      refuse(rule, fmt::format("integers from 0 to {}", limit), quote(actual));
    }
    return size;
  }

  void read_top(ondemand::object object) {
    for (ondemand::field field : object) {
      auto name = key_of(field);
      if (!names_.insert(name).second) {
        refuse("duplicate-key", "each name once", quote(name) + " twice");
      }
      if (name == "__metadata__") {
        read_metadata(field.value());
      } else {
        read_tensor(std::move(name), field.value());
      }
    }
  }

  void read_metadata(ondemand::value value) {
    auto actual = token(value);
    // MLX writes null where it is given no metadata.
    if (actual.front() == 'n' && bool(value.is_null())) {
      return;
    }
    if (actual.front() != '{') {
      refuse("metadata", "an object as __metadata__", quote(actual));
    }
    for (ondemand::field field : value.get_object()) {
      auto key = key_of(field);
      auto text = text_of(field.value(), "metadata", "metadata value");
      if (!header_.metadata.emplace(key, std::move(text)).second) {
        refuse("duplicate-key", "each key once", quote(key) + " twice");
      }
    }
  }

  void read_tensor(std::string name, ondemand::value value) {
    tensor_ = name;
    auto actual = token(value);
    if (actual.front() != '{') {
      refuse("entry", "an object", quote(actual));
    }
    TensorInfo info;
    uint64_t begin = 0;
    uint64_t end = 0;
    unsigned seen = 0;
    for (ondemand::field field : value.get_object()) {
      auto key = key_of(field);
      unsigned bit = key == "dtype"          ? 1u
                     : key == "shape"        ? 2u
                     : key == "data_offsets" ? 4u
                                             : 0u;
      if (bit == 0) {
        refuse("entry", "dtype, shape and data_offsets only", quote(key));
      }
      if ((seen & bit) != 0) {
        refuse("duplicate-key", "each key once", quote(key) + " twice");
      }
      seen |= bit;
      if (bit == 1) {
        info.dtype = read_dtype(field.value());
      } else if (bit == 2) {
        info.shape = read_shape(field.value());
      } else {
        std::tie(begin, end) = read_offsets(field.value());
      }
    }
    if (seen != 7) {
      refuse("entry",
             "dtype, shape and data_offsets",
             fmt::format("no {}",
                         (seen & 1) == 0   ? "dtype"
                         : (seen & 2) == 0 ? "shape"
                                           : "data_offsets"));
    }
    check_size(info, begin, end);
    info.name = std::move(name);
    info.offset = data_start_ + begin;
    info.bytes = end - begin;
    header_.tensors.push_back(std::move(info));
    tensor_.reset();
  }

  DType read_dtype(ondemand::value value) {
    auto text = text_of(value, "entry", "dtype");
    auto dtype = dtype_from_name(text);
    if (!dtype || is_block_quantized(*dtype)) {
      refuse("dtype", "a dtype of the safetensors format", quote(text));
    }
    return *dtype;
  }

  Shape read_shape(ondemand::value value) {
    auto actual = token(value);
    if (actual.front() != '[') {
      refuse("shape", "an array of integers", quote(actual));
    }
    Shape shape;
    for (ondemand::value element : value.get_array()) {
      shape.push_back(static_cast<int64_t>(
          size_of(element, "shape", std::numeric_limits<int64_t>::max())));
    }
    return shape;
  }

  std::pair<uint64_t, uint64_t> read_offsets(ondemand::value value) {
    auto actual = token(value);
    if (actual.front() != '[') {
      refuse("offsets", "an array [begin, end]", quote(actual));
    }
    std::vector<uint64_t> offsets;
    for (ondemand::value element : value.get_array()) {
      offsets.push_back(
          size_of(element, "offsets", std::numeric_limits<uint64_t>::max()));
      if (offsets.size() > 2) {
        break;
      }
    }
    if (offsets.size() != 2) {
      refuse("offsets",
             "two numbers [begin, end]",
             fmt::format("{}{}",
                         offsets.size() > 2 ? "more than " : "",
                         std::min<size_t>(offsets.size(), 2)));
    }
    return {offsets[0], offsets[1]};
  }

  void check_size(const TensorInfo& info, uint64_t begin, uint64_t end) {
    if (begin > end || end > data_size_) {
      refuse("offsets",
             fmt::format("begin <= end <= {} bytes of data", data_size_),
             fmt::format("[{}, {}]", begin, end));
    }
    auto count = element_count(info.shape);
    auto bytes = count ? byte_size(info.dtype, *count) : std::nullopt;
    if (!bytes) {
      refuse("shape",
             fmt::format("whole bytes of {} that 64 bits can count",
                         assay::name(info.dtype)),
             to_string(info.shape));
    }
    if (*bytes != end - begin) {
      refuse("size-mismatch",
             fmt::format("{} bytes for {} {}",
                         *bytes,
                         assay::name(info.dtype),
                         to_string(info.shape)),
             fmt::format("{} bytes, [{}, {}]", end - begin, begin, end));
    }
  }

  // Tensors cover the data exactly: no byte twice, none left over. Bytes that
  // no tensor owns could hide anything.
  void check_layout() {
    std::ranges::sort(header_.tensors, {}, [](const TensorInfo& info) {
      return std::tuple(info.offset, info.bytes, std::string_view(info.name));
    });
    uint64_t end = data_start_;
    const TensorInfo* previous = nullptr;
    for (const auto& info : header_.tensors) {
      if (info.offset != end) {
        fail(info.offset < end ? "safetensors.overlap" : "safetensors.hole",
             fmt::format("{}: tensor {}", file_, quote(info.name)),
             previous == nullptr
                 ? fmt::format("data from byte {} on", end)
                 : fmt::format("data from byte {} on, where {} ends",
                               end,
                               quote(previous->name)),
             fmt::format("byte {}", info.offset));
      }
      end += info.bytes;
      previous = &info;
    }
    if (end != data_start_ + data_size_) {
      fail("safetensors.trailing-data",
           fmt::format("{}: byte {}", file_, end),
           "the end of the file after the last tensor",
           fmt::format("{} more bytes", data_start_ + data_size_ - end));
    }
  }

  simdjson::padded_string json_;
  uint64_t data_start_;
  uint64_t data_size_;
  std::string_view file_;
  SafetensorsHeader header_;
  std::unordered_set<std::string> names_;
  std::optional<std::string> tensor_;  ///< at hand; outlives an exception
  size_t position_ = 0;
};

uint64_t little_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kPrefix; ++i) {
    value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  }
  return value;
}

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes,
                                    uint64_t file_size,
                                    std::string_view where) {
  if (bytes.size() < kPrefix || file_size < kPrefix) {
    fail("safetensors.truncated",
         fmt::format("{}: byte 0", where),
         "8 bytes of header length",
         fmt::format("a file of {} bytes", file_size));
  }
  uint64_t length = little_endian(bytes);
  uint64_t room = std::min<uint64_t>(file_size, bytes.size()) - kPrefix;
  if (length > kMaxHeader || length > room) {
    fail("safetensors.header-length",
         fmt::format("{}: byte 0", where),
         fmt::format("a header length of at most {}",
                     std::min(room, kMaxHeader)),
         std::to_string(length));
  }
  auto json =
      std::string_view(reinterpret_cast<const char*>(bytes.data()) + kPrefix,
                       static_cast<size_t>(length));
  return HeaderReader(json, file_size - kPrefix - length, where).read();
}

SafetensorsHeader read_safetensors(const std::filesystem::path& path) {
  auto file = MappedFile(path);
  return parse_safetensors(file.bytes(), file.size(), path.string());
}

}  // namespace assay
