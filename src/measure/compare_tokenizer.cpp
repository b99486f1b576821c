#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/measure/compare_parts.h"
#include "assay/text/tokenizer.h"

namespace assay::comparison {
namespace {

constexpr size_t kExamples = 5;

std::optional<Tokenizer> load(const ModelFiles& files,
                              std::vector<Finding>& findings) {
  try {
    return load_tokenizer(files);
  } catch (const Error& error) {
    if (error.finding().id != "tokenizer.missing") {
      findings.push_back(error.finding());
    }
    return std::nullopt;
  }
}

std::string quoted(const std::optional<std::string>& token) {
  return token
             ? Json(*token).dump(-1, ' ', false, Json::error_handler_t::replace)
             : "none";
}

void compare_tokens(const Tokenizer& a,
                    const Tokenizer& b,
                    TokenizerComparison& result) {
  auto count = std::max(a.vocab_size(), b.vocab_size());
  for (size_t i = 0; i < count; ++i) {
    auto id = static_cast<int32_t>(i);
    auto x = a.id_to_token(id);
    auto y = b.id_to_token(id);
    if (x == y) {
      continue;
    }
    ++result.different_tokens;
    if (result.examples.size() < kExamples) {
      result.examples.push_back(
          fmt::format("id {}: {} / {}", id, quoted(x), quoted(y)));
    }
  }
}

void compare_special(const SpecialTokens& a,
                     const SpecialTokens& b,
                     TokenizerComparison& result) {
  auto note = [&](const char* name, Json x, Json y) {
    if (x != y) {
      result.special.push_back({name, std::move(x), std::move(y)});
    }
  };
  auto id = [](std::optional<int32_t> value) {
    return value ? Json(*value) : Json();
  };
  auto sorted = [](std::vector<int32_t> ids) {
    std::ranges::sort(ids);
    return Json(ids);
  };
  note("bos", id(a.bos), id(b.bos));
  note("eos", sorted(a.eos), sorted(b.eos));
  note("pad", id(a.pad), id(b.pad));
  note("unk", id(a.unk), id(b.unk));
}

void compare_encodings(const Tokenizer& a,
                       const Tokenizer& b,
                       const std::string& probe,
                       TokenizerComparison& result) {
  auto x = a.encode(probe);
  auto y = b.encode(probe);
  result.same_encoding = x == y;
  if (!result.same_encoding) {
    auto [at, unused] = std::mismatch(x.begin(), x.end(), y.begin(), y.end());
    result.first_difference = static_cast<uint64_t>(at - x.begin());
  }
}

// Files end in a line break or not, as their writer likes.
std::string_view trimmed(std::string_view text) {
  auto end = text.find_last_not_of(" \n\r\t");
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

}  // namespace

std::optional<TokenizerComparison> compare_tokenizers(
    const ModelFiles& a,
    const ModelFiles& b,
    const std::string& probe,
    std::vector<Finding>& findings) {
  auto left = load(a, findings);
  auto right = load(b, findings);
  if (!left && !right) {
    return std::nullopt;
  }
  TokenizerComparison result;
  result.present_a = left.has_value();
  result.present_b = right.has_value();
  result.size_a = left ? left->vocab_size() : 0;
  result.size_b = right ? right->vocab_size() : 0;
  result.same_template = trimmed(a.chat_template) == trimmed(b.chat_template);
  if (left && right) {
    compare_tokens(*left, *right, result);
    compare_special(
        special_tokens(a, *left), special_tokens(b, *right), result);
    compare_encodings(*left, *right, probe, result);
  }
  return result;
}

}  // namespace assay::comparison

namespace assay {

bool TokenizerComparison::equal() const {
  return present_a == present_b && different_tokens == 0 && special.empty() &&
         same_encoding && same_template;
}

}  // namespace assay
