#pragma once

// Checkup: one run of check while it grows: its steps, its findings and what
// it will answer. What is looked at, and in which order, is the business of
// one function a kind of model.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "assay/check/check.h"
#include "assay/formats/pickle_judge.h"

namespace assay {

class Checkup {
 public:
  using Findings = std::vector<Finding>;
  /** Returns findings, and may set the step's detail and outcome. */
  using Look = std::function<Findings(CheckStep&)>;

  Checkup(std::filesystem::path path, const CheckOptions& options);

  /** Runs one step. What it throws becomes a finding too. True when it ended
   * with notes at most. */
  bool step(const char* name, const Look& look);
  void skip(const char* name, std::string why);
  /** A part that matters could not be looked at. */
  void leave_undecided() { undecided_ = true; }

  const std::filesystem::path& path() const { return report_.path; }
  const CheckOptions& options() const { return options_; }
  const Findings& findings() const { return report_.findings; }
  void name_architecture(std::string name);

  /** The report with its verdict; the last call. */
  CheckReport finish();

 private:
  bool run_step(const char* name, const Look& look);
  bool is_said(const Finding& finding) const;

  const CheckOptions& options_;
  CheckReport report_;
  bool undecided_ = false;
};

/** Pickles at the path, and code that its configs name; the worst of the
 * pickles, nothing where there is none. */
std::optional<Safety> check_safety(Checkup& checkup);

// What check looks at, a function a kind of model.
void check_language_model(Checkup& checkup);
void check_pipeline(Checkup& checkup);
/** LoRA and its kin: a folder, or a file of which most tensors are parts. */
void check_adapter(Checkup& checkup);
/** A file of weights in the layout of an original image or video model. */
void check_checkpoint(Checkup& checkup, const std::filesystem::path& file);
/** A GGUF that is a projector or an importance matrix; false, and nothing
 * looked at, for other files. */
bool check_gguf_kind(Checkup& checkup, const ModelFiles& files);
/** The mmproj files beside the model of a folder. */
void check_projectors_beside(Checkup& checkup);
/** *.onnx, one or all of a folder. */
void check_onnx(Checkup& checkup);
/** A sentence-transformers folder. */
void check_embedding(Checkup& checkup);
/** One component of a pipeline by itself, a scheduler included. */
void check_component(Checkup& checkup);

}  // namespace assay
