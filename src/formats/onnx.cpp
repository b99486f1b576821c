#include "assay/formats/onnx.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_set>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"

namespace assay {
namespace {

constexpr size_t kMost = 1u << 20;
constexpr int kDeepest = 16;
constexpr size_t kShown = 5;

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      ///< of a varint or a fixed number
  std::string_view bytes;  ///< of what has a length
  bool has_length = false;
};

/** The fields of one message. */
class Message {
 public:
  Message(std::string_view bytes, uint64_t start, std::string_view where)
      : bytes_(bytes), start_(start), where_(where) {}

  bool next(Field& field) {
    if (at_ == bytes_.size()) {
      return false;
    }
    auto tag = varint();
    field = {};
    field.number = tag >> 3;
    if (field.number == 0) {
      malformed("a field number of 1 or more", "0");
    }
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        skip(8);
        break;
      case 2:
        field.bytes = take(varint());
        field.has_length = true;
        break;
      case 5:
        skip(4);
        break;
      default:
        malformed("a wire type of 0, 1, 2 or 5", fmt::format("{}", tag & 7));
    }
    return true;
  }

  /** The message that a field holds. */
  Message inside(const Field& field) const {
    if (!field.has_length) {
      malformed("a message", "a number");
    }
    auto offset = static_cast<uint64_t>(field.bytes.data() - bytes_.data());
    return {field.bytes, start_ + offset, where_};
  }

  [[noreturn]] void malformed(std::string expected, std::string actual) const {
    fail("onnx.malformed",
         fmt::format("{}: byte {}", where_, start_ + at_),
         std::move(expected),
         std::move(actual));
  }

  std::string_view where() const { return where_; }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (at_ == bytes_.size()) {
        malformed("a number", "the end of its message");
      }
      auto byte = static_cast<uint8_t>(bytes_[at_++]);
      if (shift == 63 && byte > 1) {
        break;
      }
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        return value;
      }
    }
    malformed("a number of 64 bits", "a longer one");
  }

  std::string_view take(uint64_t length) {
    if (length > bytes_.size() - at_) {
      malformed(fmt::format("{} bytes", length),
                fmt::format("{} left", bytes_.size() - at_));
    }
    auto taken = bytes_.substr(at_, length);
    at_ += taken.size();
    return taken;
  }

  void skip(uint64_t length) { take(length); }

  std::string_view bytes_;
  uint64_t start_;
  std::string_view where_;
  size_t at_ = 0;
};

// A repeated number, packed or not.
void add_numbers(const Message& message, const Field& field, Shape& numbers) {
  if (!field.has_length) {
    numbers.push_back(static_cast<int64_t>(field.value));
    return;
  }
  // Packed numbers are varints without tags.
  uint64_t value = 0;
  unsigned shift = 0;
  for (char one : field.bytes) {
    auto byte = static_cast<uint8_t>(one);
    if (shift > 63) {
      message.malformed("a number of 64 bits", "a longer one");
    }
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    shift += 7;
    if ((byte & 0x80) == 0) {
      numbers.push_back(static_cast<int64_t>(value));
      value = 0;
      shift = 0;
    }
  }
  if (shift != 0) {
    message.malformed("a whole number", "the end of its list");
  }
}

class Parser {
 public:
  OnnxModel parse(std::string_view bytes, std::string_view where) {
    Message message(bytes, 0, where);
    Field field;
    while (message.next(field)) {
      switch (field.number) {
        case 1:
          model_.ir_version = static_cast<int64_t>(field.value);
          break;
        case 2:
          model_.producer = text(field);
          break;
        case 3:
          model_.producer_version = text(field);
          break;
        case 7:
          model_.has_graph = true;
          graph(message.inside(field), 0);
          break;
        case 8:
          opset(message.inside(field));
          break;
        default:
          break;
      }
    }
    return std::move(model_);
  }

 private:
  static std::string text(const Field& field) {
    return std::string(field.bytes.substr(0, 1u << 16));
  }

  void bounded(const Message& message, size_t count) {
    if (count >= kMost) {
      fail("onnx.limit",
           std::string(message.where()),
           fmt::format("at most {} of them", kMost),
           "more");
    }
  }

  void opset(Message message) {
    bounded(message, model_.opsets.size());
    std::pair<std::string, int64_t> opset;
    Field field;
    while (message.next(field)) {
      if (field.number == 1) {
        opset.first = text(field);
      } else if (field.number == 2) {
        opset.second = static_cast<int64_t>(field.value);
      }
    }
    model_.opsets.push_back(std::move(opset));
  }

