#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <nlohmann/json.hpp>

#include "assay/arch/gguf_extras.h"
#include "assay/convert/exports_common.h"
#include "assay/formats/ggml.h"
#include "assay/formats/ggml_from_mlx.h"
#include "assay/nn/steps.h"
#include "assay/nn/tensor_scale.h"
#include "assay/text/tokenizer_to_gguf.h"

namespace assay::conversion {
namespace mx = mlx::core;

namespace {

// What the tensors of one group are written as.
struct GgufGroup {
  ExportGroup group;
  DType dtype = DType::f32;
  bool exact_blocks = false;  ///< the stored quantization, rewritten
  /** Blocks of a GGUF that go into the new one as they lie, and the factors
   * that stand beside them. */
  std::vector<const TensorInfo*> copied = {};
};

std::optional<DType> asked_type(const ConvertOptions& options) {
  if (options.gguf_type.empty()) {
    return std::nullopt;
  }
  auto dtype = dtype_from_name(options.gguf_type);
  bool plain =
      dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
  if (!dtype || !(plain || ggml::can_quantize(*dtype))) {
    fail("convert.option",
         "gguf_type",
         "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0 or Q5_1",
         options.gguf_type);
  }
  return dtype;
}

std::span<const std::byte> raw(const mx::array& x) {
  return {reinterpret_cast<const std::byte*>(x.data<uint8_t>()), x.nbytes()};
}

DType gguf_dtype(const mx::array& x) {
  if (x.dtype() == mx::uint8) {
    return DType::u8;
  }
  if (x.dtype() == mx::float16) {
    return DType::f16;
  }
  return x.dtype() == mx::bfloat16 ? DType::bf16 : DType::f32;
}

// A quantized parameter with its parts evaluated and in order.
kernels::Weight read_quantized(const Job& job, const nn::ParameterSpec& spec) {
  auto location = *job.reader.locate(spec);
  auto weight = job.reader.read(spec, location);
  weight.data = mx::contiguous(weight.data);
  weight.scales = mx::contiguous(*weight.scales);
  std::vector<mx::array> parts = {weight.data, *weight.scales};
  if (weight.biases) {
    weight.biases = mx::contiguous(*weight.biases);
    parts.push_back(*weight.biases);
  }
  mx::eval(parts);
  return weight;
}

std::span<const std::byte> biases_of(const kernels::Weight& weight) {
  return weight.biases ? raw(*weight.biases) : std::span<const std::byte>();
}

// The one block type that holds all parameters of a group as they are.
std::optional<DType> exact_type(const Job& job, ExportGroup& group) {
  std::optional<DType> common;
  for (size_t i = 0; i < group.rows.size(); ++i) {
    auto& rows = *group.rows[i];
    const auto& steps = group.sources[i]->steps;
    bool moves_rows =
        nn::keeps_rows(steps, group.tensors.front().shape.size()) &&
        std::ranges::none_of(steps, [](const nn::Step& step) {
          return step.kind == nn::Step::Kind::reshape;
        });
    if (!rows.form() || !moves_rows) {
      return std::nullopt;
    }
    auto weight = read_quantized(job, rows.spec());
    auto own = ggml::block_type_of(weight.quantization,
                                   gguf_dtype(*weight.scales),
                                   raw(*weight.scales),
                                   biases_of(weight));
    rows.close();
    if (!own || (common && common != own)) {
      return std::nullopt;
    }
    common = own;
  }
  return common;
}

// The tensors of a GGUF that hold the group in blocks, under the names that
// they get; none where that is not so.
std::vector<const TensorInfo*> blocks_as_stored(const Job& job,
                                                const ExportGroup& group) {
  std::vector<const TensorInfo*> tensors;
  if (job.files.container != Container::gguf || job.files.big_endian) {
    return tensors;
  }
  for (const auto& tensor : group.tensors) {
    const auto* stored = job.files.find(tensor.name);
    if (stored == nullptr || stored->shape != tensor.shape ||
        !is_block_quantized(stored->dtype) ||
        (!tensors.empty() && stored->dtype != tensors.front()->dtype)) {
      return {};
    }
    tensors.push_back(stored);
  }
  for (size_t i = 0; i < group.tensors.size(); ++i) {
    if (const auto* scale = nn::tensor_scale(job.files, *tensors[i])) {
      tensors.push_back(scale);
    }
  }
  return tensors;
}

bool is_matrix(const ExportGroup& group) {
  return std::ranges::all_of(
      group.rows, [](const auto& rows) { return rows->spec().quantizable(); });
}

class GgufPlanner {
 public:
  GgufPlanner(const Job& job, std::vector<Finding>& findings)
      : job_(job),
        asked_(asked_type(job.options)),
        float_(float_type(job.options.dtype)),
        findings_(findings) {}

