#include <charconv>
#include <cstring>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mlx/allocator.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/formats/safetensors.h"
#include "assay/generate/state.h"

// A prompt cache on disk: see Generator::save_cache.

namespace assay {
namespace mx = mlx::core;

namespace {

constexpr const char* kFormat = "assay-prompt-cache-1";

// FNV-1a, 64 bits.
class Hash {
 public:
  void add(std::span<const std::byte> bytes) {
    for (auto byte : bytes) {
      value_ = (value_ ^ std::to_integer<uint64_t>(byte)) * 0x100000001b3u;
    }
  }
  void add(std::string_view text) {
    add(std::as_bytes(std::span(text)));
    add(static_cast<int64_t>(text.size()));
  }
  void add(int64_t number) { add(std::as_bytes(std::span(&number, 1))); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

// Four pieces of 64 bytes, evenly spread.
void add_sample(Hash& hash, std::span<const std::byte> bytes) {
  constexpr size_t kPiece = 64;
  constexpr size_t kPieces = 4;
  if (bytes.size() <= kPiece * kPieces) {
    hash.add(bytes);
    return;
  }
  for (size_t i = 0; i < kPieces; ++i) {
    size_t place = (bytes.size() - kPiece) / (kPieces - 1) * i;
    hash.add(bytes.subspan(place, kPiece));
  }
}

DType stored_type(mx::Dtype dtype) {
  switch (dtype) {
    case mx::float16:
      return DType::f16;
    case mx::bfloat16:
      return DType::bf16;
    case mx::uint32:
      return DType::u32;
    default:
      return DType::f32;
  }
}

std::optional<mx::Dtype> mlx_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return mx::float32;
    case DType::f16:
      return mx::float16;
    case DType::bf16:
      return mx::bfloat16;
    case DType::u32:
      return mx::uint32;
    default:
      return std::nullopt;
  }
}

using Metadata = std::map<std::string, std::string>;

Metadata describe(const Generator::State& state) {
  const auto& options = state.runner.options();
  return {{"format", kFormat},
          {"model", model_identity(*state.model.files)},
          {"max_kv_size", std::to_string(options.max_size)},
          {"kv_keep", std::to_string(options.max_size > 0 ? options.keep : 0)},
          {"kv_bits", std::to_string(options.bits)},
          {"kv_group_size",
           std::to_string(options.bits > 0 ? options.group_size : 0)}};
}

std::string part_name(size_t layer, size_t part) {
  return fmt::format("layers.{}.{}", layer, part);
}

// A prompt cache being read: its header is sound, its meaning not yet checked.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : where_(path.string()),
        file_(path),
        header_(parse_safetensors(file_.bytes(), file_.size(), where_)) {
    for (const auto& tensor : header_.tensors) {
      tensors_[tensor.name] = &tensor;
    }
  }

  [[noreturn]] void malformed(const std::string& what,
                              std::string expected,
                              std::string actual) const {
    fail("prompt-cache.malformed",
         where_ + ": " + what,
         std::move(expected),
         std::move(actual));
  }

  void check_owner(const Metadata& own) const {
    const auto& found = header_.metadata;
    auto format = found.find("format");
    if (format == found.end() || format->second != kFormat) {
      malformed(
          "format", kFormat, format == found.end() ? "none" : format->second);
    }
    for (const auto& [key, value] : own) {
      auto entry = found.find(key);
      if (entry == found.end() || entry->second != value) {
        fail("prompt-cache.mismatch",
             where_ + ": " + key,
             value,
             entry == found.end() ? "none" : entry->second);
      }
    }
  }

  std::vector<int32_t> integers(const std::string& name) {
    const auto& tensor = take(name);
    if (tensor.dtype != DType::i32 || tensor.shape.size() != 1) {
      malformed(
          name,
          "I32 with one axis",
          fmt::format(
              "{} with {}", assay::name(tensor.dtype), tensor.shape.size()));
    }
    auto data = bytes(tensor);
    std::vector<int32_t> values(data.size() / sizeof(int32_t));
    std::memcpy(values.data(), data.data(), data.size());
    return values;
  }

  mx::array array(const std::string& name) {
    const auto& tensor = take(name);
    auto dtype = mlx_type(tensor.dtype);
    if (!dtype) {
      malformed(name,
                "F32, F16, BF16 or U32",
                std::string(assay::name(tensor.dtype)));
    }
    mx::Shape shape;
    for (int64_t size : tensor.shape) {
      if (size > std::numeric_limits<int>::max()) {
        malformed(name, "sizes below 2^31", fmt::format("{}", size));
      }
      shape.push_back(static_cast<int>(size));
    }
    auto data = bytes(tensor);
    auto copy = mx::allocator::malloc(data.size());
    std::memcpy(copy.buffer().raw_ptr(), data.data(), data.size());
    return mx::array(std::move(copy), std::move(shape), *dtype);
  }

