#pragma once

// Memory that a thread keeps between products: allocating panels anew would
// cost more than filling them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace assay::kernels {

/** Aligned memory that grows and is never given back while the thread lives.
 */
class Buffer {
 public:
  /** At least `count` floats; contents are undefined. */
  float* floats(size_t count) {
    return reinterpret_cast<float*>(bytes(count * sizeof(float)));
  }
  uint8_t* bytes(size_t count) {
    if (count > size_) {
      memory_.reset(static_cast<uint8_t*>(::operator new(count, kAlignment)));
      size_ = count;
    }
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Release {
    void operator()(uint8_t* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<uint8_t, Release> memory_;
  size_t size_ = 0;
};

struct Scratch {
  Buffer rows;       ///< copies of weight rows at the end of an array
  Buffer scales;     ///< scales and biases as float32
  Buffer panel;      ///< decoded weights
  Buffer decoded;    ///< some of its rows, before they are turned
  Buffer attention;  ///< a tile of attention: queries, keys, values, scores
};

/** The calling thread's. */
inline Scratch& scratch() {
  thread_local Scratch instance;
  return instance;
}

}  // namespace assay::kernels