  GgufGroup plan(ExportGroup group) {
    GgufGroup planned{std::move(group)};
    // llama.cpp computes with vectors and small tables in float32.
    if (!is_matrix(planned.group)) {
      return planned;
    }
    const auto& rows = *planned.group.rows.front();
    planned.dtype = float_.value_or(rows.float_type());
    auto stored = blocks_as_stored(job_, planned.group);
    if (!stored.empty() &&
        asked_.value_or(stored.front()->dtype) == stored.front()->dtype) {
      planned.dtype = stored.front()->dtype;
      planned.copied = std::move(stored);
      return planned;
    }
    if (asked_) {
      auto width = planned.group.tensors.front().shape.back();
      if (width % info(*asked_).elements == 0) {
        planned.dtype = *asked_;
      } else {
        findings_.push_back(make_finding(
            "quantize.group-size",
            planned.group.tensors.front().name,
            fmt::format("a width that blocks of {} divide",
                        info(*asked_).elements),
            fmt::format("{}, so it stays {}", width, name(planned.dtype))));
      }
      return planned;
    }
    if (auto exact = exact_type(job_, planned.group)) {
      planned.dtype = *exact;
      planned.exact_blocks = true;
    }
    return planned;
  }

 private:
  const Job& job_;
  std::optional<DType> asked_, float_;
  std::vector<Finding>& findings_;
};

// One parameter's rows as blocks: [..., bytes of a row].
mx::array block_rows(const kernels::Weight& weight, DType type) {
  const auto& q = weight.quantization;
  auto shape = weight.data.shape();
  auto width = static_cast<uint64_t>(shape.back()) * 32 / q.bits;
  shape.back() = static_cast<int>(byte_size(type, width).value());
  std::vector<uint8_t> blocks(weight.data.size() * 32 / q.bits / width *
                              static_cast<uint64_t>(shape.back()));
  ggml::from_mlx(type,
                 q,
                 gguf_dtype(*weight.scales),
                 {weight.data.data<uint32_t>(), weight.data.size()},
                 raw(*weight.scales),
                 biases_of(weight),
                 std::as_writable_bytes(std::span(blocks)));
  return mx::array(blocks.begin(), shape, mx::uint8);
}

void write_blocks(const Job& job, GgufGroup& planned, const Sink& sink) {
  auto& group = planned.group;
  std::vector<mx::array> values;
  for (const auto& rows : group.rows) {
    values.push_back(
        block_rows(read_quantized(job, rows->spec()), planned.dtype));
    rows->close();
  }
  for (auto& [name, value] : undo(group, values)) {
    auto whole = mx::contiguous(value);
    mx::eval(whole);
    sink(raw(whole));
  }
}

void copy_blocks(const Job& job, const GgufGroup& planned, const Sink& sink) {
  for (const auto* tensor : planned.copied) {
    sink(job.data.bytes(*tensor));
    job.data.release(*tensor);
  }
}

// The tokenizer as the source has it, or made from its tokenizer.json.
void add_tokenizer(const Job& job,
                   GgufMetadata& metadata,
                   std::vector<Finding>& findings) {
  GgufMetadata own;
  try {
    own = job.files.gguf && job.files.tokenizer_json.empty()
              ? *job.files.gguf
              : tokenizer_to_gguf(job.files);
  } catch (const Error& error) {
    if (!error.finding().id.starts_with("tokenizer.")) {
      throw;
    }
    findings.push_back(error.finding());
    findings.back().severity = Severity::warning;
  }
  for (auto& [key, value] : own.entries) {
    if (key.starts_with("tokenizer.")) {
      metadata.set(key, std::move(value));
    }
  }
  if (!job.files.chat_template.empty()) {
    metadata.set("tokenizer.chat_template", gguf_text(job.files.chat_template));
  }
}

GgufMetadata make_metadata(const Job& job,
                           bool quantized,
                           std::vector<Finding>& findings) {
  auto metadata = arch::gguf_metadata(*job.tree.architecture, job.tree.config);
  auto stem = fs_name(job.files.path);
  if (!stem.empty()) {
    metadata.set("general.name", gguf_text(stem));
  }
  if (quantized) {
    metadata.set("general.quantization_version", gguf_u32(2));
  }
  add_tokenizer(job, metadata, findings);
  return metadata;
}

bool same_value(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) {
    return a == b;
  }
  double x = a.get<double>(), y = b.get<double>();  // GGUF holds float32
  return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y));
}

// Fields that come back with another value: what the format, or its readers,
// take from elsewhere. Names and token ids are no settings.
void tell_fields(const Json& config,
                 const Json& written,
                 std::vector<Finding>& findings) {
  for (const auto& [field, value] : written.items()) {
    bool setting = value.is_number() || value.is_boolean();
    if (!setting || field.ends_with("_token_id") || !config.contains(field)) {
      continue;
    }
    const auto& own = config[field];
    if (own.type() == value.type() || (own.is_number() && value.is_number())) {
      if (!same_value(own, value)) {
        findings.push_back(make_finding("gguf.no-equivalent",
                                        fmt::format("config field '{}'", field),
                                        own.dump(),
                                        fmt::format("{}, as readers of the "
                                                    "file will have it",
                                                    value.dump())));
        findings.back().severity = Severity::warning;
      }
    }
  }
}