  // Nodes come before the initializers that they use: two walks.
  void graph(const Message& message, int depth) {
    if (depth > kDeepest) {
      fail("onnx.limit",
           std::string(message.where()),
           fmt::format("graphs nested at most {} deep", kDeepest),
           "deeper");
    }
    Field field;
    std::unordered_set<std::string_view> known;
    for (auto first = message; first.next(field);) {
      if (field.number == 5) {
        auto name = tensor(first.inside(field));
        if (!known.insert(name).second && model_.duplicates.size() < kShown) {
          model_.duplicates.emplace_back(name);
        }
      } else if (field.number == 15) {
        known.insert(sparse(first.inside(field)));
      } else if (field.number == 11) {
        auto name =
            value(first.inside(field), depth == 0 ? &model_.inputs : nullptr);
        known.insert(name);
      } else if (field.number == 12 && depth == 0) {
        value(first.inside(field), &model_.outputs);
      } else if (field.number == 2 && depth == 0) {
        model_.graph = text(field);
      }
    }
    for (auto second = message; second.next(field);) {
      if (field.number == 1) {
        node(second.inside(field), depth, known);
      }
    }
    if (depth == 0) {
      for (const auto& output : model_.outputs) {
        use(output.name, known);
      }
    }
  }

  void use(std::string_view name,
           const std::unordered_set<std::string_view>& known) {
    if (!name.empty() && !known.contains(name) &&
        model_.undefined.size() < kShown) {
      model_.undefined.emplace_back(name);
    }
  }

  void node(Message message,
            int depth,
            std::unordered_set<std::string_view>& known) {
    ++model_.nodes;
    bounded(message, known.size());
    std::string_view type;
    std::vector<std::string_view> outputs;
    Field field;
    while (message.next(field)) {
      if (field.number == 1 && depth == 0) {
        // Graphs inside see the names of those around them: not held here.
        use(field.bytes, known);
      } else if (field.number == 2) {
        outputs.push_back(field.bytes);
      } else if (field.number == 4) {
        type = field.bytes;
      } else if (field.number == 5) {
        attribute(message.inside(field), depth);
      }
    }
    known.insert(outputs.begin(), outputs.end());
    auto key = std::string(type.substr(0, 128));
    if (model_.operators.contains(key) || model_.operators.size() < 4096) {
      ++model_.operators[key];
    }
  }

  void attribute(Message message, int depth) {
    Field field;
    while (message.next(field)) {
      if (field.number == 5 || field.number == 10) {
        tensor(message.inside(field));
      } else if (field.number == 6 || field.number == 11) {
        graph(message.inside(field), depth + 1);
      }
    }
  }

  std::string_view sparse(Message message) {
    std::string_view name;
    Field field;
    while (message.next(field)) {
      if (field.number == 1) {
        name = tensor(message.inside(field));
      } else if (field.number == 2) {
        tensor(message.inside(field));
      }
    }
    return name;
  }

  std::string_view tensor(Message message) {
    bounded(message, model_.tensors.size());
    OnnxTensor tensor;
    std::string_view name;
    bool outside = false;
    OnnxExternal external;
    Field field;
    while (message.next(field)) {
      switch (field.number) {
        case 1:
          add_numbers(message, field, tensor.shape);
          bounded(message, tensor.shape.size() << 12);
          break;
        case 2:
          tensor.type = static_cast<int64_t>(field.value);
          break;
        case 4:
        case 5:
        case 6:
        case 7:
        case 10:
        case 11:
          tensor.typed = true;
          break;
        case 8:
          name = field.bytes;
          break;
        case 9:
          tensor.raw_bytes = field.bytes.size();
          break;
        case 13:
          entry(message.inside(field), external);
          break;
        case 14:
          outside = field.value == 1;
          break;
        default:
          break;
      }
    }
    tensor.name = std::string(name.substr(0, 1u << 16));
    if (outside) {
      tensor.external = std::move(external);
    }
    model_.tensors.push_back(std::move(tensor));
    return name;
  }

