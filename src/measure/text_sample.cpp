#include "assay/measure/text_sample.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

constexpr size_t kRandomIds = 1024;

void check_ids(const std::vector<int32_t>& ids, int64_t vocab) {
  auto beyond = std::ranges::find_if(
      ids, [vocab](int32_t id) { return id < 0 || id >= vocab; });
  if (beyond != ids.end()) {
    fail("measure.token-id",
         fmt::format("token {}", beyond - ids.begin()),
         fmt::format("an id below {}, the rows of the embedding", vocab),
         fmt::format("{}", *beyond));
  }
}

bool has_tokenizer(const ModelFiles& files) {
  bool in_gguf =
      files.gguf && files.gguf->find("tokenizer.ggml.tokens") != nullptr;
  return in_gguf || !files.tokenizer_json.empty();
}

TokenSample choose(const ModelFiles& files,
                   int64_t vocab,
                   const SampleOptions& options) {
  if (!options.ids.empty()) {
    return {options.ids, "", "ids"};
  }
  if (!options.text && !has_tokenizer(files)) {
    auto count = options.max_tokens == 0 ? kRandomIds : options.max_tokens;
    return {random_ids(count, vocab), "", "pseudo-random ids"};
  }
  auto text = options.text.value_or(std::string(evaluation_text()));
  return {load_tokenizer(files).encode(text),
          text,
          options.text ? "text" : "built-in text"};
}

}  // namespace

int64_t vocabulary_size(const arch::Tree& tree) {
  auto embedding = std::ranges::find(
      tree.parameters, nn::Role::embedding, &nn::ParameterSpec::role);
  return embedding == tree.parameters.end() ? 0 : embedding->shape().front();
}

std::vector<int32_t> random_ids(size_t count, int64_t vocab, uint64_t seed) {
  std::vector<int32_t> ids(count);
  // SplitMix64 (Steele, Lea and Flood 2014).
  uint64_t state = seed;
  for (auto& id : ids) {
    state += 0x9e3779b97f4a7c15u;
    auto z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    id = static_cast<int32_t>(
        z % static_cast<uint64_t>(std::max<int64_t>(1, vocab)));
  }
  return ids;
}

TokenSample sample_tokens(const ModelFiles& files,
                          const arch::Tree& tree,
                          const SampleOptions& options) {
  auto vocab = vocabulary_size(tree);
  auto sample = choose(files, vocab, options);
  check_ids(sample.ids, vocab);
  if (options.max_tokens != 0 && sample.ids.size() > options.max_tokens) {
    sample.ids.resize(options.max_tokens);
  }
  if (sample.ids.size() < 2) {
    fail("measure.too-short",
         "text",
         "at least 2 tokens, as each is predicted from those before",
         fmt::format("{}", sample.ids.size()));
  }
  return sample;
}

TokenSample sample_tokens(const arch::LoadedModel& model,
                          const SampleOptions& options) {
  return sample_tokens(*model.files, model.tree, options);
}

}  // namespace assay
