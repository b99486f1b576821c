#include "assay/measure/bench.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>

#include <fmt/format.h>
#include <mlx/memory.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <mlx/version.h>
#include <nlohmann/json.hpp>

#include "assay/arch/loaded_model.h"
#include "assay/core/finding.h"
#include "assay/core/platform.h"
#include "assay/kernels/linear.h"
#include "assay/measure/text_sample.h"

namespace assay {
namespace mx = mlx::core;

namespace {

using Conditions = std::vector<std::pair<std::string, std::string>>;

double seconds_of(const std::function<void()>& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  return elapsed.count();
}

// Logits of the last position of `ids`, which go through in chunks.
mx::array prefill(const nn::LanguageModel& model,
                  std::span<const int32_t> ids,
                  int chunk,
                  nn::KVCaches& caches) {
  std::optional<mx::array> last;
  for (auto& cache : caches) {
    cache.expect(static_cast<int>(ids.size()));
  }
  for (size_t start = 0; start < ids.size();) {
    size_t count = std::min(ids.size() - start, static_cast<size_t>(chunk));
    auto hidden =
        model.hidden(arch::to_array(ids.subspan(start, count)), &caches);
    last = mx::slice(hidden,
                     {0, hidden.shape(1) - 1, 0},
                     {1, hidden.shape(1), hidden.shape(2)});
    mx::eval(*last);
    start += count;
  }
  auto logits = model.logits(*last);
  mx::eval(logits);
  return logits;
}

// As generate does it: the next step is under way while this one's token is
// waited for.
void decode(const nn::LanguageModel& model,
            const mx::array& logits,
            int tokens,
            nn::KVCaches& caches) {
  auto choose = [](const mx::array& scores) {
    return mx::astype(mx::argmax(scores, -1), mx::int32);
  };
  auto token = choose(logits);
  mx::async_eval(token);
  for (int i = 0; i < tokens; ++i) {
    auto ahead = choose(model(mx::reshape(token, {1, 1}), &caches));
    mx::async_eval(ahead);
    token.eval();
    token = ahead;
  }
  token.eval();
}

void expect_positive(const BenchOptions& options) {
  auto refuse = [](const char* what, int value) {
    fail("measure.option", what, "at least 1", fmt::format("{}", value));
  };
  auto hold = [&](const char* what, int value, int least) {
    if (value < least) {
      refuse(what, value);
    }
  };
  hold("runs", options.runs, 1);
  hold("loads", options.loads, 1);
  hold("prefill_chunk", options.prefill_chunk, 1);
  hold("prompt_lengths", static_cast<int>(options.prompt_lengths.size()), 1);
  for (int length : options.prompt_lengths) {
    hold("prompt_lengths", length, 1);
  }
  if (options.kv_bits != 0 && options.kv_bits != 16) {
    fail("measure.option",
         "kv_bits",
         "0 or 16",
         fmt::format("{}", options.kv_bits));
  }
}

class Bench {
 public:
  Bench(const std::filesystem::path& path,
        const BenchOptions& options,
        const Progress& progress)
      : path_(path), options_(options), progress_(progress) {
    report_.path = path;
    total_ = static_cast<uint64_t>(options.loads) +
             rounds() * (options.prompt_lengths.size() +
                         (options.decode_tokens > 0 ? 1 : 0));
  }

  BenchReport run() {
    expect_positive(options_);
    if (options_.threads != 0) {
      kernels::set_threads(options_.threads);
    }
    mx::reset_peak_memory();
    auto loads = time_loads();
    report_.architecture = model_->tree.architecture->model_type;
    conditions_ = machine_conditions();
    conditions_.insert(conditions_.begin(), {"model", path_.string()});
    add("load", std::move(loads), "s", options_.loads);
    for (int length : options_.prompt_lengths) {
      bench_prefill(length);
    }
    if (options_.decode_tokens > 0) {
      bench_decode();
    }
    add_memory();
    return std::move(report_);
  }

 private:
  uint64_t rounds() const {
    return static_cast<uint64_t>(options_.runs) +
           static_cast<uint64_t>(options_.warmup);
  }

  std::vector<double> time_loads() {
    std::vector<double> times;
    for (int i = 0; i < options_.loads; ++i) {
      model_.reset();
      times.push_back(seconds_of([&] { model_ = arch::load_model(path_); }));
      step("load");
    }
    return times;
  }

