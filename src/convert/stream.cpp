#include "assay/convert/stream.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/affine.h"
#include "assay/formats/float_types.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/quantize.h"

namespace assay::conversion {
namespace {

constexpr size_t kPieceValues = size_t{1} << 15;  // 128 KiB of float32
constexpr size_t kBatchValues = size_t{1} << 22;

// Rows cut into pieces for threads, and pieces into batches for the file.
struct Cut {
  size_t rows, width;
  size_t piece = std::max<size_t>(1, kPieceValues / width);
  size_t batch = std::max<size_t>(1, kBatchValues / width / piece) * piece;
};

/** `work(first, count, row in batch)` on all threads, then `written(first,
 * count)` for each batch. `work` returns its piece's change. */
template <class Work, class Written>
Change in_batches(const Cut& cut, const Work& work, const Written& written) {
  Change total;
  std::vector<Change> changes;
  for (size_t start = 0; start < cut.rows; start += cut.batch) {
    size_t count = std::min(cut.batch, cut.rows - start);
    size_t pieces = (count + cut.piece - 1) / cut.piece;
    changes.assign(pieces, {});
    kernels::parallel_for(pieces, [&](size_t i) {
      size_t first = i * cut.piece;
      changes[i] =
          work(start + first, std::min(cut.piece, count - first), first);
    });
    for (const auto& change : changes) {
      total.add(change);
    }
    written(start, count);
  }
  return total;
}

size_t batch_rows(const Cut& cut) {
  return std::min(cut.batch, cut.rows);
}

void round_to(DType dtype, std::span<float> values) {
  if (dtype == DType::f16) {
    for (auto& value : values) {
      value = half_to_float(float_to_half(value));
    }
  } else if (dtype == DType::bf16) {
    for (auto& value : values) {
      value = bfloat_to_float(float_to_bfloat(value));
    }
  }
}

[[noreturn]] void fail_values(const PlannedParameter& parameter) {
  const auto& rows = *parameter.rows;
  fail("quantize.not-representable",
       rows.spec().name,
       fmt::format("finite values that {} can hold",
                   parameter.quantization ? describe(*parameter.quantization)
                                          : name(parameter.dtype)),
       fmt::format("others, stored as {}", rows.stored_as()));
}

Change stream_plain(const PlannedParameter& parameter, const Sink& sink) {
  const auto& rows = *parameter.rows;
  if (auto pieces = rows.as_they_lie(parameter.dtype); !pieces.empty()) {
    for (auto piece : pieces) {
      sink(piece);
    }
    return {};
  }
  auto source =
      FloatRows{rows.rows(),
                rows.width(),
                [&rows](size_t first, size_t count, std::span<float> out) {
                  rows.floats(first, count, out);
                }};
  auto change = stream_floats(source, parameter.dtype, sink);
  if (!change) {
    fail_values(parameter);
  }
  return *change;
}

// Where the parts of a quantized batch go: words are written batch by batch,
// scales and biases, a fraction of them, when all words are out.
class QuantizedBatch {
 public:
  QuantizedBatch(const PlannedParameter& parameter, const Cut& cut)
      : words_per_row_(cut.width * parameter.quantization->bits / 32),
        scale_row_bytes_(cut.width / parameter.quantization->group_size *
                         info(parameter.dtype).bytes),
        words_(std::make_unique_for_overwrite<uint32_t[]>(batch_rows(cut) *
                                                          words_per_row_)),
        scales_(cut.rows * scale_row_bytes_),
        biases_(parameter.quantization->mode == "affine" ? scales_.size() : 0) {
  }

