#include "assay/kernels/check.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>

#include <mlx/utils.h>

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

template <class... Parts>
[[noreturn]] void refuse(std::string_view operation, const Parts&... parts) {
  std::ostringstream message;
  message << '[' << operation << "] ";
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

ScaleType affine_scale_type(std::string_view operation, mx::Dtype dtype) {
  if (dtype == mx::float32) {
    return ScaleType::f32;
  }
  if (dtype == mx::float16) {
    return ScaleType::f16;
  }
  if (dtype == mx::bfloat16) {
    return ScaleType::bf16;
  }
  refuse(operation,
         "Scales of an affine weight must be float32, float16 or bfloat16 but "
         "got ",
         dtype);
}

struct Mode {
  std::string_view name;
  Format format;
  ScaleType scale;
  int group;
  int bits;
};
constexpr std::array kModes = {
    Mode{"mxfp4", Format::mxfp4, ScaleType::e8m0, 32, 4},
    Mode{"mxfp8", Format::mxfp8, ScaleType::e8m0, 32, 8},
    Mode{"nvfp4", Format::nvfp4, ScaleType::e4m3, 16, 4},
};

void describe_affine(std::string_view operation,
                     const Weight& weight,
                     Matrix& w) {
  const auto& [group, bits, mode] = weight.quantization;
  w.format = Format::affine;
  w.scale_type = affine_scale_type(operation, weight.scales->dtype());
  if (group != 32 && group != 64 && group != 128) {
    refuse(operation, "Group size must be 32, 64 or 128 but got ", group);
  }
  if (bits < 2 || bits > 8 || bits == 7) {
    refuse(operation, "Bits must be 2, 3, 4, 5, 6 or 8 but got ", bits);
  }
  if (!weight.biases) {
    refuse(operation, "An affine weight needs biases");
  }
  if (weight.biases->shape() != weight.scales->shape() ||
      weight.biases->dtype() != weight.scales->dtype()) {
    refuse(operation,
           "Biases with shape ",
           weight.biases->shape(),
           " and type ",
           weight.biases->dtype(),
           " must match scales with shape ",
           weight.scales->shape(),
           " and type ",
           weight.scales->dtype());
  }
}

void describe_float(std::string_view operation,
                    const Weight& weight,
                    Matrix& w) {
  const auto& [group, bits, name] = weight.quantization;
  for (const auto& mode : kModes) {
    if (mode.name != name) {
      continue;
    }
    if (group != mode.group || bits != mode.bits) {
      refuse(operation,
             name,
             " has group size ",
             mode.group,
             " and ",
             mode.bits,
             " bits but got ",
             group,
             " and ",
             bits);
    }
    if (weight.biases) {
      refuse(operation, name, " has no biases");
    }
    if (weight.scales->dtype() != mx::uint8) {
      refuse(operation,
             "Scales of ",
             name,
             " must be uint8 but got ",
             weight.scales->dtype());
    }
    w.format = mode.format;
    w.scale_type = mode.scale;
    return;
  }
  refuse(operation, "Unknown quantization mode ", name);
}

void describe_quantized(std::string_view operation,
                        const Weight& weight,
                        Matrix& w) {
  const auto& data = weight.data;
  if (data.dtype() != mx::uint32) {
    refuse(
        operation, "A quantized weight must be uint32 but got ", data.dtype());
  }
  if (weight.quantization.mode == "affine") {
    describe_affine(operation, weight, w);
  } else {
    describe_float(operation, weight, w);
  }
  w.bits = weight.quantization.bits;
  w.group = weight.quantization.group_size;
  w.symmetric = weight.symmetric;
  const auto stored = static_cast<size_t>(data.shape(-1)) * 32;
  w.columns = stored / static_cast<size_t>(w.bits);
  auto expected = data.shape();
  expected.back() = static_cast<int>(w.groups());
  const auto width = static_cast<size_t>(w.group) * w.groups();
  if (weight.scales->shape() != expected ||
      width * static_cast<size_t>(w.bits) != stored) {
    refuse(operation,
           "Scales with shape ",
           weight.scales->shape(),
           " do not match the weight with shape ",
           data.shape(),
           " given group size ",
           w.group,
           " and ",
           w.bits,
           " bits");
  }
}

void describe_dense(std::string_view operation,
                    const Weight& weight,
                    Matrix& w) {
  const auto dtype = weight.data.dtype();
  if (weight.biases) {
    refuse(operation, "Biases without scales");
  }
  if (dtype == mx::float32) {
    w.format = Format::f32;
  } else if (dtype == mx::float16) {
    w.format = Format::f16;
  } else if (dtype == mx::bfloat16) {
    w.format = Format::bf16;
  } else {
    refuse(operation,
           "The weight must be float32, float16 or bfloat16, or have scales, "
           "but got ",
           dtype);
  }
  w.bits = static_cast<int>(dtype.size()) * 8;
  w.columns = static_cast<size_t>(weight.data.shape(-1));
}

}  // namespace

