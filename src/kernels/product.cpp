#include "assay/kernels/product.h"

#include <algorithm>
#include <unordered_map>

#include "assay/kernels/pool.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/simd.h"

namespace assay::kernels {
namespace {

// Below this many multiplications a second thread costs more than it gives.
constexpr size_t kWorthSharing = 1 << 15;
// Pieces are no smaller than this, since each starts new streams of memory,
// unless threads would be idle; and no more than kPieces a thread.
constexpr size_t kPieceWork = 1 << 17;
constexpr size_t kPieces = 8;

struct Packed {
  std::vector<std::vector<PackedRow>> rows;  // for each product
};

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

Packed pack(const Kernels& k,
            std::span<const Product> products,
            ptrdiff_t stride) {
  // Not the scratch of the kernels: the caller computes too.
  thread_local Buffer memory;
  const Matrix& w = products[0].w;
  const size_t columns = k.padded_columns(w);
  const size_t sums = k.padded_sums(w);
  const size_t size = (columns + sums + 15) / 16 * 16;
  const PackPlan plan = plan_packing(products);
  float* to = memory.floats(plan.sources.size() * size);

  auto pack_one = [&](size_t i) {
    float* values = to + i * size;
    k.pack(w, plan.sources[i], stride, values, values + columns);
  };
  if (plan.sources.size() * columns < kWorthSharing) {
    for (size_t i = 0; i < plan.sources.size(); ++i) {
      pack_one(i);
    }
  } else {
    parallel_for(plan.sources.size(), pack_one);
  }

  Packed packed;
  for (size_t p = 0; p < products.size(); ++p) {
    auto& rows = packed.rows.emplace_back();
    for (size_t r = 0; r < products[p].rows.size(); ++r) {
      const float* values = to + plan.index[p][r] * size;
      rows.push_back({values,
                      sums == 0 ? nullptr : values + columns,
                      products[p].rows[r].out});
    }
  }
  return packed;
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
      work < kWorthSharing
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

}  // namespace

void multiply(std::span<const Product> products, ptrdiff_t stride) {
  if (products.empty()) {
    return;
  }
  const Kernels& k = kernels();
  const Packed packed = pack(k, products, stride);
  const auto pieces = split(products);
  auto run = [&](size_t i) {
    const auto& piece = pieces[i];
    const Matrix& w = products[piece.product].w;
    const auto& rows = packed.rows[piece.product];
    if (rows.size() == 1) {
      k.multiply_one(w, rows[0], piece.begin, piece.end);
    } else if (!rows.empty()) {
      k.multiply_many(w, rows, piece.begin, piece.end);
    }
  };
  parallel_for(pieces.size(), run);
}

void decode_rows(const Matrix& w, std::span<const size_t> ids, float* out) {
  const Kernels& k = kernels();
  auto decode_one = [&](size_t i) { k.decode(w, ids[i], out + i * w.columns); };
  if (ids.size() * w.columns < kWorthSharing) {
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
