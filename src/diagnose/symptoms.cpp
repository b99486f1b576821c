// Words for symptoms, and which findings explain them.

#include <algorithm>
#include <array>
#include <cctype>

#include "assay/diagnose/troubleshoot.h"

namespace assay {
namespace {

using enum Symptom;
using enum Weight;

struct Word {
  std::string_view text;
  Symptom symptom;
  int strength;
};

// Stems; a longer phrase says more than a word in it.
constexpr auto kWords = std::to_array<Word>({
    {"oom", oom, 4},
    {"out of memory", oom, 5},
    {"memory", oom, 3},
    {"vram", oom, 3},
    {" ram", oom, 3},
    {"killed", oom, 3},
    {"allocat", oom, 3},
    {"too big", oom, 3},
    {"too large", oom, 3},
    {"does not fit", oom, 3},
    {"swap", slow, 2},
    {"slow", slow, 4},
    {"speed", slow, 3},
    {"performance", slow, 2},
    {"fast", slow, 2},
    {"latency", slow, 3},
    {"tokens per second", slow, 3},
    {"tok s", slow, 3},
    {"takes forever", slow, 4},
    {"hang", slow, 2},
    {"stuck", slow, 2},
    {"lag", slow, 2},
    {"wrong", wrong_output, 3},
    {"wrong output", wrong_output, 6},
    {"garbage", wrong_output, 5},
    {"garbled", wrong_output, 5},
    {"gibberish", wrong_output, 5},
    {"nonsense", wrong_output, 5},
    {"babble", wrong_output, 5},
    {"repeat", wrong_output, 4},
    {"repetit", wrong_output, 4},
    {"loop", wrong_output, 3},
    {"ramble", wrong_output, 4},
    {"rambling", wrong_output, 4},
    {"hallucin", wrong_output, 3},
    {"quality", wrong_output, 3},
    {"bad output", wrong_output, 5},
    {"bad answer", wrong_output, 5},
    {"output", wrong_output, 2},
    {"answer", wrong_output, 2},
    {"never stops", wrong_output, 5},
    {"not stop", wrong_output, 4},
    {"empty", wrong_output, 3},
    {"noise", wrong_output, 3},
    {"black image", wrong_output, 5},
    {"nan", wrong_output, 3},
    {"load", wont_load, 4},
    {"open", wont_load, 3},
    {"start", wont_load, 2},
    {"crash", wont_load, 3},
    {"segfault", wont_load, 3},
    {"segmentation", wont_load, 3},
    {"exception", wont_load, 3},
    {"traceback", wont_load, 3},
    {"error", wont_load, 2},
    {"fail", wont_load, 2},
    {"refuse", wont_load, 2},
    {"corrupt", wont_load, 3},
    {"missing", wont_load, 2},
    {"mismatch", wont_load, 3},
    {"shape", wont_load, 2},
});

// Lower-case letters and digits, one space between words, one before all.
std::string plain(std::string_view text) {
  std::string out = " ";
  for (unsigned char c : text) {
    if (c == '\'') {
      continue;  // won't
    }
    char letter =
        std::isalnum(c) != 0 ? static_cast<char>(std::tolower(c)) : ' ';
    if (letter != ' ' || out.back() != ' ') {
      out += letter;
    }
  }
  return out;
}

/** The first that an id begins with counts. */
struct Rule {
  Symptom symptom;
  std::string_view prefix;
  Weight weight;
};

constexpr auto kRules = std::to_array<Rule>({
    {wont_load, "template.", may_add},
    {wont_load, "special-token.", may_add},
    {wont_load, "generation.", may_add},
    {wont_load, "rope.", may_add},
    {wont_load, "dtype.", may_add},
    {wont_load, "output.", may_add},
    {wont_load, "inference.no-sense", may_add},
    {wont_load, "inference.decode", may_add},
    {wont_load, "tensor.unexpected", likely},
    {wont_load, "tensor.", explains},
    {wont_load, "tokenizer.vocab-padding", none},
    {wont_load, "tokenizer.context", none},
    {wont_load, "tokenizer.missing", likely},
    {wont_load, "index.stray-file", may_add},
    {wont_load, "fit.does-not-fit", explains},
    {wont_load, "fit.not-now", likely},
    {wont_load, "doctor.", none},
    {wont_load, "", explains},

    {oom, "fit.does-not-fit", explains},
    {oom, "fit.not-now", explains},
    {oom, "memory.context", explains},
    {oom, "memory.", likely},
    {oom, "doctor.memory-pressure", likely},
    {oom, "doctor.", none},
    {oom, "quantization.", likely},
    {oom, "dtype.", may_add},
    {oom, "", may_add},

    {slow, "fit.does-not-fit", explains},
    {slow, "fit.not-now", explains},
    {slow, "doctor.reference-blas", explains},
    {slow, "doctor.gpu-unused", explains},
    {slow, "doctor.few-threads", explains},
    {slow, "doctor.", likely},
    {slow, "memory.context", may_add},
    {slow, "memory.", likely},
    {slow, "speed.", likely},
    {slow, "dtype.bf16", may_add},
    {slow, "", may_add},

    {wrong_output, "doctor.", none},
    {wrong_output, "fit.", none},
    {wrong_output, "index.stray-file", likely},
    {wrong_output, "index.", likely},
    {wrong_output, "tokenizer.vocab-padding", none},
    {wrong_output, "tokenizer.context", may_add},
    {wrong_output, "tokenizer.missing", may_add},
    {wrong_output, "tensor.outliers", none},
    {wrong_output, "dtype.", may_add},
    {wrong_output, "context.", likely},
    {wrong_output, "generation.", likely},
    {wrong_output, "against.", explains},
    // What is seen, not why.
    {wrong_output, "output.logits-differ", likely},
    {wrong_output, "", explains},
});

}  // namespace

std::string_view name(Symptom symptom) {
  switch (symptom) {
    case wont_load:
      return "won't load";
    case oom:
      return "oom";
    case slow:
      return "slow";
    case wrong_output:
      return "wrong-output";
  }
  return "";
}

std::string_view name(Weight weight) {
  switch (weight) {
    case none:
      return "nothing";
    case may_add:
      return "may add";
    case likely:
      return "likely";
    case explains:
      return "explains it";
  }
  return "";
}

std::optional<Symptom> symptom_of(std::string_view text) {
  auto words = plain(text);
  std::array<int, 4> scores{};
  for (const auto& word : kWords) {
    auto at = words.find(word.text);
    // A stem begins a word.
    if (at != std::string::npos &&
        (word.text.front() == ' ' || words[at - 1] == ' ')) {
      scores.at(static_cast<size_t>(word.symptom)) += word.strength;
    }
  }
  auto most = std::ranges::max_element(scores);
  if (*most == 0) {
    return std::nullopt;
  }
  return static_cast<Symptom>(most - scores.begin());
}

Weight weight_of(Symptom symptom, const Finding& finding) {
  auto rule = std::ranges::find_if(kRules, [&](const Rule& one) {
    return one.symptom == symptom && finding.id.starts_with(one.prefix);
  });
  auto weight = rule == kRules.end() ? may_add : rule->weight;
  if (finding.severity == Severity::note) {
    return std::min(weight, may_add);
  }
  // A warning explains what it was written for, and is else a hint.
  bool own = rule != kRules.end() && !rule->prefix.empty() &&
             rule->prefix != "tensor.";
  return finding.severity == Severity::warning && !own
             ? std::min(weight, likely)
             : weight;
}

}  // namespace assay
