#include "assay/quantize/quantize.h"

#include <chrono>
#include <cmath>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/claim.h"
#include "assay/core/file.h"
#include "assay/core/finding_json.h"
#include "assay/quantize/search.h"

namespace assay {
namespace fs = std::filesystem;
using namespace quantization;

namespace {

constexpr size_t kTokens = 512;

std::vector<Quantization> default_candidates() {
  std::vector<Quantization> candidates;
  for (int bits : {8, 6, 5, 4, 3, 2}) {
    candidates.push_back({64, bits, "affine"});
  }
  for (int bits : {6, 5, 4, 3, 2}) {
    candidates.push_back({32, bits, "affine"});
  }
  return candidates;
}

void check_options(const QuantizeOptions& options) {
  bool uniform =
      options.bits != 0 || options.group_size != 0 || !options.mode.empty();
  bool mixed = !options.recipe.empty();
  if (options.max_loss_percent) {
    double limit = *options.max_loss_percent;
    if (!std::isfinite(limit) || limit < 0) {
      fail("convert.option",
           "max_loss_percent",
           "a percentage of 0 or more",
           fmt::format("{}", limit));
    }
    if (uniform || mixed) {
      fail("convert.option",
           "max_loss_percent",
           "no bits, groups, mode or recipe beside it",
           mixed ? options.recipe : "bits, group_size or mode");
    }
  }
  if (options.max_tries < 1) {
    fail("convert.option",
         "max_tries",
         "at least 1",
         fmt::format("{}", options.max_tries));
  }
}

Perplexity perplexity_of(double mean_nll, const Reference& reference) {
  uint64_t windows = reference.logits.size();
  return {.perplexity = std::exp(mean_nll),
          .mean_nll = mean_nll,
          .tokens = reference.ids.size(),
          .predicted = reference.ids.size() - windows,
          .window = reference.window,
          .stride = reference.window};
}

class Job {
 public:
  Job(const fs::path& source,
      const fs::path& destination,
      const QuantizeOptions& options,
      const Progress& progress)
      : options_(options),
        progress_(progress),
        source_(source),
        folder_(destination, options.force),
        claim_(folder_.partial()) {
    report_.findings = claim_.findings();
    report_.source = source;
    report_.destination = destination;
    report_.max_loss_percent = options.max_loss_percent;
    convert_.dtype = options.dtype;
    convert_.verify = false;
    convert_.force =
        true;  // of the folder that is filled and then put in place
  }

  QuantizeReport run() {
    auto start = std::chrono::steady_clock::now();
    auto reference =
        options_.max_loss_percent ? find_and_write() : write_as_asked();
    if (reference) {
      measure_result(*reference);
    }
    finish();
    folder_.commit(Flush::when_replacing);
    std::chrono::duration<double> elapsed =
        std::chrono::steady_clock::now() - start;
    report_.seconds = elapsed.count();
    return std::move(report_);
  }

 private:
  Reference reference_of(const arch::LoadedModel& model) {
    auto sample_options = options_.sample;
    if (sample_options.max_tokens == 0) {
      sample_options.max_tokens = kTokens;
    }
    auto sample = sample_tokens(model, sample_options);
    report_.text_source = sample.source;
    report_.tokens = sample.ids.size();
    report_.architecture = model.tree.architecture->model_type;
    auto reference = make_reference(model.model(), std::move(sample.ids));
    report_.source_perplexity = perplexity_of(reference.mean_nll, reference);
    return reference;
  }

  std::optional<Reference> write_as_asked() {
    convert_.bits = options_.bits;
    convert_.group_size = options_.group_size;
    convert_.mode = options_.mode;
    convert_.recipe = options_.recipe;
    if (options_.recipe.empty() && options_.bits == 0 &&
        (options_.mode.empty() || options_.mode == "affine")) {
      convert_.bits = 4;
    }
    auto reference = reference_of(arch::load_model(source_));
    write();
    if (report_.written.bytes > report_.written.source_bytes &&
        !options_.allow_larger) {
      fail("quantize.larger",
           report_.destination.string(),
           fmt::format("at most the {} bytes of the source",
                       report_.written.source_bytes),
           fmt::format("{} bytes", report_.written.bytes));
    }
    return reference;
  }

  // Writes the smallest mix that is within the bound as written: the next one
  // where rounding of what is not quantized made the difference.
  std::optional<Reference> find_and_write() {
    auto candidates = options_.candidates.empty() ? default_candidates()
                                                  : options_.candidates;
    std::optional<Reference> reference;
    Found found;
    std::vector<ChooseQuantization> choices;
    {
      TrialModel model(source_, candidates, options_.dtype);
      reference = reference_of(model.loaded());
      found = search(model, candidates, *reference, options_, progress_);
      for (auto index : found.order) {
        choices.push_back(choice(model, found.settings[index]));
      }
    }
    report_.sensitivities = std::move(found.sensitivities);
    report_.tries = std::move(found.tries);
    for (size_t i = 0; i < choices.size(); ++i) {
      convert_.choose = choices[i];
      write();
      measure_result(*reference);
      if (report_.result_loss_percent <= *options_.max_loss_percent) {
        report_.tries[found.order[i]].chosen = true;
        return std::nullopt;
      }
      report_.tries[found.order[i]].within = false;
    }
    fail("quantize.no-mix",
         source_.string(),
         fmt::format("a result within {}%", *options_.max_loss_percent),
         fmt::format("{:.3f}% in the folder as written",
                     report_.result_loss_percent));
  }

