#include "assay/cli/generation_options.h"

#include <future>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::cli {

std::vector<Option> generation_options() {
  using enum OptionKind;
  return {{.name = "--max-tokens",
           .kind = integer,
           .value = "N",
           .help = "most tokens to generate",
           .fallback = "256",
           .short_name = "-m"},
          {.name = "--temp",
           .kind = number,
           .value = "T",
           .help = "temperature; 0: always the likeliest token",
           .fallback = "0"},
          {.name = "--top-p",
           .kind = number,
           .value = "P",
           .help = "the likeliest tokens that together have probability P",
           .fallback = "1"},
          {.name = "--top-k",
           .kind = integer,
           .value = "K",
           .help = "the K likeliest tokens; 0: all",
           .fallback = "0"},
          {.name = "--min-p",
           .kind = number,
           .value = "P",
           .help = "tokens at least P times as likely as the likeliest",
           .fallback = "0"},
          {.name = "--repetition-penalty",
           .kind = number,
           .value = "X",
           .help = "makes tokens of the context less likely; 1: off",
           .fallback = "1"},
          {.name = "--presence-penalty",
           .kind = number,
           .value = "X",
           .help = "subtracted once from tokens of the context",
           .fallback = "0"},
          {.name = "--frequency-penalty",
           .kind = number,
           .value = "X",
           .help = "subtracted for each time that a token came",
           .fallback = "0"},
          {.name = "--penalty-context",
           .kind = integer,
           .value = "N",
           .help = "tokens that penalties look back",
           .fallback = "20"},
          {.name = "--seed",
           .kind = integer,
           .value = "N",
           .help = "of the draw; without it one is made up and told"},
          {.name = "--stop",
           .kind = text,
           .value = "TEXT",
           .help = "end before this text; may be repeated",
           .many = true},
          {.name = "--ignore-eos", .help = "go on past end-of-text tokens"},
          {.name = "--max-kv-size",
           .kind = integer,
           .value = "N",
           .help = "positions remembered (rotating); 0: all",
           .fallback = "0"},
          {.name = "--kv-bits",
           .kind = integer,
           .value = "B",
           .help = "bits of the KV cache; 0: as computed, 16: float16",
           .fallback = "0",
           .choices = "0 2 3 4 5 6 8 16"},
          {.name = "--kv-group-size",
           .kind = integer,
           .value = "N",
           .help = "with --kv-bits",
           .fallback = "64",
           .choices = "32 64 128"},
          {.name = "--prefill-step-size",
           .kind = integer,
           .value = "N",
           .help = "positions of the prompt that run at once",
           .fallback = "512"},
          {.name = "--draft-model",
           .kind = path,
           .value = "MODEL",
           .help = "a smaller model that guesses ahead (speculative decoding)"},
          {.name = "--num-draft-tokens",
           .kind = integer,
           .value = "N",
           .help = "guesses before each check",
           .fallback = "4"},
          {.name = "--chat-template",
           .kind = path,
           .value = "FILE",
           .help = "a template instead of the model's own"},
          {.name = "--template-args",
           .kind = text,
           .value = "JSON",
           .help = "variables of the template, "
                   "{\"enable_thinking\": false}"}};
}

GenerateOptions generate_options(const Arguments& arguments) {
  auto real = [&arguments](std::string_view name) {
    return static_cast<float>(arguments.number(name));
  };
  GenerateOptions options;
  options.max_tokens = arguments.dimension("--max-tokens");
  options.sampling.temperature = real("--temp");
  options.sampling.top_p = real("--top-p");
  options.sampling.top_k = arguments.dimension("--top-k");
  options.sampling.min_p = real("--min-p");
  options.sampling.repetition_penalty = real("--repetition-penalty");
  options.sampling.presence_penalty = real("--presence-penalty");
  options.sampling.frequency_penalty = real("--frequency-penalty");
  options.sampling.penalty_context = arguments.dimension("--penalty-context");
  if (auto seed = arguments.maybe_integer("--seed")) {
    options.seed = static_cast<uint64_t>(*seed);
  }
  options.stop = arguments.all("--stop");
  options.ignore_eos = arguments.flag("--ignore-eos");
  options.prefill_chunk = arguments.dimension("--prefill-step-size");
  options.num_draft_tokens = arguments.dimension("--num-draft-tokens");
  return options;
}

nn::CacheOptions cache_options(const Arguments& arguments) {
  nn::CacheOptions cache;
  cache.max_size = arguments.dimension("--max-kv-size");
  cache.bits = arguments.dimension("--kv-bits");
  cache.group_size = arguments.dimension("--kv-group-size");
  return cache;
}

namespace {

// The tokenizer takes about as long as the weights of a small model, and one
// thread of its own.
Tokenizer load_with_tokenizer(arch::LoadedModel& model,
                              const std::filesystem::path& path) {
  model = arch::open_for_loading(path);
  auto tokenizer = std::async(std::launch::async, [&files = *model.files] {
    return load_tokenizer(files);
  });
  arch::load_weights(model);
  return tokenizer.get();
}

}  // namespace

std::unique_ptr<Session> start_session(const Arguments& arguments) {
  auto session = std::make_unique<Session>();
  session->tokenizer =
      load_with_tokenizer(session->model, arguments.path("MODEL"));
  session->generator.emplace(
      session->model, &*session->tokenizer, cache_options(arguments));
  if (auto draft = arguments.maybe_text("--draft-model")) {
    session->draft_tokenizer =
        load_with_tokenizer(session->draft.emplace(), *draft);
    session->generator->set_draft(&*session->draft, &*session->draft_tokenizer);
  }
  return session;
}

Json template_variables(const Arguments& arguments) {
  auto text = arguments.maybe_text("--template-args");
  return text ? parse_json(*text, "--template-args") : Json();
}

std::string describe(const GenerationStats& stats) {
  auto text = fmt::format(
      "{} prompt tokens in {:.2f} s ({:.1f} tokens/s), {} generated in {:.2f} "
      "s ({:.1f} tokens/s), peak {}",
      stats.prompt_tokens,
      stats.prompt_seconds,
      stats.prompt_rate(),
      stats.generated_tokens,
      stats.generation_seconds,
      stats.generation_rate(),
      bytes_text(stats.peak_resident_bytes));
  if (stats.drafted_tokens > 0) {
    text += fmt::format(", {} of {} drafted tokens accepted",
                        stats.accepted_tokens,
                        stats.drafted_tokens);
  }
  return text;
}

}  // namespace assay::cli