  std::span<uint32_t> words(size_t row_in_batch, size_t count) {
    return {words_.get() + row_in_batch * words_per_row_,
            count * words_per_row_};
  }
  std::span<std::byte> scales(size_t row, size_t count) {
    return std::span(scales_).subspan(row * scale_row_bytes_,
                                      count * scale_row_bytes_);
  }
  std::span<std::byte> biases(size_t row, size_t count) {
    return biases_.empty()
               ? std::span<std::byte>()
               : std::span(biases_).subspan(row * scale_row_bytes_,
                                            count * scale_row_bytes_);
  }
  void write_words(size_t count, const Sink& sink) {
    sink(std::as_bytes(words(0, count)));
  }
  void write_scales(const Sink& sink) const {
    sink(scales_);
    if (!biases_.empty()) {
      sink(biases_);
    }
  }

 private:
  size_t words_per_row_, scale_row_bytes_;
  std::unique_ptr<uint32_t[]> words_;  // of a batch; not cleared before
  std::vector<std::byte> scales_, biases_;
};

std::span<uint8_t> codes(std::span<std::byte> bytes) {
  return {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()};
}

// Where the pieces of a quantized parameter go.
struct Parts {
  std::span<uint32_t> words;
  std::span<std::byte> scales, biases;
};

// Affine, from values as they lie, in one pass with what it costs.
bool quantize_stored(const PlannedParameter& parameter,
                     std::span<const std::byte> values,
                     DType type,
                     const Parts& parts,
                     Change& change) {
  const auto& q = *parameter.quantization;
  kernels::RoundingError error;
  bool fits = kernels::quantize_affine({.values = values,
                                        .type = type,
                                        .group_size = q.group_size,
                                        .bits = q.bits,
                                        .scale_type = parameter.dtype,
                                        .packed = parts.words,
                                        .scales = parts.scales,
                                        .biases = parts.biases},
                                       error);
  change.add({error.error_squares, error.value_squares, error.largest});
  return fits;
}

// Any mode, from float32, and back.
bool quantize_values(const PlannedParameter& parameter,
                     std::span<const float> values,
                     const Parts& parts,
                     std::span<float> result) {
  const auto& q = *parameter.quantization;
  if (q.mode == "affine") {
    Change unused;  // of the rounded values
    if (!quantize_stored(
            parameter, std::as_bytes(values), DType::f32, parts, unused)) {
      return false;
    }
    dequantize_affine(parts.words,
                      parts.scales,
                      parts.biases,
                      q.group_size,
                      q.bits,
                      parameter.dtype,
                      result);
    return true;
  }
  if (!quantize_fp(q.mode,
                   values,
                   parameter.value_type,
                   parts.words,
                   codes(parts.scales))) {
    return false;
  }
  dequantize_fp(q.mode, parts.words, codes(parts.scales), result);
  return true;
}

// One piece of a parameter that is quantized anew; false if it does not fit.
bool quantize_piece(const PlannedParameter& parameter,
                    size_t first,
                    size_t count,
                    const Parts& parts,
                    Change& change) {
  const auto& rows = *parameter.rows;
  bool exact = rows.holds(parameter.value_type);
  if (exact && parameter.quantization->mode == "affine") {
    std::vector<std::byte> buffer;
    return quantize_stored(parameter,
                           rows.stored(first, count, buffer),
                           parameter.value_type,
                           parts,
                           change);
  }
  std::vector<float> values(count * rows.width());
  rows.floats(first, count, values);
  std::vector<float> rounded;
  if (!exact) {
    rounded = values;
    round_to(parameter.value_type, rounded);
  }
  std::vector<float> result(values.size());
  bool fits =
      quantize_values(parameter, exact ? values : rounded, parts, result);
  change.add(values, result);
  return fits;
}

Change stream_quantized(const PlannedParameter& parameter, const Sink& sink) {
  const auto& rows = *parameter.rows;
  Cut cut{rows.rows(), rows.width()};
  QuantizedBatch out(parameter, cut);
  std::atomic<bool> fits = true;
  auto work = [&](size_t first, size_t count, size_t at) {
    auto parts = Parts{out.words(at, count),
                       out.scales(first, count),
                       out.biases(first, count)};
    Change own;
    bool piece_fits =
        parameter.kept
            ? rows.pack(first, count, parts.words, parts.scales, parts.biases)
            : quantize_piece(parameter, first, count, parts, own);
    if (!piece_fits) {
      fits = false;
    }
    return own;
  };
  auto change = in_batches(cut, work, [&](size_t first, size_t count) {
    if (!fits) {
      fail_values(parameter);
    }
    rows.release(first, count);
    out.write_words(count, sink);
  });
  out.write_scales(sink);
  return change;
}

}  // namespace

void Change::add(std::span<const float> before, std::span<const float> after) {
  // Lanes of their own, so that the loop vectorizes.
  constexpr size_t kLanes = 8;
  std::array<double, kLanes> errors{}, squares{};
  std::array<float, kLanes> largest{};
  size_t whole = before.size() / kLanes * kLanes;
  auto one = [&](size_t i, size_t lane) {
    float difference = before[i] - after[i];
    errors[lane] += static_cast<double>(difference) * difference;
    squares[lane] += static_cast<double>(before[i]) * before[i];
    largest[lane] = std::max(largest[lane], std::fabs(difference));
  };
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      one(i + lane, lane);
    }
  }
  for (size_t i = whole; i < before.size(); ++i) {
    one(i, 0);
  }
  for (size_t lane = 0; lane < kLanes; ++lane) {
    add({errors[lane], squares[lane], largest[lane]});
  }
}

