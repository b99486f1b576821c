#pragma once

// The options that generate and chat share: sampling, cache, draft model.

#include <memory>
#include <optional>
#include <vector>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/generate/generate.h"

namespace assay::cli {

std::vector<Option> generation_options();

/** What they mean. `temperature` where --temp is not given is the table's. */
GenerateOptions generate_options(const Arguments& arguments);

/** How keys and values are kept. */
nn::CacheOptions cache_options(const Arguments& arguments);

/** Everything that a generation needs, loaded by those options. */
struct Session {
  arch::LoadedModel model;
  std::optional<Tokenizer> tokenizer;
  std::optional<arch::LoadedModel> draft;
  std::optional<Tokenizer> draft_tokenizer;
  std::optional<Generator> generator;
};
std::unique_ptr<Session> start_session(const Arguments& arguments);

/** Template variables of --template-args: an object or null. */
Json template_variables(const Arguments& arguments);

/** "38 prompt tokens at 312.5/s, 64 tokens at 88.1/s, peak 0.41 GB". */
std::string describe(const GenerationStats& stats);

}  // namespace assay::cli
