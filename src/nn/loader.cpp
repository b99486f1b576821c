#include "assay/nn/loader.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/formats/ggml.h"
#include "assay/kernels/pool.h"
#include "assay/nn/steps.h"
#include "assay/nn/tensor_scale.h"

namespace assay::nn {
namespace mx = mlx::core;
using mx::array;

namespace {

mx::Shape to_mlx_shape(const Shape& shape) {
  return {shape.begin(), shape.end()};
}

// The MLX type that holds a stored plain type as it is.
std::optional<mx::Dtype> plain_dtype(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return mx::float16;
    case DType::bf16:
      return mx::bfloat16;
    case DType::f32:
      return mx::float32;
    case DType::u32:
      return mx::uint32;
    case DType::u8:
      return mx::uint8;
    default:
      return std::nullopt;
  }
}

template <class T>
std::span<T> elements(array& x) {
  return {x.data<T>(), x.size()};
}

std::span<std::byte> raw_bytes(array& x) {
  return {reinterpret_cast<std::byte*>(x.data<uint8_t>()), x.nbytes()};
}

// "model.layers.0.mlp.gate_proj" of "model.layers.0.mlp.gate_proj.weight".
std::string_view module_path(std::string_view name) {
  auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(0, dot);
}

std::vector<const TensorInfo*> find_all(const ModelFiles& model,
                                        const std::vector<std::string>& names) {
  std::vector<const TensorInfo*> tensors;
  for (const auto& name : names) {
    if (const auto* tensor = model.find(name)) {
      tensors.push_back(tensor);
    }
  }
  return tensors;
}

std::string expected_shape(const ParameterSpec& spec) {
  return to_string(spec.shape());
}

std::vector<Shape> shapes_of(const Location& location) {
  std::vector<Shape> shapes;
  for (const auto* tensor : location.tensors) {
    shapes.push_back(tensor->shape);
  }
  return shapes;
}

Finding mismatch(const TensorInfo& tensor, std::string expected) {
  return make_finding("shape.mismatch",
                      tensor.name,
                      std::move(expected),
                      to_string(tensor.shape));
}

// DeepSeek's checkpoints scale FP8 weights by blocks of this many rows and
// columns ("weight_scale_inv" beside them).
constexpr int kFp8Block = 128;

// True for one factor, or one for each expert of a stack.
bool scales_all(const TensorInfo& scale, const TensorInfo& tensor) {
  return scale.dtype == DType::f32 && scale.shape.size() == 1 &&
         (scale.shape[0] == 1 ||
          (tensor.shape.size() == 3 && scale.shape[0] == tensor.shape[0]));
}

}  // namespace

const TensorInfo* tensor_scale(const ModelFiles& model,
                               const TensorInfo& tensor) {
  return tensor.dtype == DType::nvfp4
             ? model.find(std::string(module_path(tensor.name)) + ".scale")
             : nullptr;
}

WeightReader::WeightReader(const ModelFiles& model, const Json& config)
    : model_(model),
      quantization_(quantization_config(config, model.path.string())),
      data_(std::make_shared<TensorData>(model)) {}

std::optional<Location> WeightReader::locate(const ParameterSpec& spec) const {
  auto found = [this](Dialect dialect, const Source& source) {
    auto tensors = find_all(model_, source.names);
    return tensors.size() == source.names.size()
               ? std::optional(Location{dialect, source, tensors, {}, {}, {}})
               : std::nullopt;
  };
  if (model_.container == Container::gguf) {
    for (const auto& source : spec.gguf) {
      if (auto location = found(Dialect::gguf, source)) {
        return location;
      }
    }
    return std::nullopt;
  }
  if (auto location = found(Dialect::mlx, Source{{spec.name}})) {
    auto path = std::string(module_path(spec.name));
    location->scales = model_.find(path + ".scales");
    location->biases = model_.find(path + ".biases");
    bool is_weight = spec.name.ends_with(".weight");
    if (location->scales != nullptr && is_weight) {
      if (quantization_) {
        location->quantization = quantization_->of(path);
      }
      return location;
    }
    location->scales = location->biases = nullptr;
    // The same name may stand for another layout in other files (a transposed
    // matrix): a source with steps under that very name decides.
    bool own_layout = std::ranges::none_of(spec.hf, [&](const Source& source) {
      return source.names == location->source.names && !source.steps.empty();
    });
    if (own_layout) {
      return location;
    }
  }
  for (const auto& source : spec.hf) {
    if (auto location = found(Dialect::hf, source)) {
      return location;
    }
  }
  return std::nullopt;
}

