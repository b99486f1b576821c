#include "assay/nn/cache.h"

#include <algorithm>
#include <stdexcept>

#include <mlx/ops.h>

#include "assay/kernels/cached_attention.h"

namespace assay::nn {
namespace mx = mlx::core;

namespace {

// Growing stores grow by this many positions at a time.
constexpr int kStep = 256;

// Bits that are a floating-point type, not a quantization: half the memory of
// float32, what other programs take.
constexpr int kHalfPrecision = 16;

bool is_plain(int bits) {
  return bits == 0 || bits == kHalfPrecision;
}

// [start, stop) of the positions (axis 2).
mx::array positions(const mx::array& part, int start, int stop) {
  auto from = mx::Shape(part.ndim(), 0);
  auto to = part.shape();
  from[2] = start;
  to[2] = stop;
  return mx::slice(part, from, to);
}

// A store like `part` with no position.
mx::array no_positions(const mx::array& part) {
  auto room = part.shape();
  room[2] = 0;
  return mx::zeros(room, part.dtype());
}

}  // namespace

KVCache::KVCache(const CacheShape& shape, const CacheOptions& options)
    : shape_(shape), bits_(options.bits), group_size_(options.group_size) {
  if (shape.window > 0) {
    limit_ = shape.window;
  } else if (options.max_size > 0) {
    limit_ = options.max_size;
    keep_ = std::min(options.keep, options.max_size - 1);
  }
}

KVCache::Store KVCache::encode(const mx::array& fresh) const {
  if (is_plain(bits_)) {
    return {bits_ == 0 ? fresh : mx::astype(fresh, mx::float16)};
  }
  return mx::quantize(fresh, group_size_, bits_);
}

CachedTensor KVCache::show(const Store& store) const {
  auto part = [&](size_t i) { return positions(store[i], 0, length_); };
  if (is_plain(bits_)) {
    return {part(0), std::nullopt, std::nullopt, 0, 0};
  }
  return {part(0), part(1), part(2), group_size_, bits_};
}

// Makes room in `part` for `fresh` positions at `position`.
void KVCache::make_room(mx::array& part, int fresh, int position) const {
  int end = position + fresh;
  if (end <= part.shape(2)) {
    return;
  }
  auto room = part.shape();
  int wanted = (end + kStep - 1) / kStep * kStep;
  if (limit_ > 0 && fresh == 1) {
    wanted = std::max(std::min(wanted, limit_), end);
  }
  room[2] = wanted - position;
  auto free = mx::zeros(room, part.dtype());
  part = position == 0
             ? free
             : mx::concatenate({positions(part, 0, position), free}, 2);
}

// Writes `fresh` at `position`, making room where there is none.
void KVCache::put(Store& store,
                  const Store& fresh,
                  int position,
                  bool unread) const {
  if (store.empty()) {
    for (const auto& part : fresh) {
      store.push_back(no_positions(part));
    }
  }
  for (size_t i = 0; i < store.size(); ++i) {
    make_room(store[i], fresh[i].shape(2), position);
    store[i] = kernels::append(store[i], fresh[i], position, unread);
  }
}

// Puts a ring back in order and forgets what the next position can't see.
void KVCache::drop_oldest() {
  int excess = length_ + 1 - limit_;
  bool ring = turned();
  if (!ring && excess <= 0) {
    return;
  }
  for (auto* store : {&keys_, &values_}) {
    for (auto& part : *store) {
      std::vector<mx::array> pieces;
      auto take = [&](int start, int stop) {
        if (start < stop) {
          pieces.push_back(positions(part, start, stop));
        }
      };
      take(0, keep_);
      if (ring) {  // oldest first: [next_, length_) then [keep_, next_)
        int first = next_ + std::max(excess, 0);
        take(first, length_);
        take(keep_ + std::max(first - length_, 0), next_);
      } else {
        take(keep_ + excess, length_);
      }
      part =
          pieces.empty() ? positions(part, 0, 0) : mx::concatenate(pieces, 2);
    }
  }
  length_ -= std::max(excess, 0);
  written_ = length_;
  next_ = 0;
}

std::optional<mx::array> KVCache::window_mask(int fresh) const {
  // Positions of keys, in the order of the store.
  auto keys = mx::arange(length_) + mx::array(offset_ - length_);
  if (keep_ > 0 && length_ < offset_) {
    keys = mx::where(
        mx::arange(length_) < mx::array(keep_), mx::arange(length_), keys);
  }
  keys = mx::expand_dims(keys, 0);
  auto queries = mx::expand_dims(mx::arange(offset_ - fresh, offset_), 1);
  auto seen = mx::less_equal(keys, queries);
  auto near = mx::greater(keys, queries - mx::array(limit_ - keep_));
  if (keep_ > 0) {
    near = mx::logical_or(near, keys < mx::array(keep_));
  }
  return mx::logical_and(seen, near);
}

// Where `fresh` more positions go, which counts them as seen.
KVCache::Place KVCache::advance(int fresh) {
  bool full_ring = limit_ > 0 && fresh == 1 && length_ == limit_;
  int position = length_;
  if (full_ring) {
    position = std::max(next_, keep_);
    next_ = position + 1 == limit_ ? keep_ : position + 1;
  } else if (limit_ > 0) {
    drop_oldest();
    position = length_;
  }
  bool unread = position >= written_;
  written_ = std::max(written_, position + fresh);
  offset_ += fresh;
  length_ += full_ring ? 0 : fresh;
  return {position, unread};
}

// Whether `fresh` more positions will see all that came before them.
bool KVCache::all_near(int fresh) const {
  bool in_reach = limit_ == 0 || offset_ + fresh <= limit_ - keep_;
  return fresh == 1 || (length_ == offset_ && in_reach);
}

KVCache::View KVCache::update(const mx::array& keys, const mx::array& values) {
  int fresh = keys.shape(2);
  bool near = all_near(fresh);
  auto [position, unread] = advance(fresh);
  put(keys_, encode(keys), position, unread);
  put(values_, encode(values), position, unread);
  View view{show(keys_), show(values_), std::nullopt, false};
  view.causal = fresh > 1 && near;
  if (!near) {
    view.mask = window_mask(fresh);
  }
  return view;
}

std::optional<KVCache::Room> KVCache::room(int batch,
                                           int fresh,
                                           mx::Dtype type) {
  if (!is_plain(bits_) || !all_near(fresh)) {
    return std::nullopt;
  }
  auto [position, unread] = advance(fresh);
  auto stored = [&](Store& store, int dim) {
    if (store.empty()) {
      store = encode(mx::zeros({batch, shape_.kv_heads, 0, dim}, type));
    }
    make_room(store[0], fresh, position);
    return store[0];
  };
  return Room{stored(keys_, shape_.key_dim),
              stored(values_, shape_.value_dim),
              position,
              length_,
              unread};
}

void KVCache::put_back(const mx::array& keys, const mx::array& values) {
  keys_ = {keys};
  values_ = {values};
}

bool KVCache::can_trim(int count) const {
  return length_ == offset_ && count >= 0 && count <= offset_ && !turned();
}

bool KVCache::trim(int count) {
  if (!can_trim(count)) {
    return false;
  }
  offset_ -= count;
  length_ -= count;
  return true;
}

std::vector<mx::array> KVCache::state() const {
  std::vector<mx::array> arrays;
  for (const auto* store : {&keys_, &values_}) {
    for (const auto& part : *store) {
      if (turned()) {
        arrays.push_back(mx::concatenate({positions(part, 0, keep_),
                                          positions(part, next_, length_),
                                          positions(part, keep_, next_)},
                                         2));
      } else {
        arrays.push_back(positions(part, 0, length_));
      }
    }
  }
  return arrays;
}

// Whether a saved array can be the `index`-th of this layer's state.
bool KVCache::fits(const mx::array& part, size_t index, int length) const {
  size_t parts = is_plain(bits_) ? 1 : 3;
  int width = index < parts ? shape_.key_dim : shape_.value_dim;
  bool packed = !is_plain(bits_) && index % parts == 0;
  if (packed) {
    width = width * bits_ / 32;
  } else if (!is_plain(bits_)) {
    width /= group_size_;
  }
  bool typed = packed ? part.dtype() == mx::uint32
                      : mx::issubdtype(part.dtype(), mx::floating);
  return typed && part.ndim() == 4 && part.shape(0) > 0 &&
         part.shape(1) == shape_.kv_heads && part.shape(2) == length &&
         part.shape(3) == width;
}

void KVCache::restore(const std::vector<mx::array>& state, int offset) {
  size_t parts = is_plain(bits_) ? 1 : 3;
  if (state.empty() && offset == 0) {
    keys_.clear();
    values_.clear();
    offset_ = length_ = written_ = next_ = 0;
    return;
  }
  if (state.size() != 2 * parts) {
    throw std::invalid_argument("[cache] another number of arrays than kept");
  }
  int length = state[0].ndim() == 4 ? state[0].shape(2) : -1;
  bool fit = length > 0 && length <= offset &&
             (length == offset || (limit_ > 0 && length >= limit_));
  for (size_t i = 0; i < state.size(); ++i) {
    fit = fit && fits(state[i], i, length) &&
          state[i].shape(0) == state[0].shape(0);
  }
  if (!fit) {
    throw std::invalid_argument("[cache] the saved shape is not this layer's");
  }
  auto middle = state.begin() + static_cast<std::ptrdiff_t>(parts);
  keys_.assign(state.begin(), middle);
  values_.assign(middle, state.end());
  offset_ = offset;
  length_ = written_ = length;
  next_ = 0;
}

size_t KVCache::bytes() const {
  size_t total = 0;
  for (const auto* store : {&keys_, &values_}) {
    for (const auto& part : *store) {
      total += part.nbytes();
    }
  }
  return total;
}

}  // namespace assay::nn
