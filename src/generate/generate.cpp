#include "assay/generate/generate.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>

#include <fmt/format.h>
#include <mlx/memory.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <nlohmann/json.hpp>

#include "assay/core/platform.h"
#include "assay/generate/state.h"

namespace assay {
namespace mx = mlx::core;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void require(bool holds,
             std::string where,
             std::string expected,
             std::string actual) {
  if (!holds) {
    fail("generate.option",
         std::move(where),
         std::move(expected),
         std::move(actual));
  }
}

int vocabulary(const arch::LoadedModel& model) {
  for (const auto& spec : model.tree.parameters) {
    if (spec.role() == nn::Role::embedding) {
      return static_cast<int>(spec.shape().front());
    }
  }
  return 0;
}

void check_cache_options(const nn::LanguageModel& model,
                         const nn::CacheOptions& cache) {
  require(cache.max_size == 0 || cache.max_size > cache.keep,
          "max_kv_size",
          fmt::format("0, or more than the {} that stay", cache.keep),
          fmt::format("{}", cache.max_size));
  require(cache.keep >= 0,
          "max_kv_size: keep",
          "0 or more",
          fmt::format("{}", cache.keep));
  if (cache.bits == 0 || cache.bits == 16) {
    return;
  }
  constexpr std::array kBits = {2, 3, 4, 5, 6, 8};
  constexpr std::array kGroups = {32, 64, 128};
  require(std::ranges::find(kBits, cache.bits) != kBits.end(),
          "kv_bits",
          "2, 3, 4, 5, 6, 8 or 16",
          fmt::format("{}", cache.bits));
  require(std::ranges::find(kGroups, cache.group_size) != kGroups.end(),
          "kv_group_size",
          "32, 64 or 128",
          fmt::format("{}", cache.group_size));
  for (const auto& shape : model.cache_shapes()) {
    for (int width : {shape.key_dim, shape.value_dim}) {
      require(width % cache.group_size == 0,
              "kv_group_size",
              fmt::format("a divisor of the head's width {}", width),
              fmt::format("{}", cache.group_size));
    }
  }
}

void check_ids(std::span<const int32_t> ids, int vocab) {
  require(!ids.empty(), "prompt", "at least one token", "none");
  auto wrong = std::ranges::find_if(
      ids, [&](int32_t id) { return id < 0 || id >= vocab; });
  require(wrong == ids.end(),
          "prompt",
          fmt::format("ids below {}", vocab),
          wrong == ids.end() ? "" : fmt::format("{}", *wrong));
}

void check_options(const GenerateOptions& options, bool has_tokenizer) {
  auto at_least = [](const char* where, int least, int actual) {
    require(actual >= least,
            where,
            fmt::format("{} or more", least),
            fmt::format("{}", actual));
  };
  at_least("max_tokens", 1, options.max_tokens);
  at_least("top_logprobs", 0, options.top_logprobs);
  at_least("prefill_chunk", 1, options.prefill_chunk);
  at_least("num_draft_tokens", 1, options.num_draft_tokens);
  require(options.stop.empty() || has_tokenizer,
          "stop",
          "a tokenizer to match texts",
          "none");
}

// Speculation takes positions back, which windows can't once they are full.
void check_can_trim(const Runner& runner, size_t positions) {
  for (const auto& shape : runner.model().cache_shapes()) {
    int limit = shape.window > 0 ? shape.window : runner.options().max_size;
    if (limit > 0 && positions > static_cast<size_t>(limit)) {
      fail("draft.cache",
           "prompt and tokens",
           fmt::format("at most the {} positions that the caches keep", limit),
           fmt::format("{}", positions));
    }
  }
}

// The context that the model was trained for; 0 if its config does not say.
int64_t trained_context(const Json& config) {
  for (const char* field : {"max_position_embeddings", "n_positions"}) {
    auto found = config.find(field);
    if (found != config.end() && found->is_number_integer()) {
      return found->get<int64_t>();
    }
  }
  return 0;
}

void warn_of_context(const arch::LoadedModel& model,
                     size_t positions,
                     std::vector<Finding>& findings) {
  int64_t trained = trained_context(model.tree.config);
  if (trained > 0 && positions > static_cast<size_t>(trained)) {
    findings.push_back(make_finding("context.untrained",
                                    model.files->path.string(),
                                    fmt::format("at most {}", trained),
                                    fmt::format("{}", positions)));
  }
}

uint64_t random_seed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

Generator::Generator(const arch::LoadedModel& model,
                     const Tokenizer* tokenizer,
                     const nn::CacheOptions& cache) {
  check_cache_options(model.model(), cache);
  state_ = std::make_unique<State>(State{.model = model,
                                         .tokenizer = tokenizer,
                                         .special = {},
                                         .vocab = vocabulary(model),
                                         .runner = Runner(model.model(), cache),
                                         .draft = std::nullopt});
  if (tokenizer != nullptr) {
    state_->special = special_tokens(*model.files, *tokenizer);
  }
}

Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;

const arch::LoadedModel& Generator::model() const {
  return state_->model;
}

const Tokenizer* Generator::tokenizer() const {
  return state_->tokenizer;
}

const SpecialTokens& Generator::special() const {
  return state_->special;
}

const std::vector<int32_t>& Generator::cached_ids() const {
  return state_->runner.ids();
}

void Generator::reset() {
  state_->runner.reset();
  if (state_->draft) {
    state_->draft->reset();
  }
}

void Generator::set_draft(const arch::LoadedModel* draft,
                          const Tokenizer* draft_tokenizer) {
  state_->draft.reset();
  if (draft == nullptr) {
    return;
  }
  const auto* own = state_->tokenizer;
  auto refuse = [&](std::string expected, std::string actual) {
    fail("draft.vocabulary",
         draft->files->path.string(),
         std::move(expected),
         std::move(actual));
  };
  if (own == nullptr || draft_tokenizer == nullptr) {
    // Nothing but the size tells whether ids mean the same.
    int vocab = vocabulary(*draft);
    if (vocab != state_->vocab) {
      refuse(fmt::format("{} tokens", state_->vocab), fmt::format("{}", vocab));
    }
  } else {
    size_t size = own->vocab_size();
    if (draft_tokenizer->vocab_size() != size) {
      refuse(fmt::format("{} tokens", size),
             fmt::format("{}", draft_tokenizer->vocab_size()));
    }
    for (size_t i = 0; i < size; ++i) {
      auto id = static_cast<int32_t>(i);
      auto token = own->id_to_token(id);
      auto other = draft_tokenizer->id_to_token(id);
      if (token != other) {
        refuse(fmt::format("token {} is '{}'", id, token.value_or("")),
               fmt::format("'{}'", other.value_or("")));
      }
    }
  }
  check_cache_options(draft->model(), state_->runner.options());
  state_->draft.emplace(draft->model(), state_->runner.options());
}

void Generator::prefill(std::span<const int32_t> prompt,
                        const GenerateOptions& options,
                        const Progress& progress) {
  auto& runner = state_->runner;
  check_options(options, state_->tokenizer != nullptr);
  check_ids(prompt, state_->vocab);
  try {
    size_t reused = runner.reuse(prompt, prompt.size());
    runner.feed(
        prompt.subspan(reused), options.prefill_chunk, progress, prompt.size());
  } catch (...) {
    reset();
    throw;
  }
}

Generation Generator::generate(std::string_view prompt,
                               const GenerateOptions& options,
                               const OnToken& on_token,
                               const Progress& progress) {
  require(state_->tokenizer != nullptr,
          "prompt",
          "ids where there is no tokenizer",
          "text");
  auto ids = state_->tokenizer->encode(prompt);
  return generate(ids, options, on_token, progress);
}

namespace {

// One call of generate(): what its steps share.
struct Run {
  Generator::State& state;
  const GenerateOptions& options;
  Keys keys;
  Emitter emitter;
  Generation& result;
  std::vector<int32_t> history;  ///< prompt and tokens, as far as known

