// From GGUF to GGUF: blocks that the new file can hold go over as they lie,
// also those that MLX has no form for.

#include <fmt/format.h>
#include <mlx/mlx.h>

#include "assay/arch/gguf_extras.h"
#include "assay/formats/ggml.h"
#include "assay/formats/gguf.h"

#include "golden.h"

using namespace assay;
using namespace assay::test;

namespace {

/** The golden llama, as wide as the K types' blocks. */
Json wide_config() {
  auto config = parse_json(read_text(kLlama / "config.json"), "config.json");
  config["hidden_size"] = 256;
  config["intermediate_size"] = 256;
  config["head_dim"] = 64;
  config["num_hidden_layers"] = 1;
  config["vocab_size"] = 64;
  return config;
}

std::vector<std::byte> bytes_of(const mx::array& x) {
  auto* data = reinterpret_cast<const std::byte*>(x.data<uint8_t>());
  return {data, data + x.nbytes()};
}

/** A GGUF of random values whose matrices are blocks of `type`: those of
 * gguf-py, again and again; q and k rows permuted as llama.cpp has them. With
 * `scale`, that factor beside each matrix; `last` replaces the last matrix's
 * first bytes. */
void write_gguf(const fs::path& file,
                const std::string& type,
                std::optional<float> scale = {},
                std::optional<uint16_t> last = {}) {
  auto tree = arch::build_tree(wide_config(), "config.json");
  auto blocks = mx::load_safetensors(kGolden / "ggml/ggml_types.safetensors")
                    .first.at(type + ".bytes");
  mx::eval(blocks);
  auto stored = bytes_of(blocks);
  auto dtype = dtype_from_name(type).value();
  std::vector<GgufWriter::Entry> entries;
  std::vector<std::vector<std::byte>> data;
  for (const auto& spec : tree.parameters) {
    const auto& name = spec.gguf.front().names.front();
    auto count = element_count(spec.shape()).value();
    bool matrix = spec.quantizable();
    entries.push_back({name, matrix ? dtype : DType::f32, spec.shape()});
    if (!matrix) {
      auto ones = mx::ones({static_cast<int>(count)});
      mx::eval(ones);
      data.push_back(bytes_of(ones));
      continue;
    }
    std::vector<std::byte> whole(byte_size(dtype, count).value());
    for (size_t i = 0; i < whole.size(); ++i) {
      whole[i] = stored[i % stored.size()];
    }
    data.push_back(std::move(whole));
    if (scale) {
      auto stem = name.substr(0, name.rfind('.'));
      entries.push_back({stem + ".scale", DType::f32, {1}});
      auto bits = std::as_bytes(std::span(&*scale, 1));
      data.emplace_back(bits.begin(), bits.end());
    }
  }
  if (last) {
    auto found = std::ranges::find(
        entries.rbegin(), entries.rend(), dtype, &GgufWriter::Entry::dtype);
    std::memcpy(data[static_cast<size_t>(entries.rend() - found) - 1].data(),
                &*last,
                sizeof(*last));
  }
  auto metadata = arch::gguf_metadata(*tree.architecture, wide_config());
  auto writer = GgufWriter(file, metadata, entries);
  for (const auto& bytes : data) {
    writer.write(bytes);
  }
  writer.commit();
}

ConvertOptions to_gguf(const char* type = "") {
  ConvertOptions options;
  options.to = ConvertTarget::gguf;
  options.gguf_type = type;
  options.verify = false;
  return options;
}

std::map<std::string, std::vector<float>> values_of(const fs::path& path) {
  auto loaded = arch::load_model(path, {.keep_quantized = false});
  std::map<std::string, std::vector<float>> values;
  for (const auto& spec : loaded.tree.parameters) {
    auto x =
        mx::contiguous(mx::astype(spec.parameter->value->data, mx::float32));
    mx::eval(x);
    values[spec.name] = {x.data<float>(), x.data<float>() + x.size()};
  }
  return values;
}

}  // namespace

