// The search on a real model, which is quantized already.

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "assay/quantize/quantize.h"

using namespace assay;
namespace fs = std::filesystem;

TEST_CASE("SmolLM2 within 1%: smaller than its source, and as good as said") {
  REQUIRE_MESSAGE(fs::exists(ASSAY_MODEL), "./dev test fetches it");
  auto target = fs::path(ASSAY_BUILD_DIR) / "quantize-test" / "smollm2";
  fs::remove_all(target);
  fs::create_directories(target.parent_path());
  QuantizeOptions options;
  options.max_loss_percent = 1;
  // Half of the defaults: sooner told.
  options.sample.max_tokens = 256;
  options.probe_tokens = 64;
  options.max_tries = 4;
  auto report = quantize(ASSAY_MODEL, target, options);
  for (const auto& entry : report.tries) {
    MESSAGE(entry.what,
            ": ",
            entry.bits_per_weight,
            " bits, ",
            entry.bytes,
            " bytes, perplexity ",
            entry.perplexity,
            ", loss ",
            entry.loss_percent,
            "%, KL ",
            entry.kl,
            ", top-1 ",
            entry.top1_agreement,
            std::string(entry.chosen ? ", chosen" : ""));
  }
  MESSAGE("source ",
          report.source_bytes,
          " bytes, perplexity ",
          report.source_perplexity.perplexity,
          "; ",
          report.seconds,
          " s");
  CHECK(report.written.bytes < report.source_bytes);
  auto source = arch::load_model(ASSAY_MODEL);
  auto sample = sample_tokens(
      source, {.text = {}, .ids = {}, .max_tokens = report.tokens});
  double before = perplexity(source, sample.ids).perplexity;
  double after = perplexity(arch::load_model(target), sample.ids).perplexity;
  CHECK(after <= before * 1.01);
  CHECK(100 * (after / before - 1) ==
        doctest::Approx(report.result_loss_percent).epsilon(1e-2));
}