  static ChooseQuantization choice(const TrialModel& model,
                                   const Settings& settings) {
    std::map<std::string, std::optional<Quantization>> wanted;
    for (size_t i = 0; i < settings.size(); ++i) {
      if (settings[i] != kKeep) {
        wanted[model.spec(i).name] = model.stored(i, settings[i]).quantization;
      }
    }
    return [wanted](const nn::ParameterSpec& spec) {
      auto entry = wanted.find(spec.name);
      return entry == wanted.end() ? std::nullopt : entry->second;
    };
  }

  void write() {
    report_.written = convert(source_, folder_.partial(), convert_, progress_);
    report_.written.destination = report_.destination;
  }

  void measure_result(const Reference& reference) {
    auto result = arch::load_model(folder_.partial());
    auto measured = measure(result.model(), reference);
    report_.result_perplexity = perplexity_of(measured.mean_nll, reference);
    report_.result_divergence = measured.divergence;
    report_.result_loss_percent =
        100 * std::expm1(measured.mean_nll - reference.mean_nll);
  }

  void finish() {
    report_.source_bytes = report_.written.source_bytes;
    report_.source_bits_per_weight =
        8.0 * static_cast<double>(report_.source_bytes) /
        static_cast<double>(std::max<uint64_t>(1, report_.written.parameters));
    std::ranges::copy(report_.written.findings,
                      std::back_inserter(report_.findings));
    auto files = open_model(folder_.partial());
    auto tree = arch::build_tree(files);
    nn::WeightReader reader(files, tree.config);
    for (const auto& spec : tree.parameters) {
      auto location = spec.quantizable() ? reader.locate(spec) : std::nullopt;
      if (location) {
        report_.modules[conversion::module_path(spec.name)] =
            location->quantization;
      }
    }
  }

  const QuantizeOptions& options_;
  const Progress& progress_;
  fs::path source_;
  AtomicFolder folder_;
  Claim claim_;
  ConvertOptions convert_;
  QuantizeReport report_;
};

Json to_json(const Quantization& q) {
  return {{"group_size", q.group_size}, {"bits", q.bits}, {"mode", q.mode}};
}

Json to_json(const std::optional<Quantization>& q) {
  return q ? to_json(*q) : Json();
}

Json to_json(const GroupSensitivity& group) {
  return {{"name", group.name},
          {"modules", group.modules},
          {"parameters", group.parameters},
          {"probe", to_json(group.probe)},
          {"kl", group.kl}};
}

Json to_json(const QuantizeTry& entry) {
  return {{"what", entry.what},
          {"bits_per_weight", entry.bits_per_weight},
          {"bytes", entry.bytes},
          {"perplexity", entry.perplexity},
          {"loss_percent", entry.loss_percent},
          {"kl", entry.kl},
          {"top1_agreement", entry.top1_agreement},
          {"within", entry.within},
          {"chosen", entry.chosen}};
}

template <class T>
Json list(const std::vector<T>& values) {
  Json json = Json::array();
  for (const auto& value : values) {
    json.push_back(to_json(value));
  }
  return json;
}

}  // namespace

QuantizeReport quantize(const fs::path& source,
                        const fs::path& destination,
                        const QuantizeOptions& options,
                        const Progress& progress) {
  check_options(options);
  return Job(source, destination, options, progress).run();
}

Json to_json(const QuantizeReport& report) {
  Json modules = Json::object();
  for (const auto& [path, setting] : report.modules) {
    modules[path] = to_json(setting);
  }
  return {{"source", report.source.string()},
          {"destination", report.destination.string()},
          {"architecture", report.architecture},
          {"text_source", report.text_source},
          {"tokens", report.tokens},
          {"max_loss_percent",
           report.max_loss_percent ? Json(*report.max_loss_percent) : Json()},
          {"source_bytes", report.source_bytes},
          {"source_bits_per_weight", report.source_bits_per_weight},
          {"source_perplexity", to_json(report.source_perplexity)},
          {"sensitivities", list(report.sensitivities)},
          {"tries", list(report.tries)},
          {"modules", modules},
          {"written", to_json(report.written)},
          {"result_perplexity", to_json(report.result_perplexity)},
          {"result_divergence", to_json(report.result_divergence)},
          {"result_loss_percent", report.result_loss_percent},
          {"findings", to_json(report.findings)},
          {"seconds", report.seconds}};
}

}  // namespace assay
