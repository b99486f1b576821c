#include "assay/convert/exports.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/convert/exports_common.h"
#include "assay/formats/ggml.h"
#include "assay/nn/steps.h"

namespace assay::conversion {
namespace mx = mlx::core;

namespace {

DType dtype_of(const mx::array& x) {
  if (x.dtype() == mx::float16) {
    return DType::f16;
  }
  return x.dtype() == mx::bfloat16 ? DType::bf16 : DType::f32;
}

bool adds(const nn::Source& source) {
  return std::ranges::any_of(source.steps, [](const nn::Step& step) {
    return step.kind == nn::Step::Kind::add;
  });
}

// Shards of a folder: declared whole, written in order.
struct HfTensor {
  std::string name;
  Shape shape;
  DType dtype;
};

uint64_t bytes_of(const HfTensor& tensor) {
  return byte_size(tensor.dtype, element_count(tensor.shape).value()).value();
}

}  // namespace

void check_space(const std::filesystem::path& folder, uint64_t bytes) {
  std::error_code error;
  auto space = std::filesystem::space(folder, error);
  if (!error && space.available < bytes) {
    fail("file.no-space",
         folder.string(),
         fmt::format("{} bytes free", bytes),
         fmt::format("{}", space.available));
  }
}

std::vector<ExportGroup> export_groups(const Job& job, Format format) {
  std::vector<ExportGroup> groups;
  for (const auto& spec : job.tree.parameters) {
    if (spec.optional() && !job.reader.locate(spec)) {
      continue;
    }
    const auto& sources = format == Format::gguf ? spec.gguf : spec.hf;
    auto source =
        std::ranges::find(sources, nn::Encoding::values, &nn::Source::encoding);
    if (source == sources.end()) {
      fail("convert.no-way-back", spec.name, "a tensor to go into", "none");
    }
    auto group = std::ranges::find_if(groups, [&](const ExportGroup& known) {
      return known.sources.front()->names == source->names;
    });
    if (group == groups.end()) {
      group = groups.insert(group, ExportGroup{});
    }
    group->sources.push_back(&*source);
    group->rows.push_back(
        std::make_unique<ParameterRows>(spec, job.reader, job.data));
  }
  for (auto& group : groups) {
    group.tensors = declared_tensors(group);
  }
  return groups;
}

std::vector<ExportGroup::Tensor> declared_tensors(const ExportGroup& group) {
  std::vector<mx::array> zeros;
  for (const auto& rows : group.rows) {
    const auto& shape = rows->spec().shape();
    zeros.push_back(
        mx::zeros(mx::Shape(shape.begin(), shape.end()), mx::float32));
  }
  std::vector<ExportGroup::Tensor> tensors;
  for (const auto& [name, value] : undo(group, zeros)) {
    tensors.push_back({name, {value.shape().begin(), value.shape().end()}});
  }
  return tensors;
}

std::vector<std::pair<std::string, mx::array>> undo(
    const ExportGroup& group, const std::vector<mx::array>& values) {
  std::vector<nn::Share> shares;
  for (size_t i = 0; i < values.size(); ++i) {
    shares.push_back({group.sources[i], values[i]});
  }
  try {
    return nn::undo_steps(shares);
  } catch (const std::invalid_argument& error) {
    fail("convert.no-way-back",
         group.rows.front()->spec().name,
         "parameters that cover a tensor",
         error.what());
  }
}

mx::array read_floats(const Job& job, ExportGroup& group, size_t index) {
  const auto& spec = group.rows[index]->spec();
  auto location = *job.reader.locate(spec);
  auto value = job.reader.read(spec, location, {.keep_quantized = false}).data;
  return adds(*group.sources[index]) ? mx::astype(value, mx::float32) : value;
}

FloatRows rows_of(const mx::array& x, size_t width) {
  auto dtype = dtype_of(x);
  auto bytes = std::span(reinterpret_cast<const std::byte*>(x.data<uint8_t>()),
                         x.nbytes());
  size_t row_bytes = width * x.itemsize();
  return {
      x.size() / width,
      width,
      [=](size_t first, size_t count, std::span<float> out) {
        ggml::dequantize(
            dtype, bytes.subspan(first * row_bytes, count * row_bytes), out);
      }};
}

void fail_type(const ExportGroup& group, DType dtype) {
  fail("quantize.not-representable",
       group.tensors.front().name,
       fmt::format("finite values that {} can hold", name(dtype)),
       fmt::format("others, stored as {}", group.rows.front()->stored_as()));
}

// A parameter that is its tensor is streamed; others are put together first.
Change write_floats(const Job& job,
                    ExportGroup& group,
                    DType dtype,
                    const Sink& sink) {
  Change total;
  auto add = [&](const std::optional<Change>& change) {
    if (!change) {
      fail_type(group, dtype);
    }
    total.add(*change);
  };
  auto& rows = *group.rows.front();
  if (group.rows.size() == 1 && group.sources.front()->steps.empty()) {
    rows.open();
    if (auto pieces = rows.as_they_lie(dtype); !pieces.empty()) {
      for (auto piece : pieces) {
        sink(piece);
      }
    } else {
      add(stream_floats(
          {rows.rows(),
           rows.width(),
           [&rows](size_t first, size_t count, std::span<float> out) {
             rows.floats(first, count, out);
           }},
          dtype,
          sink));
    }
    rows.close();
    return total;
  }
  std::vector<mx::array> values;
  for (size_t i = 0; i < group.rows.size(); ++i) {
    values.push_back(read_floats(job, group, i));
  }
  for (auto& [name, value] : undo(group, values)) {
    auto whole = mx::contiguous(value);
    mx::eval(whole);
    add(stream_floats(
        rows_of(whole, static_cast<size_t>(whole.shape(-1))), dtype, sink));
  }
  for (auto& each : group.rows) {
    each->close();
  }
  return total;
}

Exported exported(const ExportGroup& group, DType dtype, const Change& change) {
  Exported result;
  for (const auto& rows : group.rows) {
    result.parameters.push_back(&rows->spec());
    result.source_bytes += rows->stored_bytes();
  }
  result.from = group.rows.front()->stored_as();
  result.to = std::string(name(dtype));
  result.quantized = is_block_quantized(dtype);
  result.change = change;
  return result;
}

ExportSize export_hf(const Job& job,
                     const std::filesystem::path& folder,
                     const ExportWritten& written) {
  auto groups = export_groups(job, Format::hf);
  auto asked = float_type(job.options.dtype);
  auto type_of = [&](const ExportGroup& group) {
    return asked.value_or(group.rows.front()->float_type());
  };
  std::vector<std::vector<ExportGroup*>> shards;
  ExportSize size;
  uint64_t filled = 0, elements = 0;
  for (auto& group : groups) {
    uint64_t bytes = 0;
    for (const auto& tensor : group.tensors) {
      bytes += bytes_of({tensor.name, tensor.shape, type_of(group)});
      elements += element_count(tensor.shape).value();
    }
    if (shards.empty() || filled + bytes > job.options.max_shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&group);
    filled += bytes;
    size.bytes += bytes;
  }
  check_space(folder, size.bytes);
  std::vector<IndexedTensor> index;
  for (size_t i = 0; i < shards.size(); ++i) {
    auto file = shard_name(i, shards.size());
    std::vector<SafetensorsWriter::Entry> entries;
    for (const auto* group : shards[i]) {
      for (const auto& tensor : group->tensors) {
        entries.push_back({tensor.name, type_of(*group), tensor.shape});
        index.push_back({tensor.name, file});
      }
    }
    auto writer = SafetensorsWriter(folder / file, entries, {{"format", "pt"}});
    for (auto* group : shards[i]) {
      auto change = write_floats(
          job, *group, type_of(*group), [&](std::span<const std::byte> bytes) {
            writer.write(bytes);
          });
      written(exported(*group, type_of(*group), change));
    }
    writer.commit();
  }
  if (shards.size() > 1) {
    write_index(folder, std::move(index), size.bytes, elements);
  }
  size.files = static_cast<int>(shards.size());
  return size;
}

}  // namespace assay::conversion
