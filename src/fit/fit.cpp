#include "assay/fit/fit.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <mlx/device.h>
#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/core/platform.h"
#include "assay/fit/graph_memory.h"
#include "assay/formats/ggml.h"
#include "assay/inspect/declared.h"
#include "assay/inspect/inspect.h"
#include "assay/nn/steps.h"

namespace assay {
namespace mx = mlx::core;

namespace {

constexpr int kDefaultContext = 4096;
constexpr int kCacheStep = 256;  // caches grow by so many positions
// What running takes beyond arrays: buffers of the BLAS, code that is loaded
// when it is first used, the tokenizer. Measured with a 135M model on two
// cores.
constexpr uint64_t kRunning = 24u << 20;
// Operations that MLX has under way on a CPU before their inputs are given
// back. Fitted: with 46, the peaks of four prefill pieces of a 135M model come
// out within a tenth of those that MLX counts (58, 81, 103, 122 MB).
constexpr int kQueuedOnCpu = 46;

uint64_t count_of(const nn::ParameterSpec& spec) {
  return element_count(spec.shape()).value_or(0);
}

uint64_t bytes_of(const std::vector<const TensorInfo*>& tensors) {
  uint64_t bytes = 0;
  for (const auto* tensor : tensors) {
    bytes += tensor->bytes;
  }
  return bytes;
}

// Packed values and, for each group, scale (and bias).
uint64_t quantized_bytes(uint64_t count,
                         int bits,
                         int group_size,
                         uint64_t group_bytes) {
  return count * static_cast<uint64_t>(bits) / 8 +
         count / static_cast<uint64_t>(group_size) * group_bytes;
}

uint64_t quantized_bytes(uint64_t count, const Quantization& q) {
  return quantized_bytes(
      count, q.bits, q.group_size, q.mode == "affine" ? 4 : 1);
}

// The type of activations that these weights lead to.
mx::Dtype activation_dtype(const Declared& declared) {
  if (declared.matches.empty()) {
    return mx::float32;
  }
  const auto& location = declared.matches.front().location;
  auto dtype = location.scales != nullptr ? location.scales->dtype
                                          : location.tensors.front()->dtype;
  auto weights = mx::float32;
  if (dtype == DType::bf16 || dtype == DType::u8) {
    weights = mx::bfloat16;
  } else if (dtype == DType::f16) {
    weights = mx::float16;
  } else if (auto form = ggml::mlx_form(dtype)) {
    weights = form->scale_type == DType::f16 ? mx::float16 : mx::float32;
  }
  return kernels::activation_dtype(weights);
}

struct Asked {
  int context, bits, kv_bits;
};

/** Everything that estimates for several settings share. */
class Estimator {
 public:
  Estimator(const ModelFiles& model, const FitOptions& options)
      : options_(options),
        tree_(arch::build_tree(model)),
        declared_(hold_against_tree(tree_, model)) {
    for (const auto& finding : declared_.findings) {
      if (finding.severity == Severity::error) {
        throw Error(finding);
      }
    }
    dtype_ = activation_dtype(declared_);
    program_ = resident_bytes() + kRunning;
  }

  MemoryNeed need(const Asked& asked) {
    return {.weights = weights(asked.bits),
            .kv_cache = cache(asked.context, asked.kv_bits),
            .activations = activation_bytes(
                tree_,
                asked.context,
                options_.batch,
                std::min(options_.prefill_chunk, asked.context),
                asked.kv_bits,
                options_.kv_group_size),
            .program = program_};
  }

  uint64_t weights(int bits) const {
    uint64_t total = 0;
    for (const auto& match : declared_.matches) {
      total += weight(*match.spec, match.location, bits);
    }
    return total;
  }

  uint64_t cache(int context, int kv_bits) const {
    uint64_t total = 0;
    for (const auto& shape : tree_.model->cache_shapes()) {
      int positions = (context + kCacheStep - 1) / kCacheStep * kCacheStep;
      if (shape.window > 0) {
        // A prompt's last piece stands beside the window for a moment.
        positions = std::min(positions, shape.window + options_.prefill_chunk);
      }
      total += position_bytes(shape, kv_bits) *
               static_cast<uint64_t>(positions) *
               static_cast<uint64_t>(options_.batch);
    }
    return total;
  }