  void bench_prefill(int length) {
    const auto& model = model_->model();
    auto ids = prompt(length);
    std::vector<double> rates;
    for (int run = -options_.warmup; run < options_.runs; ++run) {
      auto caches = model.make_caches({.bits = options_.kv_bits});
      double time = seconds_of(
          [&] { prefill(model, ids, options_.prefill_chunk, caches); });
      keep(run, length / time, rates);
      step(fmt::format("prefill {}", length));
    }
    add(fmt::format("prefill {}", length),
        std::move(rates),
        "tokens/s",
        options_.runs);
  }

  void bench_decode() {
    const auto& model = model_->model();
    auto length = options_.prompt_lengths.front();
    auto ids = prompt(length);
    std::vector<double> rates;
    for (int run = -options_.warmup; run < options_.runs; ++run) {
      auto caches = model.make_caches({.bits = options_.kv_bits});
      auto logits = prefill(model, ids, options_.prefill_chunk, caches);
      double time = seconds_of(
          [&] { decode(model, logits, options_.decode_tokens, caches); });
      keep(run, options_.decode_tokens / time, rates);
      step("decode");
    }
    add(fmt::format("decode {}", options_.decode_tokens),
        std::move(rates),
        "tokens/s",
        options_.runs,
        {{"prompt", fmt::format("{} tokens", length)},
         {"KV cache", options_.kv_bits == 0 ? "as computed" : "float16"}});
  }

  static void keep(int run, double rate, std::vector<double>& rates) {
    if (run >= 0) {
      rates.push_back(rate);
    }
  }

  void add(std::string what,
           std::vector<double> values,
           std::string unit,
           int runs,
           Conditions more = {}) {
    auto [median, spread] = median_spread(std::move(values));
    auto conditions = conditions_;
    conditions.insert(conditions.end(), more.begin(), more.end());
    conditions.emplace_back(
        "runs",
        fmt::format(
            "{}, {} before them", runs, unit == "s" ? 0 : options_.warmup));
    report_.measurements.push_back(
        {std::move(what), median, std::move(unit), spread, conditions});
  }

  void add_memory() {
    auto add_bytes = [this](const char* what, uint64_t bytes) {
      report_.measurements.push_back(
          {what, static_cast<double>(bytes), "bytes", 0, conditions_});
    };
    add_bytes("peak memory", peak_resident_bytes());
    add_bytes("peak MLX memory", mx::get_peak_memory());
  }

  std::vector<int32_t> prompt(int length) const {
    return random_ids(static_cast<size_t>(length),
                      vocabulary_size(model_->tree));
  }

  void step(const std::string& what) {
    ++done_;
    if (progress_) {
      progress_({what, done_, total_});
    }
  }

  std::filesystem::path path_;
  const BenchOptions& options_;
  const Progress& progress_;
  std::optional<arch::LoadedModel> model_;
  Conditions conditions_;
  BenchReport report_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

MedianSpread median_spread(std::vector<double> values) {
  std::ranges::sort(values);
  // Quantiles by linear interpolation between the sorted values.
  auto quantile = [&values](double share) {
    double place = share * static_cast<double>(values.size() - 1);
    auto low = static_cast<size_t>(place);
    auto high = std::min(low + 1, values.size() - 1);
    double rest = place - static_cast<double>(low);
    return values[low] * (1 - rest) + values[high] * rest;
  };
  return {quantile(0.5), (quantile(0.75) - quantile(0.25)) / 2};
}

Conditions machine_conditions() {
  auto machine = machine_info();
  Conditions conditions = {{"system", machine.system},
                           {"processor", machine.processor},
                           {"cores", fmt::format("{}", machine.physical_cores)},
                           {"memory",
                            fmt::format("{:.1f} GiB",
                                        static_cast<double>(machine.memory) /
                                            static_cast<double>(1u << 30))},
                           {"MLX", mx::version()},
                           {"device", kernels::on_cpu() ? "CPU" : "GPU"}};
  if (kernels::on_cpu()) {
    conditions.emplace_back("threads", fmt::format("{}", kernels::threads()));
  }
  return conditions;
}

BenchReport bench(const std::filesystem::path& path,
                  const BenchOptions& options,
                  const Progress& progress) {
  return Bench(path, options, progress).run();
}

Json to_json(const Measurement& measurement) {
  Json conditions = Json::object();
  for (const auto& [key, value] : measurement.conditions) {
    conditions[key] = value;
  }
  return {{"what", measurement.what},
          {"value", measurement.value},
          {"unit", measurement.unit},
          {"spread", measurement.spread},
          {"conditions", conditions}};
}

Json to_json(const BenchReport& report) {
  Json measurements = Json::array();
  for (const auto& measurement : report.measurements) {
    measurements.push_back(to_json(measurement));
  }
  return {{"path", report.path.string()},
          {"architecture", report.architecture},
          {"measurements", measurements}};
}

}  // namespace assay
