#include "assay/convert/stream.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/affine.h"
#include "assay/formats/float_types.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/quantize.h"

namespace assay::conversion {
namespace {

constexpr size_t kPieceValues = size_t{1} << 15;  // 128 KiB of float32
// Larger where the result is quantized: a write of a few KB costs more than its
// bytes do.
constexpr size_t kQuantizedPiece = size_t{1} << 17;
constexpr size_t kBatchValues = size_t{1} << 22;

// Rows cut into pieces for threads, and pieces into batches for the file.
struct Cut {
  size_t rows, width;
  size_t piece = std::max<size_t>(1, kPieceValues / width);
  size_t batch = std::max<size_t>(1, kBatchValues / width / piece) * piece;
};

// The first thing that a thread threw, for the one that waits for it.
class FirstError {
 public:
  template <class Work>
  void guard(const Work& work) {
    try {
      work();
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!error_) {
        error_ = std::current_exception();
      }
    }
  }
  void rethrow() const {
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

/** `work(first, count, row in batch)` on all threads, then `done(first,
 * count)` for each batch. `work` returns its piece's change. */
template <class Work, class Done>
Change in_batches(const Cut& cut, const Work& work, const Done& done) {
  Change total;
  FirstError error;
  std::vector<Change> changes;
  for (size_t start = 0; start < cut.rows; start += cut.batch) {
    size_t count = std::min(cut.batch, cut.rows - start);
    size_t pieces = (count + cut.piece - 1) / cut.piece;
    changes.assign(pieces, {});
    kernels::parallel_for(pieces, [&](size_t i) {
      error.guard([&] {
        size_t first = i * cut.piece;
        changes[i] =
            work(start + first, std::min(cut.piece, count - first), first);
      });
    });
    error.rethrow();
    for (const auto& change : changes) {
      total.add(change);
    }
    done(start, count);
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

Change stream_plain(const PlannedParameter& parameter,
                    uint64_t begin,
                    const Place& place) {
  const auto& rows = *parameter.rows;
  auto sink = [&place, at = begin](std::span<const std::byte> bytes) mutable {
    place(std::exchange(at, at + bytes.size()), bytes);
  };
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

// Where the parts of a quantized parameter lie in what is written: all words,
// then all scales, then all biases.
struct PartSizes {
  PartSizes(const PlannedParameter& parameter, uint64_t begins)
      : begin(begins), rows(parameter.rows->rows()) {
    const auto& q = *parameter.quantization;
    const size_t width = parameter.rows->width();
    word_row = width * static_cast<size_t>(q.bits) / 8;
    scale_row =
        width / static_cast<size_t>(q.group_size) * info(parameter.dtype).bytes;
    bias_row = q.mode == "affine" ? scale_row : 0;
  }

  uint64_t begin;  ///< of the words
  size_t rows;
  size_t word_row, scale_row, bias_row;  ///< bytes
};

// The parts of some rows, until they are written.
class PartBuffer {
 public:
  PartBuffer(const PartSizes& sizes, size_t first, size_t count)
      : sizes_(&sizes),
        first_(first),
        count_(count),
        words_(std::make_unique_for_overwrite<uint32_t[]>(count *
                                                          sizes.word_row / 4)),
        rest_(std::make_unique_for_overwrite<std::byte[]>(
            count * (sizes.scale_row + sizes.bias_row))) {}

  Parts parts() const {
    const size_t scales = count_ * sizes_->scale_row;
    return {{words_.get(), count_ * sizes_->word_row / 4},
            {rest_.get(), scales},
            {rest_.get() + scales, count_ * sizes_->bias_row}};
  }
  void write(const Place& place) const {
    const auto [words, scales, biases] = parts();
    const auto& s = *sizes_;
    const uint64_t scales_at = s.begin + s.rows * s.word_row;
    const uint64_t biases_at = scales_at + s.rows * s.scale_row;
    place(s.begin + first_ * s.word_row, std::as_bytes(words));
    place(scales_at + first_ * s.scale_row, scales);
    if (!biases.empty()) {
      place(biases_at + first_ * s.bias_row, biases);
    }
  }

 private:
  const PartSizes* sizes_;
  size_t first_, count_;
  std::unique_ptr<uint32_t[]> words_;
  std::unique_ptr<std::byte[]> rest_;
};

// One thread writes at a time, what others have made meanwhile too: a file
// lets in one, and the rest would wait instead of making more.
class OneWriter {
 public:
  explicit OneWriter(const Place& place) : place_(place) {}

  void write(PartBuffer buffer) {
    {
      std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(buffer));
      if (std::exchange(busy_, true)) {
        return;
      }
    }
    while (auto next = take()) {
      next->write(place_);
    }
  }

 private:
  std::optional<PartBuffer> take() {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      busy_ = false;
      return std::nullopt;
    }
    auto next = std::move(waiting_.front());
    waiting_.pop_front();
    return next;
  }

  const Place& place_;
  std::mutex mutex_;
  std::deque<PartBuffer> waiting_;
  bool busy_ = false;  // for good where a write has thrown
};

// Rows of one of several parameters, for one thread.
struct Piece {
  size_t parameter, first, count;
};

std::vector<Piece> pieces_of(
    std::span<const PlannedParameter* const> parameters) {
  std::vector<Piece> pieces;
  for (size_t p = 0; p < parameters.size(); ++p) {
    const auto& rows = *parameters[p]->rows;
    const size_t piece = std::max<size_t>(1, kQuantizedPiece / rows.width());
    for (size_t first = 0; first < rows.rows(); first += piece) {
      pieces.push_back({p, first, std::min(piece, rows.rows() - first)});
    }
  }
  return pieces;
}

// Lets go of the pages under the rows of a batch.
void release(std::span<const PlannedParameter* const> parameters,
             std::span<const Piece> batch) {
  for (size_t i = 0; i < batch.size();) {
    const auto [parameter, first, count] = batch[i];
    size_t rows = 0;
    for (; i < batch.size() && batch[i].parameter == parameter; ++i) {
      rows += batch[i].count;
    }
    parameters[parameter]->rows->release(first, rows);
  }
}

// The parts of one piece, quantized anew or as they are; what changed.
Change make_parts(const PlannedParameter& parameter,
                  const Piece& piece,
                  const Parts& parts) {
  Change change;
  bool fits =
      parameter.kept
          ? parameter.rows->pack(piece.first,
                                 piece.count,
                                 parts.words,
                                 parts.scales,
                                 parts.biases)
          : quantize_piece(parameter, piece.first, piece.count, parts, change);
  if (!fits && parameter.assumed) {
    throw UnfitScales();
  }
  if (!fits) {
    fail_values(parameter);
  }
  return change;
}

std::vector<Change> stream_quantized(
    std::span<const PlannedParameter* const> parameters,
    std::span<const PartSizes> sizes,
    const Place& place) {
  std::vector<Change> result(parameters.size());
  OneWriter writer(place);
  FirstError error;
  const auto all = pieces_of(parameters);
  for (size_t start = 0; start < all.size();) {
    size_t end = start;
    for (size_t values = 0; end < all.size() && values < kBatchValues; ++end) {
      values += all[end].count * parameters[all[end].parameter]->rows->width();
    }
    const auto batch = std::span(all).subspan(start, end - start);
    std::vector<Change> changes(batch.size());
    kernels::parallel_for(batch.size(), [&](size_t i) {
      error.guard([&] {
        const auto& piece = batch[i];
        PartBuffer buffer(sizes[piece.parameter], piece.first, piece.count);
        changes[i] =
            make_parts(*parameters[piece.parameter], piece, buffer.parts());
        writer.write(std::move(buffer));
      });
    });
    error.rethrow();
    for (size_t i = 0; i < batch.size(); ++i) {
      result[batch[i].parameter].add(changes[i]);
    }
    release(parameters, batch);
    start = end;
  }
  return result;
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

std::vector<Change> stream(std::span<const PlannedParameter* const> parameters,
                           const Place& place) {
  std::vector<Change> result(parameters.size());
  std::vector<const PlannedParameter*> quantized;
  std::vector<PartSizes> sizes;
  std::vector<size_t> index;
  uint64_t begin = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& parameter = *parameters[i];
    if (parameter.quantization) {
      quantized.push_back(&parameter);
      sizes.emplace_back(parameter, begin);
      index.push_back(i);
    } else {
      result[i] = stream_plain(parameter, begin, place);
    }
    begin += parameter.bytes;
  }
  const auto changes = stream_quantized(quantized, sizes, place);
  for (size_t i = 0; i < changes.size(); ++i) {
    result[index[i]] = changes[i];
  }
  return result;
}

}  // namespace assay::conversion
