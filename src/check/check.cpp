#include "assay/check/check.h"

#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/core/finding_json.h"
#include "assay/formats/model_kind.h"

namespace assay {

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::sound:
      return "sound";
    case Verdict::findings:
      return "findings";
    case Verdict::undecided:
      return "undecided";
  }
  return "";
}

std::string_view name(CheckStep::Outcome outcome) {
  switch (outcome) {
    case CheckStep::Outcome::passed:
      return "passed";
    case CheckStep::Outcome::findings:
      return "findings";
    case CheckStep::Outcome::skipped:
      return "skipped";
  }
  return "";
}

int exit_code(Verdict verdict) {
  switch (verdict) {
    case Verdict::sound:
      return 0;
    case Verdict::findings:
      return 1;
    case Verdict::undecided:
      return 3;
  }
  return 3;
}

CheckReport check(const std::filesystem::path& path,
                  const CheckOptions& options) {
  Checkup checkup(path, options);
  switch (kind_of(path)) {
    case ModelKind::pipeline:
      check_pipeline(checkup);
      break;
    case ModelKind::component:
    case ModelKind::scheduler:
      check_component(checkup);
      break;
    case ModelKind::adapter:
    case ModelKind::onnx:
    case ModelKind::model:
      check_language_model(checkup);
      break;
  }
  return checkup.finish();
}

Json to_json(const CheckReport& report) {
  auto steps = Json::array();
  for (const auto& step : report.steps) {
    steps.push_back({{"name", step.name},
                     {"outcome", name(step.outcome)},
                     {"detail", step.detail},
                     {"seconds", step.seconds}});
  }
  return {{"path", report.path.string()},
          {"architecture", report.architecture},
          {"verdict", name(report.verdict)},
          {"steps", std::move(steps)},
          {"findings", to_json(report.findings)}};
}

}  // namespace assay
