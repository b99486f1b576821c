#include "assay/quantize/trial.h"

#include <algorithm>
#include <cmath>

#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/convert/stream.h"
#include "assay/formats/affine.h"
#include "assay/measure/forward.h"
#include "assay/quantize/mix.h"

namespace assay::quantization {
namespace mx = mlx::core;
using namespace measurement;

namespace {

constexpr size_t kSampleRows = 48;

mx::array rows_of(const mx::array& x, int first, int count) {
  return mx::slice(x, {first, 0}, {first + count, x.shape(1)});
}

// Sum of -log p(next token) over a window's logits.
double window_loss(const mx::array& logits, std::span<const int32_t> ids) {
  double total = 0;
  int rows = logits.shape(0) - 1;
  for (auto [first, count] : row_pieces(rows, logits.shape(1))) {
    auto piece = rows_of(logits, first, count);
    auto targets = mx::array(ids.begin() + first + 1, {count}, mx::int32);
    for (double loss : losses(piece, targets)) {
      total += loss;
    }
  }
  return total;
}

mx::array window_logits(const nn::LanguageModel& model,
                        std::span<const int32_t> ids) {
  return logits_of(model, hidden_states(model, ids));
}

// Bytes of an entry as an array.
mx::array to_array(const std::byte* bytes,
                   const SafetensorsWriter::Entry& entry) {
  auto shape = mx::Shape(entry.shape.begin(), entry.shape.end());
  switch (entry.dtype) {
    case DType::u32:
      return mx::array(
          reinterpret_cast<const uint32_t*>(bytes), shape, mx::uint32);
    case DType::u8:
      return mx::array(
          reinterpret_cast<const uint8_t*>(bytes), shape, mx::uint8);
    case DType::f32:
      return mx::array(
          reinterpret_cast<const float*>(bytes), shape, mx::float32);
    default: {
      auto bits = mx::array(
          reinterpret_cast<const uint16_t*>(bytes), shape, mx::uint16);
      auto values = mx::view(
          bits, entry.dtype == DType::f16 ? mx::float16 : mx::bfloat16);
      mx::eval(values);
      return values;
    }
  }
}

// What the converter would write, as a weight.
kernels::Weight build(const conversion::PlannedParameter& planned) {
  std::vector<std::byte> bytes(planned.bytes);
  planned.rows->open();
  const auto* const one = &planned;
  conversion::stream(std::span(&one, 1),
                     [&bytes](uint64_t at, std::span<const std::byte> piece) {
                       std::ranges::copy(
                           piece, bytes.begin() + static_cast<ptrdiff_t>(at));
                     });
  planned.rows->close();
  std::vector<mx::array> arrays;
  size_t at = 0;
  for (const auto& entry : planned.entries) {
    arrays.push_back(to_array(bytes.data() + at, entry));
    at += arrays.back().nbytes();
  }
  auto weight = kernels::Weight{.data = arrays[0]};
  if (planned.quantization) {
    weight.quantization = *planned.quantization;
    weight.scales = arrays[1];
    if (arrays.size() > 2) {
      weight.biases = arrays[2];
    }
  }
  return weight;
}

std::vector<float> restored(std::span<const float> values,
                            const Quantization& q) {
  auto sizes = quantized_sizes(q.mode, q.group_size, q.bits, values.size());
  std::vector<uint32_t> packed(sizes.words);
  std::vector<float> result(values.size());
  bool affine = q.mode == "affine";
  std::vector<std::byte> scales(sizes.groups * sizeof(float));
  std::vector<std::byte> biases(scales.size());
  std::vector<uint8_t> codes(sizes.groups);
  bool fits = affine ? quantize_affine(values,
                                       q.group_size,
                                       q.bits,
                                       DType::f32,
                                       packed,
                                       scales,
                                       biases)
                     : quantize_fp(q.mode, values, DType::f32, packed, codes);
  if (!fits) {
    return result;  // as if everything were lost; the converter refuses it
  }
  if (affine) {
    dequantize_affine(
        packed, scales, biases, q.group_size, q.bits, DType::f32, result);
  } else {
    dequantize_fp(q.mode, packed, codes, result);
  }
  return result;
}

// Rows spread evenly over the matrix.
std::vector<float> sample_rows(conversion::ParameterRows& rows) {
  size_t count = std::min(kSampleRows, rows.rows());
  std::vector<float> values(count * rows.width());
  rows.open();
  for (size_t i = 0; i < count; ++i) {
    rows.floats(i * rows.rows() / count,
                1,
                std::span(values).subspan(i * rows.width(), rows.width()));
  }
  rows.close();
  return values;
}

}  // namespace

Reference make_reference(const nn::LanguageModel& model,
                         std::vector<int32_t> ids) {
  Reference reference{.ids = std::move(ids)};
  double total = 0;
  uint64_t predicted = 0;
  for (const auto& window :
       windows(reference.ids.size(), reference.window, 0)) {
    auto part = std::span(reference.ids).subspan(window.start, window.length);
    reference.logits.push_back(window_logits(model, part));
    total += window_loss(reference.logits.back(), part);
    predicted += window.length - 1;
  }
  reference.mean_nll = total / static_cast<double>(predicted);
  return reference;
}

Reference shortened(const Reference& reference, size_t count) {
  auto size = std::min(
      {count, reference.ids.size(), static_cast<size_t>(reference.window)});
  Reference result{
      .ids = {reference.ids.begin(),
              reference.ids.begin() + static_cast<std::ptrdiff_t>(size)},
      .window = reference.window};
  result.logits = {mx::contiguous(
      rows_of(reference.logits.front(), 0, static_cast<int>(size)))};
  mx::eval(result.logits);
  result.mean_nll = window_loss(result.logits.front(), result.ids) /
                    static_cast<double>(size - 1);
  return result;
}

TrialResult measure(const nn::LanguageModel& model,
                    const Reference& reference) {
  DivergenceSum divergence;
  double total = 0;
  uint64_t predicted = 0;
  size_t index = 0;
  for (const auto& window :
       windows(reference.ids.size(), reference.window, 0)) {
    auto part = std::span(reference.ids).subspan(window.start, window.length);
    auto logits = window_logits(model, part);
    divergence.add(reference.logits[index++], logits);
    total += window_loss(logits, part);
    predicted += window.length - 1;
  }
  return {total / static_cast<double>(predicted), divergence.mean()};
}

TrialModel::TrialModel(const std::filesystem::path& source,
                       const std::vector<Quantization>& candidates,
                       const std::string& dtype)
    : loaded_(arch::load_model(source)),
      data_(*loaded_.files),
      reader_(*loaded_.files, loaded_.tree.config),
      dtype_(dtype),
      kept_(plan(std::nullopt)) {
  for (const auto& candidate : candidates) {
    plans_.push_back(plan(candidate));
  }
  for (const auto& planned : kept_.parameters) {
    original_.push_back(*planned.rows->spec().parameter->value);
    source_bytes_ += planned.rows->stored_bytes();
  }
  current_.assign(kept_.parameters.size(), kKeep);
}

conversion::Plan TrialModel::plan(
    const std::optional<Quantization>& candidate) {
  ConvertOptions options;
  options.dtype = dtype_;
  options.choose = [candidate](const nn::ParameterSpec& spec) {
    return spec.role() == nn::Role::router ? std::nullopt : candidate;
  };
  return conversion::make_plan(
      loaded_.tree.parameters, reader_, data_, options);
}

const nn::ParameterSpec& TrialModel::spec(size_t parameter) const {
  return kept_.parameters[parameter].rows->spec();
}

uint64_t TrialModel::elements(size_t parameter) const {
  return element_count(spec(parameter).shape()).value();
}

bool TrialModel::open(size_t parameter) const {
  return spec(parameter).quantizable() &&
         spec(parameter).role() != nn::Role::router;
}

Stored TrialModel::stored(size_t parameter, size_t candidate) const {
  const auto& plan = candidate == kKeep ? kept_ : plans_[candidate];
  const auto& planned = plan.parameters[parameter];
  return {planned.bytes, planned.quantization};
}

double TrialModel::relative_error(size_t parameter, size_t candidate) {
  const auto& planned = plans_[candidate].parameters[parameter];
  if (planned.kept || !planned.quantization) {
    return 0;
  }
  auto& values = samples_[parameter];
  if (values.empty()) {
    values = sample_rows(*planned.rows);
  }
  conversion::Change change;
  change.add(values, restored(values, *planned.quantization));
  return change.value_squares > 0 ? change.error_squares / change.value_squares
                                  : 0;
}

void TrialModel::set(size_t parameter, size_t candidate) {
  if (current_[parameter] == candidate) {
    return;
  }
  auto& value = *spec(parameter).parameter->value;
  bool own =
      candidate != kKeep && !plans_[candidate].parameters[parameter].kept;
  value = own ? build(plans_[candidate].parameters[parameter])
              : original_[parameter];
  current_[parameter] = candidate;
}

}  // namespace assay::quantization