std::vector<Finding> WeightReader::check(const ParameterSpec& spec,
                                         const Location& location) const {
  std::vector<Finding> findings;
  const auto& first = *location.tensors.front();
  if (location.scales != nullptr) {
    if (!location.quantization) {
      return {make_finding("quantization.undeclared",
                           first.name,
                           "a \"quantization\" entry in config.json for this "
                           "module, since scales stand beside it",
                           "none")};
    }
    const auto& q = *location.quantization;
    auto packed = spec.shape();
    auto groups = spec.shape();
    packed.back() = packed.back() * q.bits / 32;
    groups.back() /= q.group_size;
    auto hold = [&](const TensorInfo& tensor, const Shape& shape) {
      if (tensor.shape != shape) {
        findings.push_back(mismatch(tensor,
                                    fmt::format("{} ({} bits in groups of {})",
                                                to_string(shape),
                                                q.bits,
                                                q.group_size)));
      }
    };
    hold(first, packed);
    hold(*location.scales, groups);
    if (q.mode == "affine") {
      if (location.biases == nullptr) {
        findings.push_back(
            make_finding("tensor.missing",
                         std::string(module_path(spec.name)) + ".biases",
                         "biases beside the scales of an affine weight",
                         "none"));
      } else {
        hold(*location.biases, groups);
      }
    }
    if (first.dtype != DType::u32) {
      findings.push_back(make_finding("tensor.dtype",
                                      first.name,
                                      "U32 (packed)",
                                      std::string(name(first.dtype))));
    }
    return findings;
  }
  if (location.source.encoding == Encoding::mxfp4_blocks) {
    auto stored = first.shape;  // [..., n, 16] bytes are [..., 32 n] values
    bool blocks = stored.size() >= 2 && stored.back() == 16;
    if (blocks) {
      stored.pop_back();
      stored.back() *= 32;
    }
    auto shape = apply_steps(location.source.steps, {stored});
    if (!blocks || shape != spec.shape()) {
      findings.push_back(mismatch(first, expected_shape(spec) + " in blocks"));
    }
    return findings;
  }
  auto shape = apply_steps(location.source.steps, shapes_of(location));
  if (shape != spec.shape()) {
    findings.push_back(mismatch(
        first,
        location.source.steps.empty()
            ? expected_shape(spec)
            : fmt::format("a shape that gives {}", expected_shape(spec))));
  }
  for (const auto* tensor : location.tensors) {
    if (!is_floating(tensor->dtype) && !is_block_quantized(tensor->dtype)) {
      findings.push_back(make_finding("tensor.dtype",
                                      tensor->name,
                                      "a floating-point or quantized type",
                                      std::string(name(tensor->dtype))));
    }
    if (const auto* scale = tensor_scale(model_, *tensor);
        scale != nullptr && !scales_all(*scale, *tensor)) {
      findings.push_back(mismatch(*scale, "one F32 factor, or one an expert"));
    }
    if (tensor->dtype == DType::f8_e4m3 &&
        model_.find(tensor->name + "_scale_inv") == nullptr) {
      findings.push_back(make_finding("quantization.undeclared",
                                      tensor->name + "_scale_inv",
                                      "the scales of an F8_E4M3 weight",
                                      "no such tensor"));
    }
  }
  return findings;
}

