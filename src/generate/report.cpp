#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/generate/generate.h"

namespace assay {

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "";
}

double GenerationStats::prompt_rate() const {
  return prompt_seconds > 0 ? (prompt_tokens - reused_tokens) / prompt_seconds
                            : 0;
}

double GenerationStats::generation_rate() const {
  return generation_seconds > 0 && generated_tokens > 1
             ? (generated_tokens - 1) / generation_seconds
             : 0;
}

namespace {

Json to_json(const GenerationStats& stats) {
  return {{"prompt_tokens", stats.prompt_tokens},
          {"reused_tokens", stats.reused_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"prompt_seconds", stats.prompt_seconds},
          {"generation_seconds", stats.generation_seconds},
          {"prompt_tokens_per_second", stats.prompt_rate()},
          {"generation_tokens_per_second", stats.generation_rate()},
          {"drafted_tokens", stats.drafted_tokens},
          {"accepted_tokens", stats.accepted_tokens},
          {"peak_mlx_bytes", stats.peak_mlx_bytes},
          {"peak_resident_bytes", stats.peak_resident_bytes},
          {"cache_bytes", stats.cache_bytes}};
}

Json to_json(const GeneratedToken& token) {
  Json json = {{"id", token.id},
               {"text", token.text},
               {"logprob", token.logprob},
               {"from_draft", token.from_draft}};
  if (!token.top.empty()) {
    auto top = Json::array();
    for (const auto& each : token.top) {
      top.push_back(
          {{"id", each.id}, {"token", each.token}, {"logprob", each.logprob}});
    }
    json["top"] = std::move(top);
  }
  return json;
}

}  // namespace

Json to_json(const Generation& generation) {
  auto tokens = Json::array();
  for (const auto& token : generation.tokens) {
    tokens.push_back(to_json(token));
  }
  return {{"text", generation.text},
          {"finish", name(generation.finish)},
          {"stop_text", generation.stop_text},
          {"seed", generation.seed},
          {"tokens", std::move(tokens)},
          {"stats", to_json(generation.stats)},
          {"findings", to_json(generation.findings)}};
}

std::vector<Measurement> measurements(const GenerationStats& stats) {
  auto prompt = fmt::format("{}", stats.prompt_tokens);
  auto tokens = fmt::format("{}", stats.generated_tokens);
  std::vector<std::pair<std::string, std::string>> conditions = {
      {"prompt tokens", prompt}, {"generated tokens", tokens}};
  auto figure = [&](const char* what, double value, const char* unit) {
    return Measurement{what, value, unit, 0, conditions};
  };
  return {figure("prompt", stats.prompt_rate(), "tokens/s"),
          figure("decode", stats.generation_rate(), "tokens/s"),
          figure("time to first token", stats.prompt_seconds, "s"),
          figure("peak resident memory",
                 static_cast<double>(stats.peak_resident_bytes),
                 "bytes"),
          figure("peak memory of MLX",
                 static_cast<double>(stats.peak_mlx_bytes),
                 "bytes"),
          figure("KV cache", static_cast<double>(stats.cache_bytes), "bytes")};
}

}  // namespace assay
