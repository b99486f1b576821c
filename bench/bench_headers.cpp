// Headers of 1000 tensors: the time until every tensor's place is known and
// checked, file mapped from the page cache.

#include <filesystem>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "assay/core/platform.h"
#include "assay/formats/gguf.h"
#include "assay/formats/safetensors.h"

namespace {

namespace fs = std::filesystem;
using namespace assay;

constexpr int kTensors = 1000;

fs::path file_for(const char* name) {
  return fs::temp_directory_path() /
         ("assay-bench-" + std::to_string(platform::process_id()) + name);
}

std::string tensor_name(int i) {
  return "model.layers." + std::to_string(i / 9) + ".self_attn.proj." +
         std::to_string(i % 9) + ".weight";
}

template <class Writer>
void write(const fs::path& path, auto metadata) {
  std::vector<typename Writer::Entry> entries;
  for (int i = 0; i < kTensors; ++i) {
    entries.push_back({tensor_name(i), DType::f32, {4, 4}});
  }
  auto data = std::vector<std::byte>(64 * kTensors);
  if constexpr (std::is_same_v<Writer, GgufWriter>) {
    Writer writer(path, metadata, std::move(entries));
    writer.write(data);
    writer.commit();
  } else {
    Writer writer(path, std::move(entries), metadata);
    writer.write(data);
    writer.commit();
  }
}

void safetensors_header(benchmark::State& state) {
  auto path = file_for(".safetensors");
  write<SafetensorsWriter>(path, std::map<std::string, std::string>());
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_safetensors(path).tensors.data());
  }
  fs::remove(path);
}

// With a vocabulary of 128k tokens and as many merges, as Llama 3 has.
void gguf_header(benchmark::State& state) {
  auto path = file_for(".gguf");
  std::vector<std::string> words(static_cast<size_t>(state.range(0)));
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = "token" + std::to_string(i);
  }
  GgufMetadata metadata;
  metadata.set("general.architecture", gguf_text("llama"));
  metadata.set("tokenizer.ggml.tokens", gguf_texts(words));
  metadata.set("tokenizer.ggml.merges", gguf_texts(words));
  write<GgufWriter>(path, metadata);
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_gguf(path).tensors.data());
  }
  fs::remove(path);
}

BENCHMARK(safetensors_header)->Unit(benchmark::kMicrosecond);
BENCHMARK(gguf_header)->Arg(0)->Arg(128'000)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
