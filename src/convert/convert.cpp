#include "assay/convert/convert.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/arch/architecture.h"
#include "assay/convert/documents.h"
#include "assay/convert/exports.h"
#include "assay/convert/exports_common.h"
#include "assay/convert/mlx_folder.h"
#include "assay/convert/verify.h"
#include "assay/core/claim.h"
#include "assay/core/finding_json.h"
#include "assay/core/platform.h"
#include "assay/core/platform_process.h"

namespace assay {
namespace fs = std::filesystem;
using namespace conversion;

namespace {

constexpr const char* kConfigName = "config.json";
// Nats a token. Sums in another order, in half precision too, stay far below;
// with no value changed, more means that the result is another model.
constexpr double kRounding = 0.01;

bool lies_in(const fs::path& inner, const fs::path& outer) {
  auto [end, unused] = std::ranges::mismatch(outer, inner);
  return end == outer.end();
}

// Neither may contain the other: putting the result in place would remove or
// change what is read.
void check_apart(const ModelFiles& model, const fs::path& destination) {
  auto to = fs::weakly_canonical(destination);
  auto refuse = [&](const fs::path& source) {
    fail("convert.destination",
         destination.string(),
         "a place outside the source",
         source.string());
  };
  if (fs::is_directory(model.path) &&
      lies_in(to, fs::weakly_canonical(model.path))) {
    refuse(model.path);
  }
  for (const auto& file : model.files) {
    if (lies_in(fs::weakly_canonical(file), to)) {
      refuse(file);
    }
  }
}

class Conversion {
 public:
  Conversion(const fs::path& source,
             const fs::path& destination,
             const ConvertOptions& options,
             const Progress& progress)
      : options_(options),
        progress_(progress),
        destination_(destination),
        files_(open_model(source)),
        tree_((check_apart(files_, destination), arch::build_tree(files_))),
        folder_(destination, options.force),
        claim_(folder_.partial()),
        data_(files_),
        reader_(files_, tree_.config) {
    report_.findings = claim_.findings();
    report_.source = source;
    report_.destination = destination;
    report_.to = options.to;
    report_.architecture = tree_.architecture->model_type;
    for (const auto& tensor : files_.tensors) {
      report_.source_bytes += tensor.bytes;
    }
  }

  ConvertReport run() {
    auto start = std::chrono::steady_clock::now();
    switch (options_.to) {
      case ConvertTarget::mlx:
        to_mlx();
        break;
      case ConvertTarget::hf:
        to_hf();
        break;
      case ConvertTarget::gguf:
        to_gguf();
        break;
    }
    std::chrono::duration<double> elapsed =
        std::chrono::steady_clock::now() - start;
    report_.seconds = elapsed.count();
    report_.peak_bytes = peak_resident_bytes();
    report_.bits_per_weight =
        8.0 * static_cast<double>(report_.bytes) /
        static_cast<double>(std::max<uint64_t>(1, report_.parameters));
    if (options_.verify) {
      verify();
    }
    put_in_place();
    return std::move(report_);
  }

 private:
  void to_mlx() {
    // A tokenizer takes as long to make as many tensors to write.
    auto documents = std::async(std::launch::async, [this] {
      std::vector<Finding> findings;
      write_documents(files_, folder_.partial(), options_.verify, findings);
      return findings;
    });
    std::vector<Finding> config;
    const auto before = report_;
    try {
      config = write_weights(BlockScales::assumed);
    } catch (const UnfitScales&) {
      report_ = before;
      done_ = 0;
      remove_weights();
      config = write_weights(BlockScales::read);
    }
    std::ranges::copy(documents.get(), std::back_inserter(report_.findings));
    std::ranges::copy(config, std::back_inserter(report_.findings));
  }

