#pragma once

// Arrays that do not lie row by row.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <mlx/array.h>

namespace assay::kernels {

/** Calls f(offset) for the elements of a (possibly strided or broadcast) array
 * in row-major order over its first `axes` axes; offsets count elements. */
template <class Function>
void for_each_offset(const mlx::core::Shape& shape,
                     const mlx::core::Strides& strides,
                     size_t axes,
                     const Function& f) {
  size_t count = 1;
  for (size_t i = 0; i < axes; ++i) {
    count *= static_cast<size_t>(shape[i]);
  }
  std::vector<int> index(axes, 0);
  int64_t offset = 0;
  for (size_t n = 0; n < count; ++n) {
    f(offset);
    for (size_t i = axes; i-- > 0;) {
      offset += strides[i];
      if (++index[i] < shape[i]) {
        break;
      }
      offset -= strides[i] * shape[i];
      index[i] = 0;
    }
  }
}

/** Writes the elements of `a` side by side. */
inline void copy_row_major(const mlx::core::array& a, char* to) {
  const size_t size = a.itemsize();
  const char* from = a.data<char>();
  if (a.flags().row_contiguous && a.size() > 0) {
    std::memcpy(to, from, a.nbytes());
    return;
  }
  for_each_offset(a.shape(), a.strides(), a.ndim(), [&](int64_t offset) {
    std::memcpy(to, from + offset * static_cast<int64_t>(size), size);
    to += size;
  });
}

/** The elements of an evaluated array row by row: where they lie, or a copy.
 * The array must outlive it. */
class RowMajor {
 public:
  explicit RowMajor(const mlx::core::array& a) {
    if (a.flags().row_contiguous) {
      data_ = a.data<char>();
    } else {
      copy_.resize(a.nbytes());
      copy_row_major(a, copy_.data());
      data_ = copy_.data();
    }
    end_ = data_ + a.nbytes();
  }
  RowMajor(const RowMajor&) = delete;
  RowMajor& operator=(const RowMajor&) = delete;
  RowMajor(RowMajor&&) = default;
  RowMajor& operator=(RowMajor&&) = default;
  ~RowMajor() = default;

  const std::byte* begin() const {
    return reinterpret_cast<const std::byte*>(data_);
  }
  const std::byte* end() const {
    return reinterpret_cast<const std::byte*>(end_);
  }
  const float* floats() const { return reinterpret_cast<const float*>(data_); }

 private:
  std::vector<char> copy_;
  const char* data_ = nullptr;
  const char* end_ = nullptr;
};

}  // namespace assay::kernels
