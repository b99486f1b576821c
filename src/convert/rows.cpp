#include "assay/convert/rows.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/core/finding.h"
#include "assay/core/platform.h"
#include "assay/formats/affine.h"
#include "assay/kernels/pool.h"
#include "assay/nn/steps.h"
#include "assay/nn/tensor_scale.h"

namespace assay::conversion {
namespace mx = mlx::core;

namespace {

bool is_scale_type(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f32;
}

// Steps that leave the order of rows as it is.
bool keeps_order(const std::vector<nn::Step>& steps) {
  return std::ranges::all_of(steps, [](const nn::Step& step) {
    return step.kind == nn::Step::Kind::stack ||
           step.kind == nn::Step::Kind::reshape;
  });
}

DType row_dtype(const mx::array& x) {
  if (x.dtype() == mx::float16) {
    return DType::f16;
  }
  return x.dtype() == mx::bfloat16 ? DType::bf16 : DType::f32;
}

// 2: float16 scales hold the form, 1: float32 scales do, 0: nothing does.
int scale_rank(DType dtype, std::span<const std::byte> blocks) {
  auto form = ggml::mlx_form(dtype, blocks);
  if (!form) {
    return 0;
  }
  return form->scale_type == DType::f32 ? 1 : 2;
}

}  // namespace

std::string describe(const Quantization& q) {
  return fmt::format("{} {} bit, group {}", q.mode, q.bits, q.group_size);
}

ParameterRows::ParameterRows(const nn::ParameterSpec& spec,
                             nn::WeightReader& reader,
                             TensorData& data)
    : spec_(&spec), reader_(&reader), data_(&data) {
  auto location = reader.locate(spec);
  if (!location) {
    fail("tensor.missing",
         spec.name,
         fmt::format("a tensor {} in the files", to_string(spec.shape())),
         "none");
  }
  location_ = std::move(*location);
  if (auto findings = reader.check(spec, location_); !findings.empty()) {
    throw Error(findings.front());
  }
  width_ = static_cast<size_t>(spec.shape().back());
  rows_ = element_count(spec.shape()).value() / width_;
  choose_kind();
}

void ParameterRows::choose_kind() {
  const auto& tensors = location_.tensors;
  const auto& first = *tensors.front();
  const auto& steps = location_.source.steps;
  bool whole_rows = steps.empty() || nn::keeps_rows(steps, first.shape.size());
  if (location_.scales != nullptr) {
    check_scales();
    kind_ = Kind::quantized;
    form_ = Form{*location_.quantization, location_.scales->dtype};
    form_known_ = true;
    return;
  }
  if (location_.source.encoding == nn::Encoding::mxfp4_blocks) {
    kind_ = Kind::quantized;
    form_ = Form{{32, 4, "mxfp4"}, DType::u8};
    form_known_ = true;
    if (!whole_rows || tensors[1]->dtype != DType::u8 ||
        first.dtype != DType::u8) {
      fail(
          "tensor.dtype",
          first.name,
          "U8 blocks and scales",
          fmt::format("{} and {}", name(first.dtype), name(tensors[1]->dtype)));
    }
    return;
  }
  bool alike = std::ranges::all_of(tensors, [&](const TensorInfo* tensor) {
    return tensor->dtype == first.dtype && tensor->shape == first.shape &&
           nn::tensor_scale(reader_->model(), *tensor) == nullptr;
  });
  // F8_E4M3 has scales in a tensor of its own, which the reader applies, as do
  // some NVFP4 blocks.
  bool direct = alike && whole_rows && first.dtype != DType::f8_e4m3 &&
                !reader_->model().big_endian;
  kind_ = direct ? Kind::direct : Kind::array;
  dtype_ = first.dtype;
  bool blocks = direct && spec_->quantizable() && ggml::mlx_form(dtype_);
  form_known_ = !blocks;
}

// Shapes are the reader's to check; types decide how bytes are read here.
void ParameterRows::check_scales() const {
  bool affine = location_.quantization->mode == "affine";
  auto expect = [](const TensorInfo& tensor, bool right, const char* what) {
    if (!right) {
      fail("tensor.dtype", tensor.name, what, std::string(name(tensor.dtype)));
    }
  };
  const auto& scales = *location_.scales;
  if (affine) {
    expect(scales, is_scale_type(scales.dtype), "F16, BF16 or F32 scales");
    expect(*location_.biases,
           location_.biases->dtype == scales.dtype,
           "biases of the scales' type");
  } else {
    expect(scales, scales.dtype == DType::u8, "U8 scales");
  }
}

uint64_t ParameterRows::stored_bytes() const {
  uint64_t bytes = 0;
  for (const auto* tensor : location_.tensors) {
    bytes += tensor->bytes;
  }
  for (const auto* tensor : {location_.scales, location_.biases}) {
    bytes += tensor != nullptr ? tensor->bytes : 0;
  }
  return bytes;
}

std::string ParameterRows::stored_as() const {
  if (kind_ == Kind::quantized) {
    return describe(form_->quantization);
  }
  return std::string(name(location_.tensors.front()->dtype));
}

DType ParameterRows::float_type() const {
  if (kind_ == Kind::quantized) {
    return is_scale_type(form_->scale_type) ? form_->scale_type : DType::bf16;
  }
  auto stored = location_.tensors.front()->dtype;
  if (is_scale_type(stored)) {
    return stored;
  }
  if (stored == DType::f64) {
    return DType::f32;
  }
  return is_block_quantized(stored) ? DType::f16 : DType::bf16;
}

std::optional<Form> ParameterRows::usual_form() const {
  auto form = ggml::mlx_form(dtype_);
  return form ? std::optional(Form{
                    {form->group_size, form->bits, std::string(form->mode)},
                    form->scale_type})
              : std::nullopt;
}

std::optional<Form> ParameterRows::form(BlockScales scales) {
  if (!form_known_ && scales == BlockScales::assumed) {
    return usual_form();
  }
  if (!form_known_) {
    form_ = form_of_blocks();
    form_known_ = true;
  }
  return form_;
}

// All tensors of the source share one form: one block that needs float32
// scales decides for all.
std::optional<Form> ParameterRows::form_of_blocks() const {
  auto form = usual_form();
  const auto& block = info(dtype_);
  std::atomic<int> rank = 2;
  for (const auto* tensor : location_.tensors) {
    auto bytes = data_->bytes(*tensor);
    const size_t piece = block.bytes * 8192;
    kernels::parallel_for((bytes.size() + piece - 1) / piece, [&](size_t i) {
      auto blocks =
          bytes.subspan(i * piece, std::min(piece, bytes.size() - i * piece));
      int own = scale_rank(dtype_, blocks);
      int known = rank.load();
      while (own < known && !rank.compare_exchange_weak(known, own)) {
      }
    });
    data_->release(*tensor);
  }
  if (rank == 0) {
    return std::nullopt;
  }
  if (rank == 1) {
    form->scale_type = DType::f32;
  }
  return form;
}

RowSet ParameterRows::row_set(
    const std::vector<const TensorInfo*>& tensors) const {
  RowSet set;
  for (const auto* tensor : tensors) {
    set.tensors.push_back(data_->bytes(*tensor));
  }
  const auto& shape = location_.tensors.front()->shape;
  auto inner = shape.back();
  // Blocks of mxfp4 have an axis for their 16 bytes.
  if (location_.source.encoding == nn::Encoding::mxfp4_blocks) {
    inner *= shape[shape.size() - 2];
  }
  set.rows_each = element_count(shape).value() / static_cast<uint64_t>(inner);
  set.row_bytes = set.tensors.front().size() / set.rows_each;
  return set;
}

// Runs the steps on the numbers of rows.
void ParameterRows::map_rows() {
  const auto& steps = location_.source.steps;
  if (keeps_order(steps)) {
    return;
  }
  auto shape = location_.tensors.front()->shape;
  if (location_.source.encoding == nn::Encoding::mxfp4_blocks) {
    shape.pop_back();
  }
  mx::Shape index_shape(shape.begin(), shape.end());
  index_shape.back() = 1;
  bool stacked = steps.front().kind == nn::Step::Kind::stack;
  size_t count = stacked ? location_.tensors.size() : 1;
  std::vector<mx::array> indices;
  for (size_t i = 0; i < count; ++i) {
    auto start = static_cast<double>(i * values_.rows_each);
    auto stop = start + static_cast<double>(values_.rows_each);
    indices.push_back(
        mx::reshape(mx::arange(start, stop, mx::uint32), index_shape));
  }
  auto map = mx::contiguous(nn::apply_steps(steps, indices));
  mx::eval(map);
  row_map_.assign(map.data<uint32_t>(), map.data<uint32_t>() + map.size());
}

void ParameterRows::open() {
  if (kind_ == Kind::array) {
    auto stored = reader_->read(*spec_, location_, {.keep_quantized = false});
    array_ = mx::contiguous(stored.data);
    mx::eval(*array_);
    dtype_ = row_dtype(*array_);
    auto* bytes = reinterpret_cast<const std::byte*>(array_->data<uint8_t>());
    values_ = {{{bytes, array_->nbytes()}}, rows_, array_->nbytes() / rows_};
    return;
  }
  if (location_.source.encoding == nn::Encoding::mxfp4_blocks) {
    values_ = row_set({location_.tensors[0]});
    scales_ = row_set({location_.tensors[1]});
  } else {
    values_ = row_set(location_.tensors);
  }
  if (location_.scales != nullptr) {
    scales_ = row_set({location_.scales});
  }
  if (location_.biases != nullptr) {
    biases_ = row_set({location_.biases});
  }
  map_rows();
}

void ParameterRows::close() {
  array_.reset();
  values_ = scales_ = biases_ = {};
  row_map_ = {};
  reader_->release(location_);
  for (const auto* tensor : location_.tensors) {
    data_->release(*tensor);
  }
  for (const auto* tensor : {location_.scales, location_.biases}) {
    if (tensor != nullptr) {
      data_->release(*tensor);
    }
  }
}

void ParameterRows::release(size_t first, size_t count) const {
  // Only what lies in a map: memory of our own would be lost.
  if (kind_ == Kind::array || !row_map_.empty() ||
      !std::ranges::all_of(location_.tensors, &TensorInfo::is_plain)) {
    return;
  }
  // A multiple of every system's pages.
  constexpr uintptr_t kAligned = 1 << 16;
  for (size_t i = first / values_.rows_each;
       i < values_.tensors.size() && i * values_.rows_each < first + count;
       ++i) {
    size_t begin = std::max(first, i * values_.rows_each);
    size_t end = std::min(first + count, (i + 1) * values_.rows_each);
    const auto* data = values_.row(begin);
    auto before = reinterpret_cast<uintptr_t>(data) % kAligned;
    auto bytes = (end - begin) * values_.row_bytes;
    platform::release_pages({data - before, before + bytes}, before, bytes);
  }
}

// Rows side by side: as they lie where that is so, otherwise copied.
std::span<const std::byte> ParameterRows::gather(
    const RowSet& set,
    size_t first,
    size_t count,
    std::vector<std::byte>& buffer) const {
  bool one_tensor =
      first / set.rows_each == (first + count - 1) / set.rows_each;
  const std::byte* start = set.row(stored_row(first));
  if (row_map_.empty() && one_tensor &&
      reinterpret_cast<uintptr_t>(start) % sizeof(uint32_t) == 0) {
    return {start, count * set.row_bytes};
  }
  buffer.resize(count * set.row_bytes);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(buffer.data() + i * set.row_bytes,
                set.row(stored_row(first + i)),
                set.row_bytes);
  }
  return buffer;
}

