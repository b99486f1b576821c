#include "assay/diagnose/trial.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/arch/loaded_model.h"
#include "assay/formats/quote.h"
#include "assay/generate/chat.h"
#include "assay/generate/generate.h"
#include "assay/measure/compare.h"
#include "assay/measure/text_sample.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

constexpr int kTokens = 64;
constexpr size_t kLongestPeriod = 12;
constexpr size_t kRepeats = 4;         // times that a period comes in a row
constexpr size_t kFewest = 16;         // repeating tokens
constexpr double kFlat = 0.6;          // of the surprise of a uniform guess
constexpr double kOtherWeights = 0.3;  // relative: more than 3 bits do
constexpr double kOtherLogits = 0.5;   // nats a position
constexpr std::string_view kQuestion =
    "Name three colours of the rainbow in one sentence.";
constexpr std::string_view kBeginning =
    "The sun rises in the east and sets in the";

double mean(std::span<const float> values) {
  double sum = 0;
  for (auto value : values) {
    sum += value;
  }
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

Generation answer_of(Generator& generator, bool chats) {
  GenerateOptions options;
  options.max_tokens = kTokens;
  options.skip_special = false;
  if (chats) {
    return ChatSession(generator).send(kQuestion, options);
  }
  return generator.generate(kBeginning, options);
}

std::vector<std::string> unheeded(const Generator& generator,
                                  std::span<const int32_t> ids) {
  std::set<std::string> found;
  const auto& ends = generator.special().eos;
  for (const auto& token : generator.tokenizer()->added_tokens()) {
    bool ends_text = std::ranges::find(ends, token.id) != ends.end();
    if (token.special && !ends_text &&
        std::ranges::find(ids, token.id) != ids.end()) {
      found.insert(token.content);
    }
  }
  return {found.begin(), found.end()};
}

Answer to_answer(const Generator& generator, const Generation& generation) {
  Answer answer;
  answer.text = generation.text;
  const auto& ends = generator.special().eos;
  for (const auto& token : generation.tokens) {
    if (std::ranges::find(ends, token.id) == ends.end()) {
      answer.ids.push_back(token.id);
      answer.logprobs.push_back(token.logprob);
    }
  }
  answer.marks = unheeded(generator, answer.ids);
  auto rows = vocabulary_size(generator.model().tree);
  answer.chance = std::log(static_cast<double>(std::max<int64_t>(2, rows)));
  return answer;
}

}  // namespace

size_t repeating_period(std::span<const int32_t> ids) {
  for (size_t period = 1; period <= kLongestPeriod; ++period) {
    auto needed = std::max(kRepeats * period, kFewest);
    if (ids.size() < needed) {
      continue;
    }
    auto tail = ids.last(needed);
    bool same = true;
    for (size_t i = period; same && i < tail.size(); ++i) {
      same = tail[i] == tail[i - period];
    }
    if (same) {
      return period;
    }
  }
  return 0;
}

std::vector<Finding> judge(const Answer& answer, const std::string& where) {
  std::vector<Finding> findings;
  if (answer.ids.empty()) {
    findings.push_back(make_finding(
        "output.empty", where, "an answer", "the end of text at once"));
    return findings;
  }
  if (auto period = repeating_period(answer.ids)) {
    findings.push_back(make_finding(
        "output.repeats",
        where,
        "a text that goes on",
        fmt::format("{} token{} again and again: {}",
                    period,
                    period == 1 ? "" : "s",
                    quote(answer.text.substr(
                        answer.text.size() -
                        std::min<size_t>(60, answer.text.size()))))));
  }
  auto surprise = -mean(answer.logprobs);
  if (answer.ids.size() >= kFewest && surprise > kFlat * answer.chance) {
    findings.push_back(make_finding(
        "output.flat",
        where,
        fmt::format("choices far from chance, which is {:.2f} nats a token",
                    answer.chance),
        fmt::format("{:.2f} nats for its own likeliest tokens", surprise)));
  }
  if (!answer.marks.empty()) {
    findings.push_back(
        make_finding("output.end-unheeded",
                     where,
                     "special tokens that end a generation, or none",
                     quote(fmt::format("{}", fmt::join(answer.marks, " ")))));
  }
  return findings;
}

TrialResult run_trial(const std::filesystem::path& model) {
  auto loaded = arch::load_model(model);
  auto tokenizer = load_tokenizer(*loaded.files);
  auto generator = Generator(loaded, &tokenizer);
  bool chats = !loaded.files->chat_template.empty();
  auto generation = answer_of(generator, chats);
  auto answer = to_answer(generator, generation);
  TrialResult result;
  result.findings = judge(answer, model.string());
  std::ranges::copy(generation.findings, std::back_inserter(result.findings));
  result.detail = fmt::format(
      "{} tokens: {}", answer.ids.size(), quote(answer.text.substr(0, 60)));
  return result;
}

TrialResult compare_trial(const std::filesystem::path& model,
                          const std::filesystem::path& good,
                          const Progress& progress) {
  CompareOptions options;
  options.sample.max_tokens = kTokens;
  auto report = compare(good, model, options, progress);
  TrialResult result;
  result.findings = report.findings;
  auto worst = std::ranges::max_element(
      report.weights, {}, &WeightDifference::rms_relative);
  if (worst != report.weights.end() && worst->rms_relative > kOtherWeights) {
    auto others = std::ranges::count_if(report.weights, [](const auto& one) {
      return one.rms_relative > kOtherWeights;
    });
    result.findings.push_back(
        make_finding("output.weights-differ",
                     worst->name,
                     fmt::format("the values of {}", good.string()),
                     fmt::format("{:.0f}% off, and {} of {} tensors by more "
                                 "than {:.0f}%",
                                 100 * worst->rms_relative,
                                 others,
                                 report.weights.size(),
                                 100 * kOtherWeights)));
  }
  if (report.logits) {
    const auto& found = report.logits->divergence;
    result.detail =
        fmt::format("{} of {} tensors equal, {:.4f} nats a position apart",
                    report.equal_weights,
                    report.weights.size(),
                    found.kl_mean);
    if (!(found.kl_mean <= kOtherLogits)) {
      result.findings.push_back(make_finding(
          "output.logits-differ",
          model.string(),
          fmt::format("predictions within {} nats of the good model's",
                      kOtherLogits),
          fmt::format("{:.2f} nats a position, the same likeliest token in "
                      "{:.0f}%",
                      found.kl_mean,
                      100 * found.top1_agreement)));
    }
  }
  return result;
}

}  // namespace assay
