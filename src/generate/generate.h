#pragma once

// Generator: runs a loaded model over a prompt and draws tokens from it, with
// caches that stay for the next call. All calls, and all other MLX work, must
// come from one thread: MLX's streams belong to the thread that made them.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "assay/arch/loaded_model.h"
#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/measurement.h"
#include "assay/core/progress.h"
#include "assay/generate/sampling.h"
#include "assay/nn/cache.h"
#include "assay/text/tokenizer.h"

namespace assay {

struct GenerateOptions {
  SamplingOptions sampling = {};
  /** Of the draw; absent: one is made up and told in Generation::seed. The
   * same seed on the same device gives the same tokens. */
  std::optional<uint64_t> seed = {};
  int max_tokens = 256;
  /** Generation ends before the first of these texts, which is left out. */
  std::vector<std::string> stop = {};
  /** Ids that end generation, beside the model's own. */
  std::vector<int32_t> stop_ids = {};
  /** Go on past the model's end-of-text ids. */
  bool ignore_eos = false;
  /** Leave special tokens out of the text. */
  bool skip_special = true;
  /** Also the k likeliest tokens of each step with their log-probabilities. */
  int top_logprobs = 0;
  /** Positions that run at once while the prompt is read. */
  int prefill_chunk = 512;
  /** Tokens that the draft model guesses before each check; see set_draft. */
  int num_draft_tokens = 4;
};

struct TokenLogprob {
  int32_t id = 0;
  std::string token;  ///< as the vocabulary spells it; empty without one
  float logprob = 0;  ///< natural logarithm
};

struct GeneratedToken {
  int32_t id = 0;
  /** Text that became certain with this token; may be empty (half a character,
   * the start of a stop text) or more than the token's own. */
  std::string text;
  /** After bias and penalties, before filters and temperature. */
  float logprob = 0;
  std::vector<TokenLogprob> top = {};  ///< likeliest first
  bool from_draft = false;             ///< guessed by the draft model
};

/** Called for each token as it is known. False ends generation. */
using OnToken = std::function<bool(const GeneratedToken&)>;

/** stop: an end-of-text id or a stop text. length: max_tokens or the model's
 * last position. cancelled: OnToken said so. */
enum class FinishReason { stop, length, cancelled };
std::string_view name(FinishReason reason);

struct GenerationStats {
  int prompt_tokens = 0;
  int reused_tokens = 0;  ///< of these, found in the caches
  int generated_tokens = 0;
  double prompt_seconds = 0;      ///< until the first token is known
  double generation_seconds = 0;  ///< from then to the last
  int drafted_tokens = 0, accepted_tokens = 0;
  /** Largest so far in this process: memory that MLX allocated (mapped weights
   * are not), and resident set; in bytes. */
  uint64_t peak_mlx_bytes = 0, peak_resident_bytes = 0;
  uint64_t cache_bytes = 0;

  /** Tokens that ran / seconds; 0 where nothing ran. */
  double prompt_rate() const;
  /** (generated - 1) / generation_seconds: the first token is the prompt's. */
  double generation_rate() const;
};

struct Generation {
  std::vector<int32_t> ids;  ///< the token that ended it included
  std::string text;
  std::vector<GeneratedToken> tokens;
  FinishReason finish = FinishReason::length;
  std::string stop_text;  ///< which of the stop texts came
  uint64_t seed = 0;
  GenerationStats stats;
  /** Warnings: context.untrained, context.exceeded... */
  std::vector<Finding> findings;
};

Json to_json(const Generation& generation);
/** Prompt and generation speed, time to first token, peak memory. */
std::vector<Measurement> measurements(const GenerationStats& stats);

/** A number (16 hexadecimal digits) that differs where config, tensors' names,
 * shapes, types or a sample of their data differ. Not a proof against forgery.
 * Reads 256 bytes of each tensor. */
std::string model_identity(const ModelFiles& model);

class Generator {
 public:
  /** `tokenizer` may be null: then there is no text, no stop texts, and
   * end-of-text ids come from options alone. Both must outlive this. Throws
   * Error generate.option if the model's heads do not take `cache`. */
  Generator(const arch::LoadedModel& model,
            const Tokenizer* tokenizer,
            const nn::CacheOptions& cache = {});
  ~Generator();
  Generator(Generator&&) noexcept;

  /** Continues `prompt` (ids, special tokens included; at least one). What the
   * caches hold of its beginning is not run again. Progress counts positions
   * of the prompt. Throws Error generate.option, context.exceeded,
   * inference.not-finite (damaged weights). */
  Generation generate(std::span<const int32_t> prompt,
                      const GenerateOptions& options = {},
                      const OnToken& on_token = {},
                      const Progress& progress = {});
  /** The same with text, which the tokenizer adds its special tokens to. */
  Generation generate(std::string_view prompt,
                      const GenerateOptions& options = {},
                      const OnToken& on_token = {},
                      const Progress& progress = {});

  /** From now on `draft` guesses and the model checks (Leviathan et al. 2023):
   * the same distribution, and at temperature 0 the same tokens, faster where
   * the guesses are good. Null: no more. Throws Error draft.vocabulary if the
   * two do not share their tokens, draft.cache if a cache may have dropped
   * positions that a refused guess needs back; generate() may throw the latter
   * for windows shorter than prompt and tokens. */
  void set_draft(const arch::LoadedModel* draft,
                 const Tokenizer* draft_tokenizer = nullptr);

  /** Forgets everything. */
  void reset();
  /** Ids whose keys and values the caches hold. */
  const std::vector<int32_t>& cached_ids() const;

  /** Runs `prompt` into the caches without drawing, to be saved. */
  void prefill(std::span<const int32_t> prompt,
               const GenerateOptions& options = {},
               const Progress& progress = {});
  /** Writes caches and their ids as safetensors, atomically: metadata names
   * format, model and cache options; "ids" [n] I32; "offsets" [layers] I32;
   * "layers.I.J" the J-th array of KVCache::state. Throws Error
   * prompt-cache.empty, file.unwritable. */
  void save_cache(const std::filesystem::path& path) const;
  /** Throws Error prompt-cache.mismatch (another model, other cache options),
   * prompt-cache.malformed, safetensors.*. */
  void load_cache(const std::filesystem::path& path);

  const arch::LoadedModel& model() const;
  const Tokenizer* tokenizer() const;
  const SpecialTokens& special() const;

  /** For the room's own files. */
  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace assay
