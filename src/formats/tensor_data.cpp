// The data of tensors: the map where they lie in order, memory where not.

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "assay/formats/model_files.h"
#include "assay/formats/quote.h"
#include "assay/formats/zip.h"

namespace assay {
namespace {

using Bytes = std::span<const std::byte>;

uint64_t element_bytes(DType dtype) {
  return info(dtype).bytes;
}

// Elements from the first to the last that a view touches.
uint64_t extent(const TensorInfo& tensor) {
  uint64_t last = 0;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    last += static_cast<uint64_t>(tensor.shape[i] - 1) *
            static_cast<uint64_t>(tensor.strides[i]);
  }
  return last + 1;
}

// The stored bytes that hold the values.
uint64_t stored_length(const TensorInfo& tensor) {
  return tensor.strides.empty() || tensor.bytes == 0
             ? tensor.bytes
             : extent(tensor) * element_bytes(tensor.dtype);
}

/** Copies a view row after row: whole rows where they lie in one piece. */
class Gather {
 public:
  Gather(const TensorInfo& tensor, Bytes from, std::vector<std::byte>& to)
      : tensor_(tensor), from_(from), to_(to) {
    run_ = static_cast<size_t>(element_bytes(tensor.dtype));
    axes_ = tensor.shape.size();
    uint64_t stride = 1;
    while (axes_ > 0 &&
           static_cast<uint64_t>(tensor.strides[axes_ - 1]) == stride) {
      stride *= static_cast<uint64_t>(tensor.shape[--axes_]);
    }
    element_ = run_;
    run_ *= static_cast<size_t>(stride);
  }

  void copy() {
    std::vector<int64_t> index(axes_, 0);
    uint64_t at = 0;  // in elements
    for (size_t done = 0; done < to_.size(); done += run_) {
      std::memcpy(to_.data() + done, from_.data() + at * element_, run_);
      for (size_t axis = axes_; axis-- > 0;) {
        auto stride = static_cast<uint64_t>(tensor_.strides[axis]);
        at += stride;
        if (++index[axis] < tensor_.shape[axis]) {
          break;
        }
        at -= stride * static_cast<uint64_t>(tensor_.shape[axis]);
        index[axis] = 0;
      }
    }
  }

 private:
  const TensorInfo& tensor_;
  Bytes from_;
  std::vector<std::byte>& to_;
  size_t axes_ = 0;  ///< that are walked; those inside are one run
  size_t element_ = 0;
  size_t run_ = 0;
};

void swap_bytes(std::vector<std::byte>& bytes, DType dtype) {
  // A complex number is two.
  auto width = static_cast<std::ptrdiff_t>(
      dtype == DType::c64 ? 4 : element_bytes(dtype));
  for (auto at = bytes.begin(); width > 1 && at < bytes.end(); at += width) {
    std::reverse(at, at + width);
  }
}

}  // namespace

TensorData::TensorData(const ModelFiles& model)
    : model_(model), maps_(model.files.size()) {}

const MappedFile& TensorData::file(uint32_t index) {
  auto& map = maps_.at(index);
  if (!map) {
    map.emplace(model_.files[index]);
  }
  return *map;
}

Bytes TensorData::stored(const TensorInfo& tensor, uint64_t length) {
  auto all = tensor.packed ? unpacked(tensor) : file(tensor.file).bytes();
  if (tensor.offset > all.size() || length > all.size() - tensor.offset) {
    fail("file.changed",
         fmt::format("{}: tensor {}",
                     model_.files[tensor.file].string(),
                     quote(tensor.name)),
         fmt::format("{} bytes at byte {}", length, tensor.offset),
         fmt::format("a file of {} bytes", all.size()));
  }
  return all.subspan(static_cast<size_t>(tensor.offset),
                     static_cast<size_t>(length));
}

Bytes TensorData::unpacked(const TensorInfo& tensor) {
  auto place = std::pair(tensor.file, tensor.packed->offset);
  if (storage_.empty() || storage_at_ != place) {
    Zip zip;
    zip.bytes = file(tensor.file).bytes();
    ZipEntry entry;
    entry.name = tensor.name;
    entry.data = tensor.packed->offset;
    entry.packed = tensor.packed->bytes;
    entry.size = tensor.packed->size;
    entry.method = 8;
    entry.reachable = entry.data <= zip.bytes.size() &&
                      entry.packed <= zip.bytes.size() - entry.data;
    storage_ = unpack(
        zip, entry, entry.size, false, model_.files[tensor.file].string());
    storage_at_ = std::move(place);
  }
  return storage_;
}

Bytes TensorData::bytes(const TensorInfo& tensor) {
  if (tensor.is_plain()) {
    return stored(tensor, tensor.bytes);
  }
  auto [entry, fresh] = ordered_.try_emplace({tensor.file, tensor.name});
  auto& values = entry->second;
  if (fresh) {
    auto from = stored(tensor, stored_length(tensor));
    values.resize(static_cast<size_t>(tensor.bytes));
    if (tensor.strides.empty()) {
      std::ranges::copy(from, values.begin());
    } else if (!values.empty()) {
      Gather(tensor, from, values).copy();
    }
    if (tensor.big_endian) {
      swap_bytes(values, tensor.dtype);
    }
  }
  return values;
}

void TensorData::release(const TensorInfo& tensor) {
  ordered_.erase({tensor.file, tensor.name});
  if (tensor.packed) {
    return;
  }
  file(tensor.file).release(tensor.offset, stored_length(tensor));
}

}  // namespace assay