// The values of one tensor: as they are where MLX has the type (borrowed from
// the mapped file if nothing will write to them), otherwise float32.
array WeightReader::values(const TensorInfo& tensor, bool borrow) {
  auto bytes = data_->bytes(tensor);
  auto shape = to_mlx_shape(tensor.shape);
  if (auto dtype = plain_dtype(tensor.dtype); dtype && !model_.big_endian) {
    auto address = reinterpret_cast<uintptr_t>(bytes.data());
    if (borrow && tensor.is_plain() && !bytes.empty() &&
        address % mx::size_of(*dtype) == 0) {
      // The deleter keeps the map as long as the array lives.
      return array(const_cast<std::byte*>(bytes.data()),
                   shape,
                   *dtype,
                   [keep = data_](void*) {});
    }
    auto copy = fresh(shape, *dtype);
    std::memcpy(raw_bytes(copy).data(), bytes.data(), bytes.size());
    return copy;
  }
  if (model_.big_endian) {
    fail("gguf.big-endian",
         tensor.name,
         "little-endian data",
         "a big-endian file; convert it with gguf-py's gguf_convert_endian");
  }
  auto result = fresh(shape, mx::float32);
  auto floats = elements<float>(result);
  // Whole blocks a piece, so that pieces are independent.
  const auto& block = info(tensor.dtype);
  constexpr size_t kPiece = 1 << 16;  // a multiple of every block
  kernels::parallel_for((floats.size() + kPiece - 1) / kPiece, [&](size_t i) {
    size_t first = i * kPiece;
    size_t count = std::min(kPiece, floats.size() - first);
    ggml::dequantize(tensor.dtype,
                     bytes.subspan(first / block.elements * block.bytes,
                                   count / block.elements * block.bytes),
                     floats.subspan(first, count));
  });
  if (const auto* scales = model_.find(tensor.name + "_scale_inv");
      scales != nullptr && tensor.dtype == DType::f8_e4m3) {
    auto factors = mx::repeat(
        mx::repeat(values(*scales, false), kFp8Block, 0), kFp8Block, 1);
    return result * mx::slice(factors, {0, 0}, result.shape());
  }
  if (const auto* scale = tensor_scale(model_, tensor)) {
    auto factors = values(*scale, false);
    auto each = mx::Shape(result.ndim(), 1);
    each.front() = factors.shape(0);
    return result * mx::reshape(factors, each);
  }
  return result;
}

kernels::Weight WeightReader::read_mlx_quantized(const Location& location) {
  auto weight = kernels::Weight{.data = values(*location.tensors.front(), true),
                                .scales = values(*location.scales, true),
                                .quantization = *location.quantization};
  if (location.biases != nullptr) {
    weight.biases = values(*location.biases, true);
  }
  return weight;
}

kernels::Weight WeightReader::read_mxfp4(const Location& location) {
  auto blocks = values(*location.tensors[0], false);
  auto scales = values(*location.tensors[1], false);
  auto words = mx::flatten(mx::view(blocks, mx::uint32), -2, -1);
  return {.data = apply_steps(location.source.steps, {words}),
          .scales = apply_steps(location.source.steps, {scales}),
          .quantization = {32, 4, "mxfp4"}};
}

