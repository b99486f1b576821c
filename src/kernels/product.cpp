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

// Weight rows [begin, end) of one product.
struct Piece {
  size_t product;
  size_t begin;
  size_t end;
};

std::vector<Piece> split(std::span<const Product> products) {
  size_t work = 0;
  for (const auto& product : products) {
    work += product.w.rows * product.w.columns * product.rows.size();
  }
  const auto threads = static_cast<size_t>(pool_threads());
  const size_t all =
      work < kWorthThreads
          ? 1
          : std::clamp(work / kPieceWork, threads, threads * kPieces);
  const size_t wanted = (all + products.size() - 1) / products.size();
  std::vector<Piece> pieces;
  for (size_t p = 0; p < products.size(); ++p) {
    const size_t rows = products[p].w.rows;
    // A multiple of what the kernels take at once.
    const size_t step = ((rows + wanted - 1) / wanted + 15) / 16 * 16;
    for (size_t n = 0; n < rows; n += step) {
      pieces.push_back({p, n, std::min(rows, n + step)});
    }
  }
  return pieces;
}

void multiply_floats(const Kernels& k,
                     std::span<const Product> products,
                     ptrdiff_t stride) {
  const Matrix& w = products[0].w;
  const size_t columns = k.padded_columns(w);
  const size_t sums = k.padded_sums(w);
  const size_t size = whole_lines((columns + sums) * sizeof(float));
  const PackPlan plan = plan_packing(products);
  const std::byte* memory =
      pack_rows(plan, w.columns, size, [&](const float* x, std::byte* to) {
        auto* values = reinterpret_cast<float*>(to);
        k.pack(w, x, stride, values, values + columns);
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
  const auto pieces = split(products);
  parallel_for(pieces.size(), [&](size_t i) {
    const auto& piece = pieces[i];
    const Matrix& own = products[piece.product].w;
    const auto& rows = packed[piece.product];
    if (rows.size() == 1) {
      k.multiply_one(own, rows[0], piece.begin, piece.end);
    } else if (!rows.empty()) {
      k.multiply_many(own, rows, piece.begin, piece.end);
    }
  });
}

void multiply_integers(const Kernels& k,
                       std::span<const Product> products,
                       ptrdiff_t stride) {
  const Matrix& w = products[0].w;
  const size_t values = whole_lines(k.padded_columns(w) * sizeof(int16_t));
  const size_t groups = whole_lines(k.padded_groups(w) * sizeof(float));
  const size_t size = values + 3 * groups;
  auto row_at = [&](std::byte* memory) {
    auto part = [&](size_t i) {
      return reinterpret_cast<float*>(memory + values + i * groups);
    };
    return IntegerRow{
        reinterpret_cast<int16_t*>(memory), part(0), part(1), part(2)};
  };
  const PackPlan plan = plan_packing(products);
  std::byte* memory =
      pack_rows(plan, w.columns, size, [&](const float* x, std::byte* to) {
        k.pack_integers(w, x, stride, row_at(to));
      });
  const auto pieces = split(products);
  parallel_for(pieces.size(), [&](size_t i) {
    const auto& [p, begin, end] = pieces[i];
    for (size_t r = 0; r < products[p].rows.size(); ++r) {
      k.multiply_integers(products[p].w,
                          row_at(memory + plan.index[p][r] * size),
                          products[p].rows[r].out,
                          begin,
                          end);
    }
  });
}

}  // namespace

void multiply(std::span<const Product> products,
              ptrdiff_t stride,
              bool integers) {
  if (products.empty()) {
    return;
  }
  const Kernels& k = kernels();
  bool few = std::ranges::all_of(products, [](const Product& product) {
    return product.rows.size() <= kFewRows;
  });
  if (integers && few && k.has_integers(products[0].w)) {
    multiply_integers(k, products, stride);
  } else {
    multiply_floats(k, products, stride);
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