  uint64_t cache_per_token(int kv_bits) const {
    uint64_t total = 0;
    for (const auto& shape : tree_.model->cache_shapes()) {
      total += shape.window > 0 ? 0 : position_bytes(shape, kv_bits);
    }
    return total;
  }

  uint64_t parameters() const {
    uint64_t total = 0;
    for (const auto& match : declared_.matches) {
      total += count_of(*match.spec);
    }
    return total;
  }

  mx::Dtype dtype() const { return dtype_; }
  const arch::Tree& tree() const { return tree_; }

 private:
  uint64_t weight(const nn::ParameterSpec& spec,
                  const nn::Location& location,
                  int bits) const {
    auto count = count_of(spec);
    if (!spec.quantizable()) {
      return count * mx::size_of(dtype_);
    }
    std::optional<Quantization> q;
    if (options_.recipe) {
      q = options_.recipe(spec);
      bits = q ? q->bits : 16;
    } else if (bits > 0 && bits < 16) {
      q = Quantization{options_.group_size, bits, "affine"};
    }
    if (q && spec.shape().back() % q->group_size == 0) {
      return quantized_bytes(count, *q);
    }
    if (bits == 0) {
      return loaded_bytes(spec, location);
    }
    return count * (bits == 32 ? 4 : 2);
  }

  uint64_t position_bytes(const nn::CacheShape& shape, int kv_bits) const {
    auto dims = static_cast<uint64_t>(shape.kv_heads) *
                static_cast<uint64_t>(shape.key_dim + shape.value_dim);
    auto size = mx::size_of(dtype_);
    return kv_bits == 0 ? dims * size
                        : quantized_bytes(
                              dims, kv_bits, options_.kv_group_size, 2 * size);
  }

