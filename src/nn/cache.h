#pragma once

// KV caches: what attention remembers of the positions before. One value type
// a layer, in three kinds: growing, rotating (bounded, for sliding windows or
// a bounded context) and quantized.

#include <algorithm>
#include <optional>
#include <vector>

#include <mlx/array.h>

namespace assay::nn {

/** What one layer keeps of each position. Shapes are
 * [batch, heads, length, dim]. */
struct CacheShape {
  int kv_heads = 0;
  int key_dim = 0;
  int value_dim = 0;
  int window = 0;  ///< 0: all positions, otherwise only the last `window`
};

struct CacheOptions {
  /** Bound on remembered positions of layers without a window of their own; 0:
   * none. The first `keep` positions stay. */
  int max_size = 0;
  int keep = 4;
  /** Bits of stored keys and values; 0: as they are, 16: float16. */
  int bits = 0;
  int group_size = 64;
};

/** Keys or values, plain or affine-quantized. */
struct CachedTensor {
  mlx::core::array data;
  std::optional<mlx::core::array> scales, biases;
  int group_size = 0, bits = 0;
};

class KVCache {
 public:
  KVCache(const CacheShape& shape, const CacheOptions& options);
  // Two of them would write to one store.
  KVCache(const KVCache&) = delete;
  KVCache& operator=(const KVCache&) = delete;
  KVCache(KVCache&&) = default;
  KVCache& operator=(KVCache&&) = default;
  ~KVCache() = default;

  /** Positions seen so far: the offset of the next one. */
  int offset() const { return offset_; }

  /** Says that the context will reach `context` positions, so that a prompt
   * that runs in pieces is rotated as one that runs whole (dynamic, longrope).
   */
  void expect(int context) { expected_ = context; }
  /** Length of the context that `fresh` more positions belong to. */
  int context(int fresh) const { return std::max(expected_, offset_ + fresh); }

  struct View {
    CachedTensor keys, values;
    /** Position of each remembered key is not stored: the mask is all that
     * attention needs. Boolean, broadcastable to [length, remembered], true
     * where a query may look; nothing if all may look everywhere. */
    std::optional<mlx::core::array> mask;
    bool causal = false;  ///< the mask is the plain causal one
  };
  /** Appends keys and values [batch, heads, length, dim] and shows all that
   * the new positions may attend to. */
  View update(const mlx::core::array& keys, const mlx::core::array& values);

  struct Room {
    mlx::core::array keys, values;  ///< the stores, with room
    int position = 0;               ///< where the first new one goes
    int remembered = 0;             ///< positions in use with the new ones
    bool unread = false;            ///< see kernels::append
  };
  /** Room for `fresh` more positions of that type, for an attention that writes
   * them there itself; it must put the stores back. Nothing, and nothing is
   * done, if they must be quantized or need a mask. */
  std::optional<Room> room(int batch, int fresh, mlx::core::Dtype type);
  void put_back(const mlx::core::array& keys, const mlx::core::array& values);

  /** Forgets the last `count` positions. False, and nothing is done, if they
   * can't be forgotten: others were dropped for them. */
  bool trim(int count);
  bool can_trim(int count) const;

  /** The arrays that hold the state, for evaluation and saving: keys, then
   * values; each as data, or as data, scales and biases; remembered positions
   * in their order. Empty before the first update. */
  std::vector<mlx::core::array> state() const;
  /** Puts back a saved state. Throws std::invalid_argument for shapes or types
   * that are not this layer's. */
  void restore(const std::vector<mlx::core::array>& state, int offset);
  /** Bytes held now. */
  size_t bytes() const;

 private:
  /** The stored arrays of keys or of values: data, or data, scales, biases;
   * each [batch, heads, capacity, ...]. */
  using Store = std::vector<mlx::core::array>;

  /** True if the store is a ring whose oldest position is not the first. */
  bool turned() const { return next_ > keep_; }
  bool fits(const mlx::core::array& part, size_t index, int length) const;
  void drop_oldest();
  struct Place {
    int position;
    bool unread;
  };
  Place advance(int fresh);
  bool all_near(int fresh) const;
  void make_room(mlx::core::array& part, int fresh, int position) const;
  void put(Store& store, const Store& fresh, int position, bool unread) const;
  Store encode(const mlx::core::array& fresh) const;
  CachedTensor show(const Store& store) const;
  std::optional<mlx::core::array> window_mask(int fresh) const;

  CacheShape shape_;
  int limit_ = 0;  ///< remembered positions; 0: all
  int keep_ = 0;   ///< of these, the first ones that are never dropped
  int bits_ = 0, group_size_ = 0;
  int offset_ = 0;
  int expected_ = 0;
  int length_ = 0;   ///< positions in the store
  int written_ = 0;  ///< places of the store that somebody may still read
  int next_ = 0;     ///< oldest position of a full ring, in the store; 0: the
                     ///< store is in order
  Store keys_, values_;
};

using KVCaches = std::vector<KVCache>;

}  // namespace assay::nn