TEST_CASE("GGUF to GGUF: every block type keeps its bytes") {
  TemporaryFolder temporary("gguf-copy");
  for (const char* type : {"Q2_K",
                           "Q3_K",
                           "Q4_K",
                           "Q5_K",
                           "Q6_K",
                           "IQ2_XXS",
                           "IQ3_S",
                           "IQ4_NL",
                           "IQ4_XS",
                           "TQ1_0",
                           "TQ2_0",
                           "MXFP4",
                           "NVFP4",
                           "Q4_0",
                           "Q8_0"}) {
    CAPTURE(type);
    auto first = temporary / fmt::format("{}-1.gguf", type);
    auto second = temporary / fmt::format("{}-2.gguf", type);
    write_gguf(first, type);
    auto report = convert(first, second, to_gguf());
    CHECK(report.changed.empty());
    CHECK(report.exact == report.tensors);
    bool same = tensors_of(first) == tensors_of(second);
    CHECK(same);
    auto third = temporary / fmt::format("{}-3.gguf", type);
    // Another type that is asked for is made, and its error told.
    if (type == std::string_view("Q4_K")) {
      CHECK(!convert(first, third, to_gguf("Q8_0")).changed.empty());
    }
  }
}

TEST_CASE("factors beside NVFP4 blocks count, and go along") {
  TemporaryFolder temporary("nvfp4-scale");
  auto plain = temporary / "plain.gguf";
  auto scaled = temporary / "scaled.gguf";
  auto copy = temporary / "copy.gguf";
  write_gguf(plain, "NVFP4");
  write_gguf(scaled, "NVFP4", 0.5f);
  convert(scaled, copy, to_gguf());
  bool same = tensors_of(scaled) == tensors_of(copy);
  CHECK(same);
  auto whole = values_of(plain);
  auto half = values_of(scaled);
  for (const auto& [name, values] : whole) {
    CAPTURE(name);
    bool norm = name.find("norm") != std::string::npos;
    auto wanted = values;
    for (auto& value : wanted) {
      value *= norm ? 1.0f : 0.5f;
    }
    bool equal = half.at(name) == wanted;
    CHECK(equal);
  }
  // MLX has no place for the factor: the values are written, not the blocks.
  auto mlx = temporary / "mlx";
  ConvertOptions options;
  options.verify = false;
  CHECK(convert(scaled, mlx, options).quantized == 0);
  CHECK(values_of(mlx).at("model.layers.0.mlp.up_proj.weight") ==
        half.at("model.layers.0.mlp.up_proj.weight"));
}

// Scales are not looked at before: a file is read once.
TEST_CASE("a scale that float16 does not hold is found when others are out") {
  TemporaryFolder temporary("unfit-scale");
  constexpr uint16_t kLarge = 0x7b00;  // 57344; the bias is 128 times that
  auto file = temporary / "large.gguf";
  write_gguf(file, "Q8_0", {}, kLarge);
  auto to = temporary / "to";
  ConvertOptions options;
  options.verify = false;
  options.max_shard_bytes = 128 << 10;
  std::vector<uint64_t> steps;
  auto report =
      convert(file, to, options, [&steps](const ProgressUpdate& update) {
        steps.push_back(update.done);
      });
  CHECK(report.changed.empty());
  CHECK(report.exact == report.tensors);
  CHECK(!std::ranges::is_sorted(steps));  // it began anew
  auto model = open_model(to);
  CHECK(model.findings.empty());
  CHECK(static_cast<int>(model.files.size()) == report.files);
  CHECK(
      report.tensors ==
      static_cast<int>(arch::build_tree(wide_config(), "").parameters.size()));
  size_t wide = 0, half = 0, files = 0;
  for (const auto& tensor : model.tensors) {
    if (tensor.name.ends_with(".scales")) {
      (tensor.dtype == DType::f32 ? wide : half) += 1;
    }
  }
  for (const auto& entry : fs::directory_iterator(to)) {
    files += entry.path().extension() == ".safetensors" ? 1 : 0;
  }
  CHECK(files == model.files.size());
  CHECK(wide == 1);
  CHECK(half > 3);
  bool same = values_of(file) == values_of(to);
  CHECK(same);
}
