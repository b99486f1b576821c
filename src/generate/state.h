#pragma once

// What a Generator is made of; for its own files.

#include <optional>

#include "assay/generate/emitter.h"
#include "assay/generate/generate.h"
#include "assay/generate/runner.h"
#include "assay/generate/speculative.h"

namespace assay {

struct Generator::State {
  const arch::LoadedModel& model;
  const Tokenizer* tokenizer;
  SpecialTokens special;
  int vocab;
  Runner runner;
  std::optional<Runner> draft;
};

}  // namespace assay