  const FitOptions& options_;
  arch::Tree tree_;
  Declared declared_;
  mx::Dtype dtype_ = mx::float32;
  uint64_t program_ = 0;
};

// The longest context, in steps of the cache, that stays within the limit.
int largest_context(Estimator& estimator,
                    Asked asked,
                    int most,
                    uint64_t limit) {
  auto fits = [&](int context) {
    asked.context = context;
    return estimator.need(asked).total() <= limit;
  };
  if (fits(most)) {
    return most;
  }
  int low = 0, high = (most + kCacheStep - 1) / kCacheStep;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    (fits(middle * kCacheStep) ? low : high) = middle;
  }
  return low * kCacheStep;
}

std::string describe(const Asked& asked, const FitOptions& options) {
  std::vector<std::string> parts;
  if (asked.bits != options.bits) {
    parts.push_back(fmt::format(
        "weights in {} bits, groups of {}", asked.bits, options.group_size));
  }
  if (asked.kv_bits != options.kv_bits) {
    parts.push_back(fmt::format("a KV cache in {} bits", asked.kv_bits));
  }
  if (asked.context != options.context) {
    parts.push_back(fmt::format("a context of {}", asked.context));
  }
  std::string text;
  for (const auto& part : parts) {
    text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

void advise(Estimator& estimator,
            const FitOptions& options,
            double bits_now,
            FitReport& report) {
  auto limit = report.limit.total;
  auto consider = [&](const Asked& asked) {
    auto total = estimator.need(asked).total();
    if (total <= limit) {
      report.advice.push_back({describe(asked, options),
                               asked.context,
                               asked.bits,
                               asked.kv_bits,
                               total});
    }
    return total <= limit;
  };
  auto group = options.kv_group_size;
  auto shapes = estimator.tree().model->cache_shapes();
  bool cache_quantizes =
      options.kv_bits == 0 && std::ranges::all_of(shapes, [&](const auto& s) {
        return s.key_dim % group == 0 && s.value_dim % group == 0;
      });
  if (cache_quantizes) {
    consider({options.context, options.bits, 8});
  }
  if (report.largest_context > 0) {
    consider({report.largest_context, options.bits, options.kv_bits});
  }
  if (options.recipe) {
    return;
  }
  for (int bits : {8, 6, 5, 4, 3, 2}) {
    if (bits + 0.5 < bits_now) {
      if (consider({options.context, bits, options.kv_bits}) ||
          (cache_quantizes && consider({options.context, bits, 8}))) {
        break;
      }
    }
  }
}

int own_context(const ModelFiles& model) {
  auto context = inspect(model).sizes.context;
  return static_cast<int>(
      std::clamp<int64_t>(context.value_or(kDefaultContext), 1, 1 << 30));
}

std::string describe_weights(const FitOptions& options) {
  if (options.recipe) {
    return "by a recipe";
  }
  if (options.bits == 0) {
    return "as stored";
  }
  return options.bits >= 16
             ? fmt::format("{}-bit floats", options.bits)
             : fmt::format(
                   "{} bits in groups of {}", options.bits, options.group_size);
}

std::string describe_cache(const FitOptions& options, mx::Dtype dtype) {
  if (options.kv_bits > 0) {
    return fmt::format(
        "{} bits in groups of {}", options.kv_bits, options.kv_group_size);
  }
  return dtype == mx::float32 ? "float32"
                              : (dtype == mx::float16 ? "float16" : "bfloat16");
}

void check_options(const FitOptions& options) {
  auto in = [](int value, auto... allowed) {
    return ((value == allowed) || ...);
  };
  bool sound = options.context >= 0 && options.batch >= 1 &&
               options.prefill_chunk >= 1 &&
               in(options.bits, 0, 2, 3, 4, 5, 6, 8, 16, 32) &&
               in(options.group_size, 32, 64, 128) &&
               in(options.kv_bits, 0, 2, 3, 4, 5, 6, 8) &&
               in(options.kv_group_size, 32, 64, 128);
  if (!sound) {
    throw std::invalid_argument(fmt::format(
        "[fit] no such setting: context {}, batch {}, {} bits in groups of {}, "
        "KV cache {} bits in groups of {}",
        options.context,
        options.batch,
        options.bits,
        options.group_size,
        options.kv_bits,
        options.kv_group_size));
  }
}

}  // namespace

MemoryLimit memory_limit() {
  auto machine = machine_info();
  const auto& device = mx::default_device();
  if (device != mx::Device::gpu) {
    return {machine.processor, machine.memory, machine.memory_free, "RAM"};
  }
  const auto& properties = mx::device_info(device);
  auto number = [&](const char* key) -> uint64_t {
    auto entry = properties.find(key);
    const auto* value = entry == properties.end()
                            ? nullptr
                            : std::get_if<size_t>(&entry->second);
    return value == nullptr ? 0 : *value;
  };
  MemoryLimit limit{"GPU", 0, 0, ""};
  auto name = properties.find("device_name");
  if (name != properties.end() &&
      std::holds_alternative<std::string>(name->second)) {
    limit.device = std::get<std::string>(name->second);
  }
  if (auto advised = number("max_recommended_working_set_size")) {
    limit.total = advised;
    limit.free = std::min<uint64_t>(advised, machine.memory_free);
    limit.what = "Metal's recommended working set";
    return limit;
  }
  limit.total = std::max(number("total_memory"), number("memory_size"));
  limit.free = number("free_memory");
  limit.what = "memory of the GPU";
  if (limit.total == 0) {
    limit.total = machine.memory;
    limit.what = "RAM";
  }
  if (limit.free == 0) {
    limit.free = std::min(limit.total, machine.memory_free);
  }
  return limit;
}

uint64_t loaded_bytes(const nn::ParameterSpec& spec,
                      const nn::Location& location,
                      bool keep_quantized) {
  auto count = count_of(spec);
  const auto& first = *location.tensors.front();
  bool packed = location.scales != nullptr ||
                location.source.encoding == nn::Encoding::mxfp4_blocks;
  if (packed && !keep_quantized) {
    return 4 * count;
  }
  if (location.source.encoding == nn::Encoding::mxfp4_blocks) {
    return quantized_bytes(count, {32, 4, "mxfp4"});
  }
  if (packed) {
    auto tensors = location.tensors;
    tensors.push_back(location.scales);
    if (location.biases != nullptr) {
      tensors.push_back(location.biases);
    }
    return bytes_of(tensors);
  }
  auto form = ggml::mlx_form(first.dtype);
  bool alike = std::ranges::all_of(location.tensors, [&](const auto* tensor) {
    return tensor->dtype == first.dtype && tensor->shape == first.shape;
  });
  if (form && alike && keep_quantized && spec.quantizable() &&
      nn::keeps_rows(location.source.steps, first.shape.size())) {
    uint64_t scale = info(form->scale_type).bytes;
    return quantized_bytes(count,
                           form->bits,
                           form->group_size,
                           form->mode == "affine" ? 2 * scale : scale);
  }
  bool two_bytes = first.dtype == DType::f16 || first.dtype == DType::bf16;
  return count * (two_bytes ? 2 : 4);
}

uint64_t activation_bytes(arch::Tree& tree,
                          int context,
                          int batch,
                          int chunk,
                          int kv_bits,
                          int kv_group_size) {
  auto dtype = kernels::activation_dtype(mx::bfloat16);
  nn::load_zeros(tree.parameters, dtype);
  Leaves leaves;
  for (const auto& spec : tree.parameters) {
    if (spec.parameter->value) {
      leaves.insert(spec.parameter->value->data.id());
    }
  }
  auto caches =
      tree.model->make_caches({.bits = kv_bits, .group_size = kv_group_size});
  auto shapes = tree.model->cache_shapes();
  int before = context - chunk;
  for (size_t i = 0; before > 0 && i < caches.size(); ++i) {
    const auto& shape = shapes[i];
    caches[i].update(
        mx::zeros({batch, shape.kv_heads, before, shape.key_dim}, dtype),
        mx::zeros({batch, shape.kv_heads, before, shape.value_dim}, dtype));
    for (const auto& state : caches[i].state()) {
      leaves.insert(state.id());
    }
  }
  auto ids = mx::zeros({batch, chunk}, mx::int32);
  auto hidden = tree.model->hidden(ids, &caches);
  auto last =
      mx::slice(hidden, {0, chunk - 1, 0}, {batch, chunk, hidden.shape(2)});
  auto logits = tree.model->logits(last);
  bool cpu = kernels::on_cpu();
  auto peak = graph_peak_bytes({logits}, leaves, cpu ? kQueuedOnCpu : 0);
  for (const auto& spec : tree.parameters) {
    spec.parameter->value.reset();
  }
  return peak;
}

FitReport fit(const ModelFiles& model, const FitOptions& given) {
  check_options(given);
  auto options = given;
  int own = own_context(model);
  if (options.context == 0) {
    options.context = std::min(own, kDefaultContext);
  }
  auto estimator = Estimator(model, options);
  FitReport report;
  report.path = model.path;
  report.architecture = estimator.tree().architecture->model_type;
  report.context = options.context;
  report.batch = options.batch;
  report.weights_as = describe_weights(options);
  report.cache_as = describe_cache(options, estimator.dtype());
  Asked asked{options.context, options.bits, options.kv_bits};
  report.need = estimator.need(asked);
  report.kv_bytes_per_token = estimator.cache_per_token(options.kv_bits);
  report.bits_per_weight = 8.0 * static_cast<double>(report.need.weights) /
                           static_cast<double>(estimator.parameters());
  report.limit = memory_limit();
  report.fits = report.need.total() <= report.limit.total;
  report.fits_now = report.need.total() <= report.limit.free;
  report.largest_context =
      largest_context(estimator, asked, own, report.limit.total);
  if (!report.fits) {
    advise(estimator, options, report.bits_per_weight, report);
    report.findings.push_back(make_finding(
        "fit.does-not-fit",
        model.path.string(),
        fmt::format(
            "at most {} bytes ({})", report.limit.total, report.limit.what),
        fmt::format("{} bytes", report.need.total())));
  }
  return report;
}

FitReport fit(const std::filesystem::path& path, const FitOptions& options) {
  return fit(open_model(path), options);
}

Json to_json(const FitReport& report) {
  auto advice = Json::array();
  for (const auto& one : report.advice) {
    advice.push_back({{"what", one.what},
                      {"context", one.context},
                      {"bits", one.bits},
                      {"kv_bits", one.kv_bits},
                      {"total", one.total}});
  }
  return {{"path", report.path.string()},
          {"architecture", report.architecture},
          {"context", report.context},
          {"batch", report.batch},
          {"weights_as", report.weights_as},
          {"cache_as", report.cache_as},
          {"bits_per_weight", report.bits_per_weight},
          {"need",
           {{"weights", report.need.weights},
            {"kv_cache", report.need.kv_cache},
            {"activations", report.need.activations},
            {"program", report.need.program},
            {"total", report.need.total()}}},
          {"kv_bytes_per_token", report.kv_bytes_per_token},
          {"limit",
           {{"device", report.limit.device},
            {"what", report.limit.what},
            {"total", report.limit.total},
            {"free", report.limit.free}}},
          {"fits", report.fits},
          {"fits_now", report.fits_now},
          {"largest_context", report.largest_context},
          {"advice", std::move(advice)},
          {"findings", to_json(report.findings)}};
}

}  // namespace assay