  // Those of an attempt that was given up.
  void remove_weights() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_.partial())) {
      if (entry.path().extension() == ".safetensors") {
        files.push_back(entry.path());
      }
    }
    for (const auto& file : files) {
      fs::remove(file);
    }
  }

  // And config.json, of which the findings are.
  std::vector<Finding> write_weights(BlockScales scales) {
    auto plan = make_plan(tree_.parameters, reader_, data_, options_, scales);
    check_space(folder_.partial(), plan.bytes);
    std::ranges::copy(plan.findings, std::back_inserter(report_.findings));
    auto config = std::async(std::launch::async,
                             [this, &plan] { return write_config(plan); });
    report_.files = write_mlx_folder(
        plan,
        folder_.partial(),
        options_.max_shard_bytes,
        [this](const PlannedParameter& parameter, const Change& change) {
          note(parameter, change);
        });
    report_.bytes = plan.bytes;
    if (plan.quantization) {
      report_.quantization = plan.quantization->standard;
    }
    return config.get();
  }

  std::vector<Finding> write_config(const Plan& plan) const {
    std::vector<Finding> findings;
    auto config = tree_.config;
    add_older_spelling(config, findings);
    write_text(
        folder_.partial() / kConfigName,
        to_text(result_config(config, plan.quantization, dtype_name(plan))));
    return findings;
  }

  void to_hf() {
    auto size = export_hf(job(), folder_.partial(), note_export());
    report_.bytes = size.bytes;
    report_.files = size.files;
    write_documents(
        files_, folder_.partial(), options_.verify, report_.findings);
    auto config = result_config(tree_.config, std::nullopt, options_.dtype);
    write_text(folder_.partial() / kConfigName, to_text(config));
  }

  void to_gguf() {
    auto size = export_gguf(job(),
                            folder_.partial() / "model.gguf",
                            report_.findings,
                            note_export());
    report_.bytes = size.bytes;
    report_.files = size.files;
  }

  Job job() { return {files_, tree_, reader_, data_, options_}; }

  // The type to state in config.json: what was asked for, or, for a GGUF,
  // whose config has none, that of the embedding's values or scales.
  std::string dtype_name(const Plan& plan) const {
    auto dtype = float_type(options_.dtype);
    if (!dtype && !tree_.config.contains("dtype") &&
        !tree_.config.contains("torch_dtype")) {
      dtype = plan.parameters.front().value_type;
    }
    if (!dtype) {
      return {};
    }
    return *dtype == DType::f16    ? "float16"
           : *dtype == DType::bf16 ? "bfloat16"
                                   : "float32";
  }

  void advance(const std::string& what, uint64_t bytes) {
    done_ += bytes;
    if (progress_) {
      progress_(
          {what, std::min(done_, report_.source_bytes), report_.source_bytes});
    }
  }

  void note_change(const nn::ParameterSpec& spec,
                   const Change& change,
                   std::string from,
                   std::string to) {
    ++report_.tensors;
    report_.parameters += element_count(spec.shape()).value();
    if (change.none()) {
      ++report_.exact;
    } else {
      report_.changed.push_back({spec.name,
                                 std::move(from),
                                 std::move(to),
                                 spec.shape(),
                                 change.rms_relative(),
                                 change.max_abs});
    }
  }

  void note(const PlannedParameter& parameter, const Change& change) {
    const auto& rows = *parameter.rows;
    report_.quantized += parameter.quantization ? 1 : 0;
    note_change(rows.spec(),
                change,
                rows.stored_as(),
                parameter.quantization ? describe(*parameter.quantization)
                                       : std::string(name(parameter.dtype)));
    advance(rows.spec().name, rows.stored_bytes());
  }

  ExportWritten note_export() {
    return [this](const Exported& exported) {
      for (const auto* spec : exported.parameters) {
        report_.quantized += exported.quantized ? 1 : 0;
        note_change(*spec, exported.change, exported.from, exported.to);
      }
      advance(exported.parameters.front()->name, exported.source_bytes);
    };
  }

  fs::path result() const {
    return options_.to == ConvertTarget::gguf ? folder_.partial() / "model.gguf"
                                              : folder_.partial();
  }

  void verify() {
    report_.drift = measure_drift(files_, tree_, result());
    const auto& drift = *report_.drift;
    if (report_.changed.empty() && !(drift.kl <= kRounding)) {
      report_.findings.push_back(make_finding(
          "convert.other-logits",
          "logits on a short text",
          fmt::format("those of the source, within {} nats a token", kRounding),
          fmt::format("{:.2g} nats a token apart, logits by up to {:.2g}",
                      drift.kl,
                      drift.max_abs)));
    }
  }

  void put_in_place() {
    if (options_.to != ConvertTarget::gguf) {
      folder_.commit(Flush::when_replacing);
      return;
    }
    // A file takes the place of the folder that it was made in, which goes
    // with the AtomicFolder.
    std::error_code error;
    bool replacing = fs::exists(destination_, error);
    if (fs::is_directory(destination_)) {
      error = std::make_error_code(std::errc::is_a_directory);
    } else if (replacing && !platform::sync_file(result())) {
      error = std::make_error_code(std::errc::io_error);
    } else {
      fs::rename(result(), destination_, error);
    }
    if (error) {
      fail("file.unwritable",
           destination_.string(),
           "a file that can be put in place",
           error.message());
    }
    if (replacing) {
      platform::sync_folder(destination_.parent_path());
    }
  }

  const ConvertOptions& options_;
  const Progress& progress_;
  fs::path destination_;
  ModelFiles files_;
  arch::Tree tree_;
  AtomicFolder folder_;
  Claim claim_;
  TensorData data_;
  nn::WeightReader reader_;
  ConvertReport report_;
  uint64_t done_ = 0;  ///< source bytes
};

