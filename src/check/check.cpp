#include "assay/check/check.h"

#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/core/finding_json.h"
#include "assay/formats/adapter.h"
#include "assay/formats/checkpoint_layout.h"
#include "assay/formats/model_kind.h"

namespace assay {
namespace fs = std::filesystem;

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

namespace {

/** The one file of weights that is all there is: the path itself, or the only
 * one of a folder without a config. */
std::optional<fs::path> lone_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return path;
  }
  std::optional<fs::path> file;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    auto name = entry->path().filename();
    auto suffix = name.extension();
    if (suffix == ".safetensors" || suffix == ".gguf" || suffix == ".ckpt" ||
        suffix == ".pt" || suffix == ".pth" || suffix == ".bin") {
      if (file) {
        return std::nullopt;
      }
      file = entry->path();
    } else if (name == "config.json") {
      return std::nullopt;
    }
  }
  return file;
}

// File names say nothing more: the tensors do. What cannot be opened is left
// to the rules, which say why.
void check_by_tensors(Checkup& checkup) {
  try {
    auto file = lone_file(checkup.path());
    if (file) {
      auto model = open_model(*file);
      if (are_adapter(model.tensors)) {
        return check_adapter(checkup);
      }
      if (check_gguf_kind(checkup, model)) {
        return;
      }
      if (checkpoint_layout(model)) {
        return check_checkpoint(checkup, *file);
      }
    }
  } catch (const Error&) {
    return check_language_model(checkup);  // which says what is wrong
  }
  check_language_model(checkup);
  check_projectors_beside(checkup);
}

// A pickle that holds no weights is no model with a defect: its safety is all
// there is to say.
bool holds_no_model(Checkup& checkup, std::optional<Safety> safety) {
  if (!safety) {
    return false;
  }
  try {
    open_model(checkup.path());
    return false;
  } catch (const Error& error) {
    const auto& id = error.finding().id;
    bool none = id == "torch.no-tensors" || id == "model.no-weights" ||
                id == "model.unknown-format";
    if (!none && *safety == Safety::safe) {
      return false;  // a checkpoint that is damaged
    }
    std::error_code ignored;
    if (!none && fs::is_directory(checkup.path(), ignored)) {
      return false;
    }
    checkup.skip("files", "no weights to look at: " + error.finding().actual);
    return true;
  }
}

}  // namespace

CheckReport check(const std::filesystem::path& path,
                  const CheckOptions& options) {
  Checkup checkup(path, options);
  auto safety = check_safety(checkup);
  auto kind = kind_of(path);
  if (kind == ModelKind::model && holds_no_model(checkup, safety)) {
    return checkup.finish();
  }
  switch (kind) {
    case ModelKind::pipeline:
      check_pipeline(checkup);
      break;
    case ModelKind::component:
    case ModelKind::scheduler:
      check_component(checkup);
      break;
    case ModelKind::adapter:
      check_adapter(checkup);
      break;
    case ModelKind::embedding:
      check_embedding(checkup);
      break;
    case ModelKind::onnx:
      check_onnx(checkup);
      break;
    case ModelKind::model:
      check_by_tensors(checkup);
      break;
  }
  for (const auto& extra : options.extra) {
    checkup.step(extra.name.c_str(),
                 [&](CheckStep& step) { return extra.look(path, step); });
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
