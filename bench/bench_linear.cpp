// How far the products are from what the machine can do: bytes of weights a
// second for one row of activations, beside the bandwidth of a plain read;
// floating-point operations a second for 512 rows; both beside MLX's own
// quantized_matmul. And the products of a whole token of SmolLM2-135M.
//
// ASSAY_THREADS=N sets the threads, ASSAY_KERNELS=NAME the set of instructions,
// ASSAY_ACTIVATIONS=float32 keeps activations what they are.

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <mlx/fast.h>
#include <mlx/ops.h>
#include <mlx/random.h>
#include <mlx/transforms.h>

#include "assay/kernels/linear.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/simd.h"

namespace mx = mlx::core;
using namespace assay::kernels;

namespace {

struct Format {
  const char* name;
  const char* mode;
  int group;
  int bits;
  mx::Dtype dtype;
};

const std::vector<Format>& formats() {
  static const std::vector<Format> list = {
      {"f32", "", 0, 32, mx::float32},
      {"f16", "", 0, 16, mx::float16},
      {"bf16", "", 0, 16, mx::bfloat16},
      {"affine2_g32", "affine", 32, 2, mx::float16},
      {"affine3_g32", "affine", 32, 3, mx::float16},
      {"affine4_g32", "affine", 32, 4, mx::float16},
      {"affine4_g64", "affine", 64, 4, mx::float16},
      {"affine5_g32", "affine", 32, 5, mx::float16},
      {"affine6_g32", "affine", 32, 6, mx::float16},
      {"affine8_g32", "affine", 32, 8, mx::float16},
      {"mxfp4", "mxfp4", 32, 4, mx::float32},
      {"mxfp8", "mxfp8", 32, 8, mx::float32},
      {"nvfp4", "nvfp4", 16, 4, mx::float32},
  };
  return list;
}

Weight make_weight(const Format& format, int out, int in) {
  auto w = mx::astype(mx::random::normal({out, in}), format.dtype);
  Weight weight{w, {}, {}, {format.group, format.bits, format.mode}};
  if (*format.mode != '\0') {
    auto parts = mx::quantize(w, format.group, format.bits, format.mode);
    weight.data = parts[0];
    weight.scales = parts[1];
    if (parts.size() > 2) {
      weight.biases = parts[2];
    }
    weight.scales->eval();
  }
  weight.data.eval();
  if (weight.biases) {
    weight.biases->eval();
  }
  return weight;
}

double bytes(const Weight& w) {
  return static_cast<double>(w.data.nbytes() +
                             (w.scales ? w.scales->nbytes() : 0) +
                             (w.biases ? w.biases->nbytes() : 0));
}

mx::array by_mlx(const mx::array& x, const Weight& w) {
  if (!w.scales) {
    return mx::matmul(mx::astype(x, w.data.dtype()), mx::transpose(w.data));
  }
  const auto& [group, bits, mode] = w.quantization;
  // In float32, as ours.
  auto wide = [&](const mx::array& a) {
    return mode == "affine" ? mx::astype(a, mx::float32) : a;
  };
  std::optional<mx::array> biases;
  if (w.biases) {
    biases = wide(*w.biases);
  }
  return mx::quantized_matmul(
      x, w.data, wide(*w.scales), biases, true, group, bits, mode);
}

// A square weight of 16 million values: larger than most caches.
constexpr int kWidth = 4096;

template <class Product>
void run(benchmark::State& state,
         const Format& format,
         int rows,
         const Product& product) {
  const auto w = make_weight(format, kWidth, kWidth);
  auto x = mx::random::normal({rows, kWidth});
  x.eval();
  for (auto _ : state) {
    auto y = product(x, w);
    y.eval();
    benchmark::DoNotOptimize(y.template data<float>());
  }
  const auto times = static_cast<double>(state.iterations());
  state.counters["GB/s"] =
      benchmark::Counter(times * bytes(w) / 1e9, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] = benchmark::Counter(
      times * 2.0 * rows * kWidth * kWidth / 1e9, benchmark::Counter::kIsRate);
}

// The ceiling of one row: reading 256 MiB on all threads.
void read_memory(benchmark::State& state) {
  const std::vector<uint64_t> memory(size_t{32} << 20, 1);
  const size_t piece = memory.size() / 64;
  std::vector<uint64_t> sums(64 * 8);
  for (auto _ : state) {
    parallel_for(64, [&](size_t i) {
      const uint64_t* p = memory.data() + i * piece;
      uint64_t sum[8] = {};
      for (size_t k = 0; k < piece; k += 8) {
        for (size_t j = 0; j < 8; ++j) {
          sum[j] += p[k + j];
        }
      }
      sums[i * 8] = std::accumulate(sum, sum + 8, uint64_t{0});
    });
    benchmark::DoNotOptimize(sums.data());
  }
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) *
                             static_cast<double>(memory.size()) * 8 / 1e9,
                         benchmark::Counter::kIsRate);
}

// SmolLM2-135M: 30 layers, width 576, 9 heads and 3 for keys and values of 64,
// MLP 1536, vocabulary 49152.
struct Layer {
  Weight q, k, v, o, gate, up, down;
};

struct Model {
  std::vector<Layer> layers;
  Weight head;
};