Json to_json(const Quantization& q) {
  return {{"group_size", q.group_size}, {"bits", q.bits}, {"mode", q.mode}};
}

Json to_json(const Drift& drift) {
  return {{"tokens", drift.tokens},
          {"text", drift.text.empty() ? Json() : Json(drift.text)},
          {"mean_abs", drift.mean_abs},
          {"max_abs", drift.max_abs},
          {"kl", drift.kl},
          {"top1_agreement", drift.top1_agreement}};
}

}  // namespace

std::optional<ConvertTarget> convert_target(std::string_view word) {
  if (word == "mlx") {
    return ConvertTarget::mlx;
  }
  if (word == "gguf") {
    return ConvertTarget::gguf;
  }
  return word == "hf" ? std::optional(ConvertTarget::hf) : std::nullopt;
}

ConvertReport convert(const fs::path& source,
                      const fs::path& destination,
                      const ConvertOptions& options,
                      const Progress& progress) {
  return Conversion(source, destination, options, progress).run();
}

Json to_json(const ConvertReport& report) {
  constexpr std::array kTargets = {"mlx", "gguf", "hf"};
  Json json = {{"source", report.source.string()},
               {"destination", report.destination.string()},
               {"to", kTargets[static_cast<size_t>(report.to)]},
               {"architecture", report.architecture},
               {"tensors", report.tensors},
               {"parameters", report.parameters},
               {"source_bytes", report.source_bytes},
               {"bytes", report.bytes},
               {"bits_per_weight", report.bits_per_weight},
               {"files", report.files},
               {"quantized", report.quantized},
               {"exact", report.exact},
               {"seconds", report.seconds},
               {"peak_bytes", report.peak_bytes}};
  json["quantization"] =
      report.quantization ? to_json(*report.quantization) : Json();
  json["changed"] = Json::array();
  for (const auto& tensor : report.changed) {
    json["changed"].push_back({{"name", tensor.name},
                               {"from", tensor.from},
                               {"to", tensor.to},
                               {"shape", tensor.shape},
                               {"rms_relative", tensor.rms_relative},
                               {"max_abs", tensor.max_abs}});
  }
  json["findings"] = to_json(report.findings);
  json["drift"] = report.drift ? to_json(*report.drift) : Json();
  return json;
}

}  // namespace assay