// "3 of 32 layers with a window of 4096" and the like.
std::string describe_windows(const arch::Tree& tree) {
  auto shapes = tree.model->cache_shapes();
  std::map<int, int> layers;
  for (const auto& shape : shapes) {
    layers[shape.window] += shape.window > 0 ? 1 : 0;
  }
  std::string text;
  for (auto [window, count] : layers) {
    if (window > 0) {
      text += fmt::format("{}{} of {} layers with a window of {}",
                          text.empty() ? "" : ", ",
                          count,
                          shapes.size(),
                          window);
    }
  }
  return text.empty() ? "no layer with a window" : text;
}

// What the file says, read as any reader would: a setting that has no key is
// told, and parameters that nobody would find are refused.
void check_reading(const Job& job,
                   const std::filesystem::path& file,
                   std::vector<Finding>& findings) {
  auto written = open_model(file);
  auto tree = arch::build_tree(written);
  tell_fields(job.tree.config, tree.config, findings);
  auto windows = [](const arch::Tree& of) {
    std::vector<int> sizes;
    for (const auto& shape : of.model->cache_shapes()) {
      sizes.push_back(shape.window);
    }
    return sizes;
  };
  if (windows(tree) != windows(job.tree)) {
    findings.push_back(
        make_finding("gguf.no-equivalent",
                     "sliding windows",
                     describe_windows(job.tree),
                     fmt::format("{}, as {} is read from a GGUF",
                                 describe_windows(tree),
                                 tree.architecture->model_type)));
    findings.back().severity = Severity::warning;
  }
  auto data = TensorData(written);
  auto reader = nn::WeightReader(written, tree.config);
  for (const auto& spec : tree.parameters) {
    if (spec.optional() && !reader.locate(spec)) {
      continue;
    }
    try {
      ParameterRows(spec, reader, data);
    } catch (const Error& error) {
      const auto& found = error.finding();
      fail("gguf.no-equivalent",
           spec.name,
           "a layer that every reader of this architecture's GGUFs builds",
           fmt::format(
               "{}: {}, found {}", found.where, found.expected, found.actual));
    }
  }
}

}  // namespace

std::string fs_name(const std::filesystem::path& path) {
  auto clean = path.has_filename() ? path : path.parent_path();
  return std::filesystem::is_directory(clean) ? clean.filename().string()
                                              : clean.stem().string();
}

ExportSize export_gguf(const Job& job,
                       const std::filesystem::path& file,
                       std::vector<Finding>& findings,
                       const ExportWritten& written) {
  auto planner = GgufPlanner(job, findings);
  std::vector<GgufGroup> groups;
  std::vector<GgufWriter::Entry> entries;
  ExportSize size;
  bool quantized = false;
  for (auto& group : export_groups(job, Format::gguf)) {
    groups.push_back(planner.plan(std::move(group)));
    const auto& planned = groups.back();
    quantized = quantized || is_block_quantized(planned.dtype);
    for (const auto& tensor : planned.group.tensors) {
      entries.push_back({tensor.name, planned.dtype, tensor.shape});
      size.bytes +=
          byte_size(planned.dtype, element_count(tensor.shape).value()).value();
    }
    auto names = planned.group.tensors.size();
    for (size_t i = names; i < planned.copied.size(); ++i) {
      const auto& scale = *planned.copied[i];
      entries.push_back({scale.name, scale.dtype, scale.shape});
      size.bytes += scale.bytes;
    }
  }
  check_space(file.parent_path(), size.bytes);
  auto factors = arch::gguf_rope_factors(job.tree.config);
  for (const auto& factor : factors) {
    entries.push_back({factor.name,
                       DType::f32,
                       {static_cast<int64_t>(factor.values.size())}});
  }
  auto writer =
      GgufWriter(file, make_metadata(job, quantized, findings), entries);
  auto sink = [&writer](std::span<const std::byte> bytes) {
    writer.write(bytes);
  };
  for (auto& planned : groups) {
    Change change;
    if (!planned.copied.empty()) {
      copy_blocks(job, planned, sink);
    } else if (planned.exact_blocks) {
      write_blocks(job, planned, sink);
    } else {
      change = write_floats(job, planned.group, planned.dtype, sink);
    }
    written(exported(planned.group, planned.dtype, change));
  }
  for (const auto& factor : factors) {
    sink(std::as_bytes(std::span(factor.values)));
  }
  writer.commit();
  check_reading(job, file, findings);
  return size;
}

}  // namespace assay::conversion
