#include "assay/formats/onnx.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "assay/check/checkup.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

// ONNX models: the file's own consistency and its external data. Assay does
// not run them.
namespace assay {
namespace {

namespace fs = std::filesystem;
using Findings = std::vector<Finding>;

std::optional<uint64_t> stored_bytes(const OnnxTensor& tensor) {
  auto count = element_count(tensor.shape);
  auto bits = onnx_type_bits(tensor.type);
  if (!count || bits == 0 || *count > (uint64_t{1} << 56)) {
    return std::nullopt;
  }
  return (*count * bits + 7) / 8;
}

bool stays_inside(const std::string& location) {
  auto path = fs::path(location);
  return !location.empty() && !path.is_absolute() &&
         is_printable_utf8(location) &&
         location.find_first_of("\\:") == std::string::npos &&
         std::ranges::none_of(path,
                              [](const auto& part) { return part == ".."; });
}

/** The tensors of one file, and the files that their data lie in. */
class Tensors {
 public:
  Tensors(const fs::path& file, const OnnxModel& model)
      : file_(file), model_(model) {}

  Findings look() {
    for (const auto& tensor : model_.tensors) {
      one(tensor);
    }
    return shorten(std::move(findings_));
  }

 private:
  void add(std::string_view id,
           const OnnxTensor& tensor,
           std::string expected,
           std::string actual) {
    findings_.push_back(
        make_finding(id,
                     fmt::format("{}: {}", file_.string(), quote(tensor.name)),
                     std::move(expected),
                     std::move(actual)));
  }

  void one(const OnnxTensor& tensor) {
    bool negative = std::ranges::any_of(tensor.shape,
                                        [](int64_t size) { return size < 0; });
    if (negative || onnx_type_name(tensor.type).empty() || tensor.type == 0) {
      add("onnx.tensor",
          tensor,
          "sizes of 0 or more and a known type",
          fmt::format("{}, type {}", to_string(tensor.shape), tensor.type));
      return;
    }
    auto wanted = stored_bytes(tensor);
    if (tensor.external) {
      outside(tensor, wanted);
    } else if (tensor.raw_bytes && wanted && *tensor.raw_bytes != *wanted) {
      add("onnx.tensor-size",
          tensor,
          fmt::format("{} bytes for {} of {}",
                      *wanted,
                      to_string(tensor.shape),
                      onnx_type_name(tensor.type)),
          fmt::format("{}", *tensor.raw_bytes));
    } else if (!tensor.raw_bytes && !tensor.typed && wanted && *wanted > 0) {
      add("onnx.tensor-size", tensor, fmt::format("{} bytes", *wanted), "none");
    }
  }

  void outside(const OnnxTensor& tensor, std::optional<uint64_t> wanted) {
    const auto& external = *tensor.external;
    if (!stays_inside(external.location)) {
      add("onnx.unsafe-path",
          tensor,
          "a path inside the model's folder",
          quote(external.location));
      return;
    }
    auto size = size_of(external.location);
    if (!size) {
      add("onnx.external-missing",
          tensor,
          "its data in " + quote(external.location),
          "no such file");
      return;
    }
    auto length = external.length.value_or(wanted.value_or(0));
    if (external.malformed || external.offset > *size ||
        length > *size - external.offset) {
      add("onnx.external-range",
          tensor,
          fmt::format("data inside the {} bytes of {}",
                      *size,
                      quote(external.location)),
          external.malformed
              ? "an offset or length that is no number"
              : fmt::format("{} bytes at {}", length, external.offset));
    } else if (external.length && wanted && *external.length != *wanted) {
      add("onnx.tensor-size",
          tensor,
          fmt::format("{} bytes", *wanted),
          fmt::format("{}", *external.length));
    }
  }

  // Thousands of tensors lie in one file: it is asked once.
  std::optional<uint64_t> size_of(const std::string& location) {
    auto [entry, fresh] = sizes_.emplace(location, std::nullopt);
    if (fresh) {
      std::error_code error;
      auto path = file_.parent_path() / location;
      auto size = fs::file_size(path, error);
      if (!error && fs::is_regular_file(path, error)) {
        entry->second = size;
      }
    }
    return entry->second;
  }

  const fs::path& file_;
  const OnnxModel& model_;
  std::map<std::string, std::optional<uint64_t>> sizes_;
  Findings findings_;
};

Findings graph(const fs::path& file, const OnnxModel& model) {
  Findings findings;
  auto where = file.string();
  auto add = [&](std::string_view id, std::string expected, std::string has) {
    findings.push_back(
        make_finding(id, where, std::move(expected), std::move(has)));
  };
  if (!model.has_graph) {
    add("onnx.malformed", "a model with a graph", "no graph");
    return findings;
  }
  if (model.ir_version < 1) {
    add("onnx.version",
        "a version of the format",
        fmt::format("{}", model.ir_version));
  }
  if (model.ir_version >= 3 && model.opsets.empty()) {
    add("onnx.version", "the version of the operators", "none");
  }
  for (const auto& [domain, version] : model.opsets) {
    if (version < 1) {
      add("onnx.version",
          "a version of the operators of " +
              quote(domain.empty() ? "ai.onnx" : domain),
          fmt::format("{}", version));
    }
  }
  for (const auto& name : model.undefined) {
    add("onnx.undefined", "something that gives " + quote(name), "nothing");
  }
  for (const auto& name : model.duplicates) {
    add("onnx.duplicate", "one initializer of a name", quote(name) + " twice");
  }
  return findings;
}

std::vector<fs::path> files_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return {path};
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".onnx") {
      files.push_back(entry->path());
    }
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

void check_onnx(Checkup& checkup) {
  checkup.name_architecture("ONNX");
  for (const auto& file : files_of(checkup.path())) {
    std::optional<OnnxModel> model;
    checkup.step("graph", [&](CheckStep& step) {
      model.emplace(read_onnx(file));
      step.detail = fmt::format("{}: {} nodes, {} tensors",
                                quote(file.filename().string()),
                                model->nodes,
                                model->tensors.size());
      for (const auto& [domain, version] : model->opsets) {
        step.detail += fmt::format(
            ", {} {}", quote(domain.empty() ? "ai.onnx" : domain), version);
      }
      return graph(file, *model);
    });
    if (model) {
      checkup.step("data",
                   [&](CheckStep&) { return Tensors(file, *model).look(); });
    }
  }
  if (!checkup.options().headers_only) {
    checkup.skip("inference", "ONNX models are not run");
    checkup.leave_undecided();
  }
}

}  // namespace assay
