#include "assay/kernels/product.h"

#include <algorithm>
#include <unordered_map>

#include "assay/kernels/pool.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/simd.h"

namespace assay::kernels {
namespace {

// Below this many multiplications a second thread costs more than it gives.
constexpr size_t kWorthThreads = 1 << 15;
// Pieces are no smaller than this, since each starts new streams of memory,
// unless threads would be idle; and no more than kPieces a thread.
constexpr size_t kPieceWork = 1 << 17;
constexpr size_t kPieces = 8;
// More rows of activations than these are worth decoding the weights for.
constexpr size_t kFewRows = 6;

// A row that several experts take is packed once.
struct PackPlan {
  std::vector<const float*> sources;
  std::vector<std::vector<size_t>> index;  // product, row -> source
};

PackPlan plan_packing(std::span<const Product> products) {
  PackPlan plan;
  std::unordered_map<const float*, size_t> seen;
  bool share = products.size() > 1;
  for (const auto& product : products) {
    auto& index = plan.index.emplace_back();
    index.reserve(product.rows.size());
    for (const auto& row : product.rows) {
      size_t at = plan.sources.size();
      if (share) {
        at = seen.try_emplace(row.x, at).first->second;
      }
      if (at == plan.sources.size()) {
        plan.sources.push_back(row.x);
      }
      index.push_back(at);
    }
  }
  return plan;
}

// Calls pack_one(source, memory) for each row of activations, `size` bytes of
// memory a row; the memory is the calling thread's until the next product.
template <class PackOne>
std::byte* pack_rows(const PackPlan& plan,
                     size_t columns,
                     size_t size,
                     const PackOne& pack_one) {
  // Not the scratch of the kernels: the caller computes too.
  thread_local Buffer memory;
  auto* to =
      reinterpret_cast<std::byte*>(memory.bytes(plan.sources.size() * size));
  auto pack_at = [&](size_t i) { pack_one(plan.sources[i], to + i * size); };
  if (plan.sources.size() * columns < kWorthThreads) {
    for (size_t i = 0; i < plan.sources.size(); ++i) {
      pack_at(i);
    }
  } else {
    parallel_for(plan.sources.size(), pack_at);
  }
  return to;
}

size_t whole_lines(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Weight rows [begin, end) of products [first, last).
struct Piece {
  size_t first;
  size_t last;
  size_t begin;
  size_t end;
};

std::vector<Piece> split(std::span<const Product> products, bool together) {
  size_t work = 0;
  size_t rows = 0;
  for (const auto& product : products) {
    work += product.w.rows * product.w.columns * product.rows.size();
    rows += product.w.rows;
  }
  const auto threads = static_cast<size_t>(pool_threads());
  const size_t all =
      work < kWorthThreads
          ? 1
          : std::clamp(work / kPieceWork, threads, threads * kPieces);
  const size_t count = together ? products.size() : 1;
  // A multiple of what the kernels take at once.
  const size_t step =
      std::max<size_t>(1, (rows / count + all - 1) / all + 15) / 16 * 16;
  std::vector<Piece> pieces;
  for (size_t p = 0; p < products.size(); p += count) {
    for (size_t n = 0; n < products[p].w.rows; n += step) {
      pieces.push_back(
          {p, p + count, n, std::min(products[p].w.rows, n + step)});
    }
  }
  return pieces;
}

// Calls one(product, begin, end) for the rows of each weight, in pieces on all
// threads, and then what is to follow.
template <class One>
void in_pieces(std::span<const Product> products,
               const Finish& finish,
               const One& one) {
  const auto pieces = split(products, finish.together);
  parallel_for(pieces.size(), [&](size_t i) {
    const auto& [first, last, begin, end] = pieces[i];
    for (size_t p = first; p < last; ++p) {
      one(p, begin, end);
    }
    if (finish.rows) {
      finish.rows(first, begin, end);
    }
  });
}

void multiply_floats(const Kernels& k,
                     std::span<const Product> products,
                     ptrdiff_t stride,
                     const Finish& finish) {
  const Matrix& w = products[0].w;
  const size_t columns = k.padded_columns(w);
  // Only the kernel of one row takes them.
  const bool single = std::ranges::any_of(products, [](const Product& product) {
    return product.rows.size() == 1;
  });
  const size_t sums = single ? k.padded_sums(w) : 0;
  const size_t size = whole_lines((columns + sums) * sizeof(float));
  const PackPlan plan = plan_packing(products);
  const std::byte* memory =
      pack_rows(plan, w.columns, size, [&](const float* x, std::byte* to) {
        auto* values = reinterpret_cast<float*>(to);
        k.pack(w, x, stride, values, sums == 0 ? nullptr : values + columns);
      });
  std::vector<std::vector<PackedRow>> packed;
  for (size_t p = 0; p < products.size(); ++p) {
    auto& rows = packed.emplace_back();
    for (size_t r = 0; r < products[p].rows.size(); ++r) {
      const auto* values =
          reinterpret_cast<const float*>(memory + plan.index[p][r] * size);
      rows.push_back({values,
                      sums == 0 ? nullptr : values + columns,
                      products[p].rows[r].out});
    }
  }
  in_pieces(products, finish, [&](size_t p, size_t begin, size_t end) {
    const auto& rows = packed[p];
    if (rows.size() == 1) {
      k.multiply_one(products[p].w, rows[0], begin, end);
    } else if (!rows.empty()) {
      k.multiply_many(products[p].w, rows, begin, end);
    }
  });
}

// The rows of products as integers, in the order of a kernel; `values` bytes
// and 3 times `groups` floats a row.
class IntegerRows {
 public:
  template <class Kernel>
  IntegerRows(const Kernel& kernel,
              std::span<const Product> products,
              ptrdiff_t stride,
              size_t values,
              size_t groups)
      : plan_(plan_packing(products)),
        values_(whole_lines(values)),
        part_(whole_lines(groups * sizeof(float))) {
    const Matrix& w = products[0].w;
    memory_ = pack_rows(plan_,
                        w.columns,
                        values_ + 3 * part_,
                        [&](const float* x, std::byte* to) {
                          kernel.pack(w, x, stride, row_in(to));
                        });
  }

  IntegerRow operator()(size_t product, size_t row) const {
    return row_in(memory_ + plan_.index[product][row] * (values_ + 3 * part_));
  }

 private:
  IntegerRow row_in(std::byte* memory) const {
    auto part = [&](size_t i) {
      return reinterpret_cast<float*>(memory + values_ + i * part_);
    };
    return {memory, part(0), part(1), part(2)};
  }

  PackPlan plan_;
  size_t values_, part_;
  std::byte* memory_;
};

void multiply_integers(const IntegerKernels& k,
                       std::span<const Product> products,
                       ptrdiff_t stride,
                       const Finish& finish) {
  const Matrix& w = products[0].w;
  const IntegerRows rows(
      k, products, stride, k.value_bytes(w), k.padded_groups(w));
  in_pieces(products, finish, [&](size_t p, size_t begin, size_t end) {
    for (size_t r = 0; r < products[p].rows.size(); ++r) {
      k.multiply(
          products[p].w, rows(p, r), products[p].rows[r].out, begin, end);
    }
  });
}

void multiply_many_integers(const IntegerTileKernels& k,
                            std::span<const Product> products,
                            ptrdiff_t stride,
                            const Finish& finish) {
  const Matrix& w = products[0].w;
  const IntegerRows rows(
      k, products, stride, w.columns * sizeof(int16_t), w.groups());
  std::vector<std::vector<IntegerRow>> packed(products.size());
  std::vector<std::vector<float*>> out(products.size());
  for (size_t p = 0; p < products.size(); ++p) {
    for (size_t r = 0; r < products[p].rows.size(); ++r) {
      packed[p].push_back(rows(p, r));
      out[p].push_back(products[p].rows[r].out);
    }
  }
  in_pieces(products, finish, [&](size_t p, size_t begin, size_t end) {
    if (!packed[p].empty()) {
      k.multiply(products[p].w, packed[p], out[p], begin, end);
    }
  });
}

// The kernels for few rows whose activations are integers; null: there are
// none.
const IntegerKernels* integers_for(const Kernels& k,
                                   const Matrix& w,
                                   Activations activations) {
  if (activations == Activations::int8 && k.bytes.has(w)) {
    return &k.bytes;
  }
  bool some = activations != Activations::float32 && k.halves.has(w);
  return some ? &k.halves : nullptr;
}

}  // namespace

bool meet_alike(const Matrix& a, const Matrix& b) {
  return a.format == b.format && a.bits == b.bits && a.group == b.group &&
         a.columns == b.columns;
}

void multiply(std::span<const Product> products,
              ptrdiff_t stride,
              Activations activations,
              const Finish& finish) {
  if (products.empty()) {
    return;
  }
  const Kernels& k = kernels();
  const Matrix& w = products[0].w;
  bool few = std::ranges::all_of(products, [](const Product& product) {
    return product.rows.size() <= kFewRows;
  });
  bool many = std::ranges::none_of(products, [](const Product& product) {
    return !product.rows.empty() && product.rows.size() <= kFewRows;
  });
  const auto* integers = few ? integers_for(k, w, activations) : nullptr;
  if (integers != nullptr) {
    multiply_integers(*integers, products, stride, finish);
  } else if (many && activations != Activations::float32 &&
             k.integer_tile != nullptr && k.integer_tile->has(w)) {
    multiply_many_integers(*k.integer_tile, products, stride, finish);
  } else {
    multiply_floats(k, products, stride, finish);
  }
}

void decode_rows(const Matrix& w, std::span<const size_t> ids, float* out) {
  const Kernels& k = kernels();
  auto decode_one = [&](size_t i) { k.decode(w, ids[i], out + i * w.columns); };
  if (ids.size() * w.columns < kWorthThreads) {
    for (size_t i = 0; i < ids.size(); ++i) {
      decode_one(i);
    }
    return;
  }
  constexpr size_t kRows = 16;
  parallel_for((ids.size() + kRows - 1) / kRows, [&](size_t i) {
    for (size_t r = i * kRows; r < std::min(ids.size(), (i + 1) * kRows); ++r) {
      decode_one(r);
    }
  });
}

}  // namespace assay::kernels
