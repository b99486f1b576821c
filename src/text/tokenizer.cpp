#include "assay/text/tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/text/rust/rust_text.h"

namespace assay {

using rust_text::Bytes;
using rust_text::Ids;

namespace {

struct FreeTokenizer {
  void operator()(assay_text_tokenizer* tokenizer) const {
    assay_text_tokenizer_free(tokenizer);
  }
};

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

struct Tokenizer::State {
  std::unique_ptr<assay_text_tokenizer, FreeTokenizer> rust;
  std::string where;
  std::string model_type;
  std::vector<AddedToken> added;
  std::unordered_set<int32_t> special;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::from_json(std::string_view json, std::string_view where) {
  auto state = std::make_unique<State>();
  state->where = std::string(where);
  Bytes error, description;
  state->rust.reset(assay_text_tokenizer_from_json(
      rust_text::data(json), json.size(), error.out()));
  if (!state->rust || !assay_text_tokenizer_describe(
                          state->rust.get(), description.out(), error.out())) {
    fail("tokenizer.malformed",
         state->where,
         "a tokenizer of the `tokenizers` library",
         error.text());
  }
  auto about = Json::parse(description.view());
  state->model_type = about["model"].get<std::string>();
  for (auto& token : about["added"]) {
    state->added.push_back({token["id"].get<int32_t>(),
                            token["content"].get<std::string>(),
                            token["special"].get<bool>()});
    if (state->added.back().special) {
      state->special.insert(state->added.back().id);
    }
  }
  return Tokenizer(std::move(state));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text,
                                       bool add_special) const {
  Ids ids;
  Bytes error;
  if (!assay_text_tokenizer_encode(state_->rust.get(),
                                   rust_text::data(text),
                                   text.size(),
                                   add_special,
                                   ids.out(),
                                   error.out())) {
    fail("tokenizer.failed",
         state_->where,
         "text that it can encode",
         error.text());
  }
  return {ids.begin(), ids.end()};  // below 2^24, as from_json sees to
}

std::string Tokenizer::decode(std::span<const int32_t> ids,
                              bool skip_special) const {
  // A negative id becomes a large one, which no vocabulary has.
  std::vector<uint32_t> wanted(ids.begin(), ids.end());
  Bytes text, error;
  if (!assay_text_tokenizer_decode(state_->rust.get(),
                                   wanted.data(),
                                   wanted.size(),
                                   skip_special,
                                   text.out(),
                                   error.out())) {
    fail("tokenizer.failed",
         state_->where,
         "ids that it can decode",
         error.text());
  }
  return text.text();
}

size_t Tokenizer::vocab_size() const {
  return assay_text_tokenizer_vocab_size(state_->rust.get());
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  uint32_t id = 0;
  if (!assay_text_tokenizer_token_to_id(
          state_->rust.get(), rust_text::data(token), token.size(), &id)) {
    return std::nullopt;
  }
  return static_cast<int32_t>(id);
}

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const {
  Bytes token;
  if (!assay_text_tokenizer_id_to_token(
          state_->rust.get(), static_cast<uint32_t>(id), token.out())) {
    return std::nullopt;
  }
  return token.text();
}

std::string_view Tokenizer::model_type() const {
  return state_->model_type;
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const {
  return state_->added;
}

bool Tokenizer::is_special(int32_t id) const {
  return state_->special.contains(id);
}

// How it works: `ids_` is a window that begins with ids whose text is out
// already (they are decoded again, because the text of an id may depend on
// those before it) and goes on with ids that wait. New text is what the whole
// window has beyond the text of its first part.
std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) {
    return "";  // as if it had not been there, in decode() too
  }
  ids_.push_back(id);
  auto text = tokenizer_.decode(ids_, skip_special_);
  if (!text.ends_with(kReplacement)) {
    return emit(ids_.size());
  }
  // An incomplete character waits for at most three more bytes; of a long run
  // of bytes that make no character only the end can still become one.
  constexpr size_t kLongest = 16;
  constexpr size_t kOpen = 4;
  return ids_.size() - read_ > kLongest ? emit(ids_.size() - kOpen) : "";
}

std::string StreamDecoder::finish() {
  auto text = emit(ids_.size());
  ids_.clear();
  read_ = 0;
  return text;
}

std::string StreamDecoder::emit(size_t end) {
  std::span<const int32_t> window(ids_);
  auto before = tokenizer_.decode(window.first(read_), skip_special_);
  auto text = tokenizer_.decode(window.first(end), skip_special_);
  if (text.size() <= before.size()) {
    return "";  // an id without text of its own; it stays in the window
  }
  auto out = text.substr(before.size());
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(read_));
  read_ = end - read_;
  return out;
}

}  // namespace assay
