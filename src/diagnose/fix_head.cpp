// A stored head that the config ties to the embedding: which of both is wrong
// is no matter of shapes. A short text run with either tells, where one of them
// makes sense of it and the other does not.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/rules.h"
#include "assay/diagnose/repairs.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/inspect.h"
#include "assay/text/tokenizer.h"

namespace assay::repair {
namespace {

constexpr auto kHeadDocument = "config.json";
constexpr std::string_view kTie = "tie_word_embeddings";
constexpr std::string_view kDiffers = "head.tied-differs";
constexpr double kDecisive = 1;  // nats a token; between makes no proof

struct Reading {
  double nll = 0;
  bool makes_sense = false;
};

/** Nothing where there is no tokenizer to make a text of. Throws Error. */
std::optional<Reading> read_text_with(const std::filesystem::path& folder) {
  auto model = open_model(folder);
  auto report = inspect(model);
  if (!report.tokenizer.present) {
    return std::nullopt;
  }
  auto tokenizer = load_tokenizer(model);
  auto run = rules::inference(model, report, &tokenizer);
  return Reading{
      run.mean_nll,
      run.mean_nll > 0 && !has_errors(run.findings) &&
          std::ranges::find(run.findings, "inference.no-sense", &Finding::id) ==
              run.findings.end()};
}

/** Where the flag stands, or where its absence means that it is set. */
std::vector<std::string> place_of_tie(const Json& config) {
  if (!config.contains(kTie) && config.contains("text_config") &&
      config["text_config"].is_object() &&
      config["text_config"].contains(kTie)) {
    return {"text_config", std::string(kTie)};
  }
  return {std::string(kTie)};
}

}  // namespace

void tied_head(Workbench& bench) {
  if (!bench.may_run) {
    bench.leave(kDiffers,
                "only a run tells whether the head or the flag is wrong, and "
                "--headers asks for none");
    return;
  }
  if (!bench.draft.exists(kHeadDocument)) {
    bench.leave(kDiffers, "its settings lie inside the file of weights");
    return;
  }
  auto path = place_of_tie(bench.draft.json(kHeadDocument));
  auto tied = read_text_with(bench.draft.folder());
  if (!tied) {
    bench.leave(kDiffers,
                "only a run tells whether the head or the flag is wrong, and "
                "there is no tokenizer to make a text of");
    return;
  }
  Draft trial(bench.draft.folder());
  trial.set(kHeadDocument, path, false, "");
  auto own = read_text_with(trial.folder());
  auto costs = fmt::format(
      "a short text costs {:.2f} nats a token with the stored head, {:.2f} "
      "with the embedding in its place",
      own->nll,
      tied->nll);
  if (own->makes_sense && own->nll + kDecisive < tied->nll) {
    bench.draft.set(
        kHeadDocument, path, false, fmt::format("{}: {}", kTie, costs));
  } else if (tied->makes_sense && tied->nll + kDecisive < own->nll) {
    bench.leave(kDiffers,
                costs +
                    ": the flag is right, and programs do not read the "
                    "stored head");
  } else {
    bench.leave(kDiffers, costs + ": that proves neither");
  }
}

}  // namespace assay::repair