namespace {

// The arrays of weights that MLX quantizes.
struct Blocks {
  array words, scales;
  std::optional<array> biases;
};

// False where a scale does not fit: the blocks are then not to be used.
bool rewrite(DType dtype, std::span<const std::byte> bytes, Blocks& blocks) {
  auto words = elements<uint32_t>(blocks.words);
  auto scales = raw_bytes(blocks.scales);
  auto biases =
      blocks.biases ? raw_bytes(*blocks.biases) : std::span<std::byte>();
  // Groups are independent, in multiples of what the largest blocks hold.
  constexpr size_t kPiece = 4096;
  size_t groups = blocks.scales.size();
  auto piece_of = [groups](auto all, size_t first, size_t count) {
    return all.subspan(all.size() / groups * first,
                       all.size() / groups * count);
  };
  std::atomic<bool> fits = true;
  kernels::parallel_for((groups + kPiece - 1) / kPiece, [&](size_t i) {
    size_t first = i * kPiece;
    size_t count = std::min(kPiece, groups - first);
    if (!ggml::to_mlx(dtype,
                      piece_of(bytes, first, count),
                      piece_of(words, first, count),
                      piece_of(scales, first, count),
                      piece_of(biases, first, count))) {
      fits = false;
    }
  });
  return fits;
}

Blocks room_for(const TensorInfo& tensor,
                const ggml::MlxForm& form,
                auto&& allocate) {
  auto packed = to_mlx_shape(tensor.shape);
  auto groups = packed;
  packed.back() = packed.back() * form.bits / 32;
  groups.back() /= form.group_size;
  auto scale_dtype = *plain_dtype(form.scale_type);
  Blocks blocks{
      allocate(packed, mx::uint32), allocate(groups, scale_dtype), {}};
  if (form.mode == "affine") {
    blocks.biases = allocate(groups, scale_dtype);
  }
  return blocks;
}

}  // namespace

// Blocks of ggml that MLX can hold exactly, if all tensors of the source are of
// one such type and the steps leave rows whole.
bool WeightReader::holds_blocks(const ParameterSpec& spec,
                                const Location& location) const {
  const auto& tensors = location.tensors;
  const auto& first = *tensors.front();
  auto alike = [&](const TensorInfo* tensor) {
    return tensor->dtype == first.dtype && tensor->shape == first.shape &&
           tensor_scale(model_, *tensor) == nullptr;
  };
  return location.scales == nullptr && spec.quantizable() &&
         !model_.big_endian && ggml::mlx_form(first.dtype) &&
         std::ranges::all_of(tensors, alike) &&
         keeps_rows(location.source.steps, first.shape.size());
}

size_t WeightReader::rewritten_bytes(const ParameterSpec& spec,
                                     const Location& location) const {
  if (!holds_blocks(spec, location)) {
    return 0;
  }
  size_t bytes = 0;
  for (const auto* tensor : location.tensors) {
    room_for(*tensor,
             *ggml::mlx_form(tensor->dtype),
             [&](const mx::Shape& shape, mx::Dtype dtype) {
               auto x = array(shape, dtype, nullptr, {});
               bytes += WeightSlab::room(x.nbytes());
               return x;
             });
  }
  return bytes;
}

std::optional<kernels::Weight> WeightReader::read_blocks(
    const ParameterSpec& spec, const Location& location) {
  if (!holds_blocks(spec, location)) {
    return std::nullopt;
  }
  auto form = *ggml::mlx_form(location.tensors.front()->dtype);
  auto before = slab_;
  auto weight = read_blocks(location, form);
  if (!weight) {
    slab_ = std::move(before);
  }
  if (!weight && form.scale_type == DType::f16) {
    form.scale_type = DType::f32;  // one tensor that needs it decides for all
    weight = read_blocks(location, form);
  }
  return weight;
}

std::optional<kernels::Weight> WeightReader::read_blocks(
    const Location& location, const ggml::MlxForm& form) {
  const auto& steps = location.source.steps;
  std::vector<array> words, scales, biases;
  for (const auto* tensor : location.tensors) {
    auto blocks =
        room_for(*tensor, form, [&](const mx::Shape& shape, mx::Dtype dtype) {
          return steps.empty() ? slab_.take(shape, dtype) : fresh(shape, dtype);
        });
    if (!rewrite(tensor->dtype, data_->bytes(*tensor), blocks)) {
      return std::nullopt;
    }
    words.push_back(blocks.words);
    scales.push_back(blocks.scales);
    if (blocks.biases) {
      biases.push_back(*blocks.biases);
    }
  }
  auto stepped = [&](const std::vector<array>& parts) {
    auto result = apply_steps(steps, parts);
    return steps.empty() ? result : slab_.settle(result);
  };
  auto weight = kernels::Weight{
      .data = stepped(words),
      .scales = stepped(scales),
      .quantization = {form.group_size, form.bits, std::string(form.mode)},
      .symmetric = form.symmetric};
  if (!biases.empty()) {
    weight.biases = stepped(biases);
  }
  return weight;
}