  static void entry(Message message, OnnxExternal& external) {
    std::string_view key;
    std::string_view value;
    Field field;
    while (message.next(field)) {
      if (field.number == 1) {
        key = field.bytes;
      } else if (field.number == 2) {
        value = field.bytes;
      }
    }
    if (key == "location") {
      external.location = std::string(value.substr(0, 4096));
    } else if (key == "offset" || key == "length") {
      uint64_t number = 0;
      auto end =
          std::from_chars(value.data(), value.data() + value.size(), number);
      bool whole =
          end.ec == std::errc() && end.ptr == value.data() + value.size();
      external.malformed = external.malformed || !whole;
      if (key == "offset") {
        external.offset = number;
      } else {
        external.length = number;
      }
    }
  }

  std::string_view value(Message message, std::vector<OnnxValue>* list) {
    OnnxValue found;
    std::string_view name;
    Field field;
    while (message.next(field)) {
      if (field.number == 1) {
        name = field.bytes;
      } else if (field.number == 2) {
        type(message.inside(field), found);
      }
    }
    if (list != nullptr) {
      bounded(message, list->size());
      found.name = std::string(name.substr(0, 1u << 16));
      list->push_back(std::move(found));
    }
    return name;
  }

  // TypeProto: tensor_type {elem_type, shape {dim {dim_value, dim_param}}}.
  static void type(Message message, OnnxValue& value) {
    Field field;
    while (message.next(field)) {
      if (field.number != 1) {
        continue;
      }
      auto tensor = message.inside(field);
      while (tensor.next(field)) {
        if (field.number == 1) {
          value.type = static_cast<int64_t>(field.value);
        } else if (field.number == 2) {
          dimensions(tensor.inside(field), value);
        }
      }
    }
  }

  static void dimensions(Message message, OnnxValue& value) {
    Field field;
    while (message.next(field)) {
      if (field.number != 1 || value.shape.size() >= 64) {
        continue;
      }
      std::string text = "?";
      auto dimension = message.inside(field);
      while (dimension.next(field)) {
        if (field.number == 1) {
          text = fmt::format("{}", static_cast<int64_t>(field.value));
        } else if (field.number == 2) {
          text = std::string(field.bytes.substr(0, 128));
        }
      }
      value.shape.push_back(std::move(text));
    }
  }

  OnnxModel model_;
};

struct OnnxType {
  std::string_view name;
  unsigned bits;
};
constexpr std::array kOnnxTypes = {
    OnnxType{"UNDEFINED", 0},      OnnxType{"FLOAT", 32},
    OnnxType{"UINT8", 8},          OnnxType{"INT8", 8},
    OnnxType{"UINT16", 16},        OnnxType{"INT16", 16},
    OnnxType{"INT32", 32},         OnnxType{"INT64", 64},
    OnnxType{"STRING", 0},         OnnxType{"BOOL", 8},
    OnnxType{"FLOAT16", 16},       OnnxType{"DOUBLE", 64},
    OnnxType{"UINT32", 32},        OnnxType{"UINT64", 64},
    OnnxType{"COMPLEX64", 64},     OnnxType{"COMPLEX128", 128},
    OnnxType{"BFLOAT16", 16},      OnnxType{"FLOAT8E4M3FN", 8},
    OnnxType{"FLOAT8E4M3FNUZ", 8}, OnnxType{"FLOAT8E5M2", 8},
    OnnxType{"FLOAT8E5M2FNUZ", 8}, OnnxType{"UINT4", 4},
    OnnxType{"INT4", 4},           OnnxType{"FLOAT4E2M1", 4},
    OnnxType{"FLOAT8E8M0", 8},     OnnxType{"UINT2", 2},
    OnnxType{"INT2", 2},           OnnxType{"FLOAT6E2M3", 6},
    OnnxType{"FLOAT6E3M2", 6},
};

}  // namespace

std::string_view onnx_type_name(int64_t type) {
  return type >= 0 && type < static_cast<int64_t>(kOnnxTypes.size())
             ? kOnnxTypes[static_cast<size_t>(type)].name
             : std::string_view();
}

unsigned onnx_type_bits(int64_t type) {
  return type >= 0 && type < static_cast<int64_t>(kOnnxTypes.size())
             ? kOnnxTypes[static_cast<size_t>(type)].bits
             : 0;
}

OnnxModel parse_onnx(std::span<const std::byte> bytes, std::string_view where) {
  return Parser().parse(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, where);
}

OnnxModel read_onnx(const std::filesystem::path& path) {
  MappedFile file(path);
  return parse_onnx(file.bytes(), path.string());
}

}  // namespace assay
