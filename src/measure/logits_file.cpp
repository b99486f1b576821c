#include "assay/measure/logits_file.h"

#include <cstring>
#include <map>
#include <span>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/formats/safetensors.h"
#include "assay/measure/forward.h"

namespace assay {
namespace fs = std::filesystem;
namespace mx = mlx::core;
using namespace measurement;

namespace {

constexpr const char* kLogits = "logits";
constexpr const char* kTokensName = "tokens";

const TensorInfo* find(const SafetensorsHeader& header, const char* name) {
  for (const auto& tensor : header.tensors) {
    if (tensor.name == name) {
      return &tensor;
    }
  }
  return nullptr;
}

[[noreturn]] void refuse(const fs::path& path,
                         std::string expected,
                         std::string actual) {
  fail("measure.logits-file",
       path.string(),
       std::move(expected),
       std::move(actual));
}

std::string describe(const TensorInfo& tensor) {
  return fmt::format(
      "{} {} {}", tensor.name, name(tensor.dtype), to_string(tensor.shape));
}

mx::Dtype float_dtype(const fs::path& path, const TensorInfo& tensor) {
  switch (tensor.dtype) {
    case DType::f32:
      return mx::float32;
    case DType::f16:
      return mx::float16;
    case DType::bf16:
      return mx::bfloat16;
    default:
      refuse(path, "logits of type F32, F16 or BF16", describe(tensor));
  }
}

template <class T>
std::vector<T> copy(std::span<const std::byte> bytes, size_t count) {
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(T));
  return values;
}

mx::array read_values(const fs::path& path,
                      const TensorInfo& tensor,
                      std::span<const std::byte> bytes) {
  auto dtype = float_dtype(path, tensor);
  auto shape = mx::Shape{static_cast<int>(tensor.shape[0]),
                         static_cast<int>(tensor.shape[1])};
  auto count = element_count(tensor.shape).value();
  if (dtype == mx::float32) {
    auto values = copy<float>(bytes, count);
    return mx::array(values.begin(), shape, mx::float32);
  }
  auto values = copy<uint16_t>(bytes, count);
  auto bits = mx::array(values.begin(), shape, mx::uint16);
  auto result = mx::astype(mx::view(bits, dtype), mx::float32);
  mx::eval(result);
  return result;
}

void check_shapes(const fs::path& path,
                  const TensorInfo& logits,
                  const TensorInfo& tokens) {
  constexpr int64_t kMost = int64_t{1} << 31;
  if (logits.shape.size() != 2 || logits.shape[0] < 1 || logits.shape[1] < 1 ||
      logits.shape[0] >= kMost || logits.shape[1] >= kMost) {
    refuse(path, "logits [length, vocab]", describe(logits));
  }
  if (tokens.dtype != DType::i32 && tokens.dtype != DType::i64) {
    refuse(path, "tokens of type I32 or I64", describe(tokens));
  }
  if (tokens.shape != Shape{logits.shape[0]}) {
    refuse(path,
           fmt::format("a token for each of {} rows", logits.shape[0]),
           describe(tokens));
  }
}

std::string metadata(const SafetensorsHeader& header, const char* key) {
  auto entry = header.metadata.find(key);
  return entry == header.metadata.end() ? "" : entry->second;
}

std::span<const std::byte> raw_bytes(const mx::array& x) {
  return {reinterpret_cast<const std::byte*>(x.data<float>()), x.nbytes()};
}

}  // namespace

LogitsReport write_logits(const fs::path& model,
                          const SampleOptions& options,
                          const fs::path& output,
                          const Progress& progress) {
  auto loaded = arch::load_model(model);
  auto sample = sample_tokens(loaded, options);
  auto hidden = hidden_states(loaded.model(), sample.ids);
  auto width = hidden.shape(1);
  auto length = hidden.shape(0);
  auto vocab =
      loaded.model().logits(mx::slice(hidden, {0, 0}, {1, width})).shape(-1);
  SafetensorsWriter writer(output,
                           {{kLogits, DType::f32, {length, vocab}},
                            {kTokensName, DType::i32, {length}}},
                           {{"format", "assay-logits"},
                            {"model", model.string()},
                            {"text", sample.text}});
  for (auto [first, count] : row_pieces(length, vocab)) {
    auto logits = mx::contiguous(logits_of(
        loaded.model(), mx::slice(hidden, {first, 0}, {first + count, width})));
    mx::eval(logits);
    writer.write(raw_bytes(logits));
    if (progress) {
      progress({"logits",
                static_cast<uint64_t>(first + count),
                static_cast<uint64_t>(length)});
    }
  }
  writer.write(std::as_bytes(std::span(sample.ids)));
  writer.commit();
  return {.model = model,
          .output = output,
          .tokens = sample.ids,
          .text = sample.text,
          .vocab = vocab,
          .bytes = fs::file_size(output)};
}

bool is_logits_file(const fs::path& path) {
  if (path.extension() != ".safetensors" || !fs::is_regular_file(path)) {
    return false;
  }
  auto header = read_safetensors(path);
  return find(header, kLogits) != nullptr &&
         find(header, kTokensName) != nullptr;
}

LogitsFile read_logits(const fs::path& path) {
  auto file = MappedFile(path);
  auto header = parse_safetensors(file.bytes(), file.size(), path.string());
  const auto* logits = find(header, kLogits);
  const auto* tokens = find(header, kTokensName);
  if (logits == nullptr || tokens == nullptr) {
    refuse(path,
           "tensors \"logits\" and \"tokens\"",
           fmt::format("no \"{}\"", logits == nullptr ? kLogits : kTokensName));
  }
  check_shapes(path, *logits, *tokens);
  auto data = [&file](const TensorInfo& tensor) {
    return file.bytes().subspan(tensor.offset, tensor.bytes);
  };
  auto count = static_cast<size_t>(logits->shape[0]);
  LogitsFile result{.tokens = {},
                    .logits = read_values(path, *logits, data(*logits)),
                    .model = metadata(header, "model"),
                    .text = metadata(header, "text")};
  if (tokens->dtype == DType::i32) {
    result.tokens = copy<int32_t>(data(*tokens), count);
    return result;
  }
  for (int64_t id : copy<int64_t>(data(*tokens), count)) {
    if (id < 0 || id > INT32_MAX) {
      refuse(path, "tokens that fit 31 bits", fmt::format("{}", id));
    }
    result.tokens.push_back(static_cast<int32_t>(id));
  }
  return result;
}

Json to_json(const LogitsReport& report) {
  return {{"model", report.model.string()},
          {"output", report.output.string()},
          {"tokens", report.tokens},
          {"text", report.text.empty() ? Json() : Json(report.text)},
          {"vocab", report.vocab},
          {"bytes", report.bytes}};
}

}  // namespace assay