void Change::add(const Change& other) {
  error_squares += other.error_squares;
  value_squares += other.value_squares;
  max_abs = std::max(max_abs, other.max_abs);
}

double Change::rms_relative() const {
  return value_squares > 0 ? std::sqrt(error_squares / value_squares) : 0;
}

namespace {

// float32 as `dtype`. False if a finite value does not fit.
bool encode(std::span<const float> values,
            DType dtype,
            std::span<std::byte> bytes) {
  if (is_block_quantized(dtype)) {
    try {
      ggml::quantize(dtype, values, bytes);
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  if (dtype == DType::f32) {
    std::memcpy(bytes.data(), values.data(), values.size_bytes());
    return true;
  }
  bool half = dtype == DType::f16;
  bool fits = true;
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t code =
        half ? float_to_half(values[i]) : float_to_bfloat(values[i]);
    std::memcpy(bytes.data() + 2 * i, &code, sizeof(code));
    float back = half ? half_to_float(code) : bfloat_to_float(code);
    fits = fits && (std::isfinite(back) || !std::isfinite(values[i]));
  }
  return fits;
}

}  // namespace

std::optional<Change> stream_floats(const FloatRows& rows,
                                    DType dtype,
                                    const Sink& sink) {
  Cut cut{rows.rows, rows.width};
  size_t row_bytes = byte_size(dtype, cut.width).value();
  std::vector<std::byte> batch(batch_rows(cut) * row_bytes);
  std::atomic<bool> fits = true;
  auto change = in_batches(
      cut,
      [&](size_t first, size_t count, size_t at) {
        std::vector<float> values(count * cut.width);
        rows.read(first, count, values);
        auto bytes =
            std::span(batch).subspan(at * row_bytes, count * row_bytes);
        Change own;
        if (!encode(values, dtype, bytes)) {
          fits = false;
        } else if (dtype != DType::f32) {
          std::vector<float> after(values.size());
          ggml::dequantize(dtype, bytes, after);
          own.add(values, after);
        }
        return own;
      },
      [&](size_t, size_t count) {
        sink(std::span(batch).first(count * row_bytes));
      });
  return fits ? std::optional(change) : std::nullopt;
}

Change stream(const PlannedParameter& parameter, const Sink& sink) {
  return parameter.quantization ? stream_quantized(parameter, sink)
                                : stream_plain(parameter, sink);
}

}  // namespace assay::conversion