void ParameterRows::floats(size_t first,
                           size_t count,
                           std::span<float> out) const {
  std::vector<std::byte> buffer;
  auto bytes = gather(values_, first, count, buffer);
  if (kind_ != Kind::quantized) {
    ggml::dequantize(dtype_, bytes, out);
    return;
  }
  std::vector<std::byte> scale_buffer, bias_buffer;
  auto scales = gather(scales_, first, count, scale_buffer);
  auto packed = std::span(reinterpret_cast<const uint32_t*>(bytes.data()),
                          bytes.size() / sizeof(uint32_t));
  const auto& q = form_->quantization;
  if (q.mode == "affine") {
    dequantize_affine(packed,
                      scales,
                      gather(biases_, first, count, bias_buffer),
                      q.group_size,
                      q.bits,
                      form_->scale_type,
                      out);
  } else {
    auto codes = std::span(reinterpret_cast<const uint8_t*>(scales.data()),
                           scales.size());
    dequantize_fp(q.mode, packed, codes, out);
  }
}

bool ParameterRows::pack(size_t first,
                         size_t count,
                         std::span<uint32_t> packed,
                         std::span<std::byte> scales,
                         std::span<std::byte> biases) const {
  std::vector<std::byte> buffer;
  auto bytes = gather(values_, first, count, buffer);
  if (kind_ != Kind::quantized) {
    return ggml::to_mlx(dtype_, bytes, packed, scales, biases);
  }
  std::memcpy(packed.data(), bytes.data(), bytes.size());
  auto copy = [&](const RowSet& set, std::span<std::byte> to) {
    if (!to.empty()) {
      auto from = gather(set, first, count, buffer);
      std::memcpy(to.data(), from.data(), from.size());
    }
  };
  copy(scales_, scales);
  copy(biases_, biases);
  return true;
}

std::vector<std::span<const std::byte>> ParameterRows::as_they_lie(
    DType dtype) const {
  bool plain = kind_ != Kind::quantized && dtype_ == dtype;
  return plain && row_map_.empty() ? values_.tensors
                                   : std::vector<std::span<const std::byte>>();
}

}  // namespace assay::conversion