  /** Length of the context that the keys were made for, at least `ids`. */
  int context(size_t ids) const {
    auto found = header_.metadata.find("context");
    std::string text = found == header_.metadata.end() ? "" : found->second;
    int value = 0;
    auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() ||
        value < static_cast<int>(ids)) {
      malformed("context", fmt::format("{} or more", ids), "'" + text + "'");
    }
    return value;
  }

  void check_all_taken() const {
    if (!tensors_.empty()) {
      malformed("tensors", "none but its own", tensors_.begin()->first);
    }
  }

 private:
  const TensorInfo& take(const std::string& name) {
    auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      malformed(name, "a tensor", "none");
    }
    const auto& tensor = *found->second;
    tensors_.erase(found);
    return tensor;
  }

  std::span<const std::byte> bytes(const TensorInfo& tensor) const {
    return file_.bytes().subspan(tensor.offset, tensor.bytes);
  }

  std::string where_;
  MappedFile file_;
  SafetensorsHeader header_;
  std::map<std::string, const TensorInfo*> tensors_;
};

std::vector<int32_t> read_ids(Reader& reader, int vocab) {
  auto ids = reader.integers("ids");
  for (int32_t id : ids) {
    if (id < 0 || id >= vocab) {
      reader.malformed(
          "ids", fmt::format("ids below {}", vocab), fmt::format("{}", id));
    }
  }
  if (ids.empty()) {
    reader.malformed("ids", "at least one", "none");
  }
  return ids;
}

}  // namespace

std::string model_identity(const ModelFiles& model) {
  Hash hash;
  hash.add(arch::config_of(model).dump());
  TensorData data(model);
  for (const auto& tensor : model.tensors) {
    hash.add(tensor.name);
    hash.add(name(tensor.dtype));
    for (int64_t size : tensor.shape) {
      hash.add(size);
    }
    add_sample(hash, data.bytes(tensor));
  }
  return fmt::format("{:016x}", hash.value());
}

void Generator::save_cache(const std::filesystem::path& path) const {
  const auto& runner = state_->runner;
  if (runner.ids().empty()) {
    fail("prompt-cache.empty", path.string(), "ids in the caches", "none");
  }
  std::vector<SafetensorsWriter::Entry> entries;
  std::vector<int32_t> offsets;
  std::vector<mx::array> arrays;
  int64_t count = static_cast<int64_t>(runner.ids().size());
  int64_t layers = static_cast<int64_t>(runner.caches().size());
  entries.push_back({"ids", DType::i32, {count}});
  entries.push_back({"offsets", DType::i32, {layers}});
  for (size_t i = 0; i < runner.caches().size(); ++i) {
    const auto& cache = runner.caches()[i];
    offsets.push_back(cache.offset());
    auto state = cache.state();
    for (size_t j = 0; j < state.size(); ++j) {
      const auto& shape = state[j].shape();
      entries.push_back({part_name(i, j),
                         stored_type(state[j].dtype()),
                         Shape(shape.begin(), shape.end())});
      arrays.push_back(mx::contiguous(state[j]));
    }
  }
  auto metadata = describe(*state_);
  metadata["context"] = std::to_string(runner.context());
  mx::eval(arrays);
  SafetensorsWriter writer(path, entries, metadata);
  writer.write(std::as_bytes(std::span(runner.ids())));
  writer.write(std::as_bytes(std::span(offsets)));
  for (const auto& array : arrays) {
    writer.write({array.data<std::byte>(), array.nbytes()});
  }
  writer.commit();
}

void Generator::load_cache(const std::filesystem::path& path) {
  auto& runner = state_->runner;
  Reader reader(path);
  reader.check_owner(describe(*state_));
  auto ids = read_ids(reader, state_->vocab);
  int length = static_cast<int>(ids.size());
  int context = reader.context(ids.size());
  auto caches = state_->model.model().make_caches(runner.options());
  auto offsets = reader.integers("offsets");
  if (offsets != std::vector<int32_t>(caches.size(), length)) {
    reader.malformed("offsets",
                     fmt::format("{} times {}", caches.size(), length),
                     fmt::format("{}", fmt::join(offsets, " ")));
  }
  size_t parts = runner.options().bits > 0 ? 6 : 2;
  for (size_t i = 0; i < caches.size(); ++i) {
    std::vector<mx::array> state;
    for (size_t j = 0; j < parts; ++j) {
      state.push_back(reader.array(part_name(i, j)));
    }
    try {
      caches[i].restore(state, length);
    } catch (const std::invalid_argument& error) {
      reader.malformed(
          fmt::format("layers.{}", i), "this layer's shapes", error.what());
    }
  }
  reader.check_all_taken();
  runner.adopt(std::move(caches), std::move(ids), context);
}

}  // namespace assay