Matrix describe(std::string_view operation,
                const Weight& weight,
                size_t dimensions) {
  if (weight.data.ndim() != dimensions) {
    refuse(operation,
           "The weight must have ",
           dimensions,
           " dimensions but has shape ",
           weight.data.shape());
  }
  Matrix w;
  if (weight.scales) {
    describe_quantized(operation, weight, w);
  } else {
    describe_dense(operation, weight, w);
  }
  w.rows = static_cast<size_t>(weight.data.shape(-2));
  return w;
}

void check_width(std::string_view operation,
                 const mx::array& x,
                 const Weight& weight,
                 const Matrix& w) {
  if (!mx::issubdtype(x.dtype(), mx::floating)) {
    refuse(operation, "x must be of a floating type but got ", x.dtype());
  }
  check_width(operation, x.shape(), weight, w);
}

void check_width(std::string_view operation,
                 const mx::Shape& x,
                 const Weight& weight,
                 const Matrix& w) {
  if (x.empty() || static_cast<size_t>(x.back()) != w.columns) {
    auto shape = weight.data.shape();
    shape.back() = static_cast<int>(w.columns);
    refuse(operation,
           "Last dimension of x with shape ",
           x,
           " must match the input width of the weight with shape ",
           shape);
  }
}

void check_gathered(const mx::array& x,
                    const Weight& weight,
                    const Matrix& w,
                    const mx::array& experts) {
  constexpr std::string_view kOperation = "gather_linear";
  check_width(kOperation, x, weight, w);
  check_integers(kOperation, "Experts", experts);
  if (x.ndim() < 2) {
    refuse(kOperation, "x must have rows but has shape ", x.shape());
  }
  const auto batch = x.ndim() - 2;
  for (size_t i = 1; i <= std::min(batch, experts.ndim()); ++i) {
    const int a = x.shape(static_cast<int>(batch - i));
    const int b = experts.shape(static_cast<int>(experts.ndim() - i));
    if (a != b && a != 1 && b != 1) {
      refuse(kOperation,
             "Batch dimensions of x with shape ",
             x.shape(),
             " cannot be broadcast against experts with shape ",
             experts.shape());
    }
  }
}

void check_attention(const mx::Shape& q,
                     const Weight& keys,
                     const Matrix& described_keys,
                     const Weight& values) {
  constexpr std::string_view kOperation = "attention";
  if (q.size() != 4) {
    refuse(kOperation, "Queries must have 4 dimensions but got ", q);
  }
  check_width(kOperation, q, keys, described_keys);
  const auto& k = keys.data.shape();
  const auto& v = values.data.shape();
  const bool fit = k[0] == q[0] && v[0] == k[0] && v[1] == k[1] &&
                   v[2] == k[2] && k[1] > 0 && q[1] % k[1] == 0 && k[2] >= q[2];
  if (!fit) {
    refuse(kOperation,
           "Keys with shape ",
           k,
           " and values with shape ",
           v,
           " do not serve queries with shape ",
           q);
  }
  for (const auto* part : {&keys, &values}) {
    if (part->scales && part->quantization.mode != "affine") {
      refuse(kOperation, "Keys and values are plain or affine-quantized");
    }
  }
}

void check_rope(const mx::Shape& x, size_t pairs) {
  if (x.size() != 4 || pairs == 0 ||
      2 * pairs > static_cast<size_t>(x.back())) {
    throw std::invalid_argument(
        "[rope] x must have four axes, the last as wide as the rotated pairs");
  }
}

void check_integers(std::string_view operation,
                    std::string_view what,
                    const mx::array& ids) {
  if (!mx::issubdtype(ids.dtype(), mx::integer)) {
    refuse(operation, what, " must be integers but got ", ids.dtype());
  }
}

}  // namespace assay::kernels