kernels::Weight WeightReader::read(const ParameterSpec& spec,
                                   const Location& location,
                                   const ReadOptions& options) {
  if (auto findings = check(spec, location); !findings.empty()) {
    throw Error(findings.front());
  }
  auto as_wanted = [&](const kernels::Weight& weight) {
    return options.keep_quantized
               ? weight
               : kernels::Weight{.data = kernels::dequantize(weight)};
  };
  if (location.scales != nullptr) {
    return as_wanted(read_mlx_quantized(location));
  }
  if (location.source.encoding == Encoding::mxfp4_blocks) {
    return as_wanted(read_mxfp4(location));
  }
  if (options.keep_quantized) {
    if (auto weight = read_blocks(spec, location)) {
      return *weight;
    }
  }
  bool borrow = location.source.steps.empty();
  std::vector<array> stored;
  for (const auto* tensor : location.tensors) {
    stored.push_back(values(*tensor, borrow));
  }
  auto value = apply_steps(location.source.steps, stored);
  return {.data = borrow ? value : mx::contiguous(value)};
}

void WeightReader::release(const Location& location) {
  for (const auto* tensor : location.tensors) {
    data_->release(*tensor);
  }
}

namespace {

std::vector<std::optional<Location>> locate_all(
    const std::vector<ParameterSpec>& parameters, const WeightReader& reader) {
  std::vector<std::optional<Location>> locations;
  for (const auto& spec : parameters) {
    locations.push_back(reader.locate(spec));
    if (!locations.back() && !spec.optional()) {
      fail("tensor.missing",
           spec.name,
           fmt::format("a tensor {} in the files", expected_shape(spec)),
           "none");
    }
  }
  return locations;
}

size_t rewritten_bytes(const std::vector<ParameterSpec>& parameters,
                       const std::vector<std::optional<Location>>& locations,
                       const WeightReader& reader) {
  size_t bytes = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (locations[i]) {
      bytes += reader.rewritten_bytes(parameters[i], *locations[i]);
    }
  }
  return bytes;
}

// The type that the stored weights compute in.
mx::Dtype model_dtype(const kernels::Weight& weight) {
  if (!weight.scales) {
    return weight.data.dtype();
  }
  return weight.scales->dtype() == mx::uint8 ? mx::bfloat16
                                             : weight.scales->dtype();
}

}  // namespace

void load_weights(const std::vector<ParameterSpec>& parameters,
                  WeightReader& reader,
                  const ReadOptions& options) {
  auto locations = locate_all(parameters, reader);
  if (options.keep_quantized) {
    reader.reserve(rewritten_bytes(parameters, locations, reader));
  }
  std::optional<mx::Dtype> activations;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& spec = parameters[i];
    const auto& location = locations[i];
    if (!location) {
      continue;
    }
    auto weight = reader.read(spec, *location, options);
    if (!activations) {  // the embedding comes first
      activations = kernels::activation_dtype(model_dtype(weight));
    }
    if (!spec.quantizable() && weight.data.dtype() != *activations) {
      weight.data = mx::astype(weight.data, *activations);
    }
    // What was rewritten is done with its source: without this, the resident
    // set holds the file and the model. Borrowed pages come back when read.
    mx::eval(weight.data);
    reader.release(*location);
    spec.parameter->value = std::move(weight);
  }
  std::vector<array> made;
  for (const auto& spec : parameters) {
    if (const auto& value = spec.parameter->value) {
      made.push_back(value->data);
    }
  }
  mx::eval(made);
}

void load_zeros(const std::vector<ParameterSpec>& parameters, mx::Dtype dtype) {
  for (const auto& spec : parameters) {
    spec.parameter->value =
        kernels::Weight{.data = mx::zeros(to_mlx_shape(spec.shape()), dtype)};
  }
}

}  // namespace assay::nn