  // `last`: the newest token where the history lacks it yet.
  mx::array recent(const std::optional<mx::array>& last) const {
    const auto& sampling = options.sampling;
    auto known = recent_ids(
        history, sampling.has_penalties() ? sampling.penalty_context : 0);
    if (!last || !sampling.has_penalties()) {
      return known;
    }
    return mx::concatenate({known, mx::reshape(*last, {1})}, 0);
  }

  Drawn draw_from(const mx::array& logits,
                  const std::optional<mx::array>& last = {}) {
    bool greedy = options.sampling.temperature == 0;
    auto key = greedy ? mx::array(0) : keys.next();
    return draw_token(options, mx::reshape(logits, {-1}), recent(last), key);
  }

  Drawn first_token(std::span<const int32_t> prompt, const Progress& progress);
  std::optional<Drawn> next(const Drawn& current);
  void decode(Drawn current);
};

// Reads the prompt; only its last position goes through the head.
Drawn Run::first_token(std::span<const int32_t> prompt,
                       const Progress& progress) {
  auto& runner = state.runner;
  size_t reused = runner.reuse(prompt, prompt.size() - 1);
  result.stats.reused_tokens = static_cast<int>(reused);
  auto rest = prompt.subspan(reused);
  size_t chunk = static_cast<size_t>(options.prefill_chunk);
  size_t last = (rest.size() - 1) % chunk + 1;
  runner.feed(rest.first(rest.size() - last),
              options.prefill_chunk,
              progress,
              prompt.size());
  auto drawn = draw_from(runner.step(rest.last(last), 1));
  mx::eval(drawn.arrays());
  if (progress) {
    progress({"prompt", prompt.size(), prompt.size()});
  }
  return drawn;
}

// Queues the step after `current`; nothing where the model's positions end.
std::optional<Drawn> Run::next(const Drawn& current) {
  try {
    auto logits = state.runner.step(current.token);
    return draw_from(logits, current.token);
  } catch (const Error& error) {
    if (error.finding().id != "context.exceeded") {
      throw;
    }
    auto finding = error.finding();
    finding.severity = Severity::warning;
    result.findings.push_back(std::move(finding));
    return std::nullopt;
  }
}

// The step after a token is queued before the token is known, so that the
// device does not wait for us. A step too much at an end-of-text id stays in
// the caches, and is of use to the next turn of a chat.
void Run::decode(Drawn current) {
  while (true) {
    std::optional<Drawn> ahead;
    if (emitter.left() > 1) {
      ahead = next(current);
    }
    if (ahead) {
      mx::async_eval(ahead->arrays());
    }
    emitter.add(current);
    history.push_back(result.ids.back());
    if (ahead) {
      state.runner.note(history.back());
    }
    if (emitter.ended() || !ahead) {
      return;
    }
    current = std::move(*ahead);
  }
}

}  // namespace

Generation Generator::generate(std::span<const int32_t> prompt,
                               const GenerateOptions& options,
                               const OnToken& on_token,
                               const Progress& progress) {
  auto& state = *state_;
  check_options(options, state.tokenizer != nullptr);
  check(options.sampling, state.vocab);
  check_ids(prompt, state.vocab);
  if (state.draft) {
    size_t positions = prompt.size() + static_cast<size_t>(options.max_tokens);
    check_can_trim(state.runner, positions);
    check_can_trim(*state.draft, positions);
  }
  Generation result;
  result.seed = options.seed ? *options.seed : random_seed();
  auto& stats = result.stats;
  stats.prompt_tokens = static_cast<int>(prompt.size());
  auto start = Clock::now();
  try {
    Run run{
        state,
        options,
        Keys(result.seed),
        Emitter(state.tokenizer, state.special.eos, options, on_token, result),
        result,
        {prompt.begin(), prompt.end()}};
    auto first = run.first_token(prompt, progress);
    if (state.draft) {
      size_t reused = state.draft->reuse(prompt, prompt.size());
      state.draft->feed(prompt.subspan(reused), options.prefill_chunk);
    }
    stats.prompt_seconds = seconds_since(start);
    start = Clock::now();
    if (state.draft) {
      run.emitter.add(first);
      run.history.push_back(result.ids.back());
      speculate(state.runner,
                *state.draft,
                options,
                run.keys,
                state.vocab,
                run.history,
                run.emitter,
                stats);
    } else {
      run.decode(std::move(first));
    }
  } catch (...) {
    reset();
    throw;
  }
  stats.generation_seconds = seconds_since(start);
  stats.generated_tokens = static_cast<int>(result.ids.size());
  stats.peak_mlx_bytes = mx::get_peak_memory();
  stats.peak_resident_bytes = peak_resident_bytes();
  stats.cache_bytes = state.runner.cache_bytes();
  warn_of_context(
      state.model, prompt.size() + result.ids.size(), result.findings);
  return result;
}

}  // namespace assay