Model make_model(const Format& f) {
  Model model{{}, make_weight(f, 49152, 576)};
  for (int i = 0; i < 30; ++i) {
    model.layers.push_back({make_weight(f, 576, 576),
                            make_weight(f, 192, 576),
                            make_weight(f, 192, 576),
                            make_weight(f, 576, 576),
                            make_weight(f, 1536, 576),
                            make_weight(f, 1536, 576),
                            make_weight(f, 576, 1536)});
  }
  return model;
}

// All products of a step over `rows` tokens, the head for the last only.
void model_products(benchmark::State& state, const Format& f, int rows) {
  const Model model = make_model(f);
  auto x = mx::random::normal({rows, 576});
  x.eval();
  for (auto _ : state) {
    auto h = x;
    std::vector<mx::array> all;
    for (const auto& layer : model.layers) {
      all.push_back(linear(h, layer.k));
      all.push_back(linear(h, layer.v));
      h = linear(linear(h, layer.q), layer.o);
      all.push_back(linear(h, layer.gate));
      h = linear(linear(h, layer.up), layer.down);
      h = mx::fast::rms_norm(h, std::nullopt, 1e-5f);
    }
    const auto last = mx::slice(h, {rows - 1, 0}, {rows, 576});
    all.push_back(linear(last, model.head));
    mx::eval(all);
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * rows,
                         benchmark::Counter::kIsRate);
}

// What a step costs beside the products: norms, RoPE, attention over `context`
// positions, SwiGLU.
void model_rest(benchmark::State& state, int rows, int context) {
  auto x = mx::random::normal({1, rows, 576});
  auto norm = mx::ones({576});
  auto keys = mx::random::normal({1, 3, context, 64});
  auto mlp = mx::random::normal({1, rows, 1536});
  mx::eval({x, norm, keys, mlp});
  for (auto _ : state) {
    auto h = x;
    for (int i = 0; i < 30; ++i) {
      auto n = mx::fast::rms_norm(h, norm, 1e-5f);
      auto q = mx::transpose(mx::reshape(n, {1, rows, 9, 64}), {0, 2, 1, 3});
      q = mx::fast::rope(q, 64, false, 1e5f, 1.0f, context - rows);
      auto k = mx::fast::rope(mx::slice(q, {0, 0, 0, 0}, {1, 3, rows, 64}),
                              64,
                              false,
                              1e5f,
                              1.0f,
                              context - rows);
      auto all = mx::slice_update(keys,
                                  k,
                                  mx::Shape{0, 0, context - rows, 0},
                                  mx::Shape{1, 3, context, 64});
      auto a = mx::fast::scaled_dot_product_attention(
          q, all, keys, 0.125f, rows > 1 ? "causal" : "");
      h = h + mx::reshape(mx::transpose(a, {0, 2, 1, 3}), {1, rows, 576});
      auto m = mx::fast::rms_norm(h, norm, 1e-5f);
      auto g = mlp + mx::slice(m, {0, 0, 0}, {1, rows, 1});
      auto act = g * mx::sigmoid(g) * mlp;
      h = h + mx::slice(act, {0, 0, 0}, {1, rows, 576});
    }
    h.eval();
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * rows,
                         benchmark::Counter::kIsRate);
}

template <class Function>
void add(const std::string& name, const Function& f) {
  benchmark::RegisterBenchmark(name.c_str(), f)
      ->MeasureProcessCPUTime()
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

void add_all() {
  add("read_memory", read_memory);
  for (const auto& f : formats()) {
    for (int rows : {1, 512}) {
      const std::string name =
          std::string(f.name) + "/rows:" + std::to_string(rows);
      add("assay/" + name,
          [&f, rows](benchmark::State& state) { run(state, f, rows, linear); });
      add("mlx/" + name,
          [&f, rows](benchmark::State& state) { run(state, f, rows, by_mlx); });
    }
    for (int rows : {1, 512}) {
      add(std::string("smollm2/") + f.name + "/rows:" + std::to_string(rows),
          [&f, rows](benchmark::State& state) {
            model_products(state, f, rows);
          });
    }
  }
  for (int context : {128, 1024, 4096}) {
    add("smollm2_rest/rows:1/context:" + std::to_string(context),
        [context](benchmark::State& state) { model_rest(state, 1, context); });
  }
  add("smollm2_rest/rows:512/context:512",
      [](benchmark::State& state) { model_rest(state, 512, 512); });
}

bool choose_kernels(std::string_view name) {
  for (const auto* set : available_kernels()) {
    if (set->name == name) {
      use_kernels(*set);
      return true;
    }
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (const char* threads = std::getenv("ASSAY_THREADS")) {
    set_threads(std::atoi(threads));
  }
  const char* set = std::getenv("ASSAY_KERNELS");
  if (set != nullptr && !choose_kernels(set)) {
    std::fprintf(stderr, "this processor has no %s\n", set);
    return 1;
  }
  if (const char* type = std::getenv("ASSAY_ACTIVATIONS")) {
    if (std::string_view(type) != "float32") {
      std::fprintf(stderr, "ASSAY_ACTIVATIONS is float32 or absent\n");
      return 1;
    }
    set_activations(Activations::float32);
  }
  add_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
