#include "assay/generate/stop_text.h"

#include <algorithm>

namespace assay {

StopText::StopText(std::vector<std::string> texts) : texts_(std::move(texts)) {
  std::erase_if(texts_, [](const std::string& text) { return text.empty(); });
}

// Length of the longest end of the pending text that begins a stop text.
size_t StopText::held_back() const {
  size_t longest = 0;
  for (const auto& text : texts_) {
    size_t length = std::min(text.size() - 1, pending_.size());
    for (; length > longest; --length) {
      if (pending_.ends_with(std::string_view(text).substr(0, length))) {
        longest = length;
      }
    }
  }
  return longest;
}

std::string StopText::push(std::string_view piece) {
  if (!matched_.empty()) {
    return {};
  }
  pending_ += piece;
  size_t first = std::string::npos;
  for (const auto& text : texts_) {
    size_t place = pending_.find(text);
    if (place < first) {
      first = place;
      matched_ = text;
    }
  }
  size_t shown = matched_.empty() ? pending_.size() - held_back() : first;
  auto out = pending_.substr(0, shown);
  pending_.erase(0, shown);
  return out;
}

std::string StopText::finish() {
  auto rest = matched_.empty() ? std::move(pending_) : std::string();
  pending_.clear();
  return rest;
}

}  // namespace assay
