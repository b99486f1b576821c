#include "assay/project/insights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace assay::project {
namespace {

// In order, so that they are found fast.
constexpr std::array<std::string_view, 40> kCommon = {
    "add",  "and",  "are",  "but",  "can",  "does",  "each", "for",
    "from", "has",  "have", "into", "its",  "less",  "make", "model",
    "more", "new",  "not",  "one",  "only", "our",   "out",  "per",
    "test", "than", "that", "the",  "them", "then",  "this", "use",
    "used", "was",  "were", "what", "when", "which", "will", "with"};
static_assert(std::ranges::is_sorted(kCommon));

bool is_word(char sign) {
  return (sign >= 'a' && sign <= 'z') || (sign >= '0' && sign <= '9') ||
         (static_cast<unsigned char>(sign) & 0x80) != 0;
}

// "quantizing", "quantized" and "quantize" are one word.
std::string stem(std::string word) {
  for (std::string_view ending : {"ing", "ed", "es", "s", "e"}) {
    if (word.size() > ending.size() + 3 && word.ends_with(ending)) {
      word.resize(word.size() - ending.size());
      break;
    }
  }
  return word;
}

std::vector<std::string> words_of(std::string_view text) {
  auto lower = to_lower(text);
  std::vector<std::string> words;
  for (size_t at = 0; at < lower.size();) {
    auto end = at;
    while (end < lower.size() && is_word(lower[end])) {
      ++end;
    }
    auto word = std::string_view(lower).substr(at, end - at);
    if (word.size() >= 3 && !std::ranges::binary_search(kCommon, word)) {
      words.push_back(stem(std::string(word)));
    }
    at = end + 1;
  }
  std::ranges::sort(words);
  auto repeated = std::ranges::unique(words);
  words.erase(repeated.begin(), repeated.end());
  return words;
}

bool begins_item(std::string_view line) {
  return line.starts_with("- ") || line.starts_with("* ") ||
         line.starts_with("+ ");
}

bool speaks_of_failure(std::string_view title) {
  auto lower = to_lower(title);
  return lower.find("fail") != std::string::npos ||
         lower.find("did not work") != std::string::npos;
}

constexpr std::string_view kDecisionWord = "decision";

class Collector {
 public:
  explicit Collector(const Document& document) : document_(&document) {}

  std::vector<Learning> run() {
    size_t heading = 0;
    for (size_t line = 0; line < document_->lines().size(); ++line) {
      auto kind = document_->lines()[line].kind;
      if (kind == LineKind::html) {
        watch_marks(trim(document_->line(line)));
      }
      if (kind == LineKind::heading) {
        const auto& headings = document_->headings();
        while (heading < headings.size() && headings[heading].line < line) {
          ++heading;
        }
        if (heading < headings.size() && headings[heading].line == line) {
          enter(headings[heading]);
        }
      } else if (!recorded_) {
        read(line, kind);
      }
    }
    return std::move(found_);
  }

 private:
  // What --record writes between marks is no insight of people's.
  void watch_marks(std::string_view line) {
    if (line.starts_with("<!-- assay:")) {
      recorded_ = true;
    } else if (line.starts_with("<!-- /assay:")) {
      recorded_ = false;
    }
  }

  // Decisions are read elsewhere; what stands below them is theirs.
  void enter(const Heading& heading) {
    open_ = false;
    if (decision_level_ != 0 && heading.level > decision_level_) {
      return;
    }
    bool decision = to_lower(heading.title).starts_with(kDecisionWord);
    decision_level_ = decision ? heading.level : 0;
    if (failed_level_ != 0 && heading.level > failed_level_ && !decision) {
      add(heading.title, heading.line);
      return;
    }
    failed_level_ = speaks_of_failure(heading.title) ? heading.level : 0;
  }

  void read(size_t line, LineKind kind) {
    auto text = document_->line(line);
    if (decision_level_ != 0 || kind == LineKind::code ||
        kind == LineKind::html || kind == LineKind::matter) {
      return;
    }
    if (kind == LineKind::item && begins_item(text)) {
      add(text.substr(2), line);
    } else if (kind == LineKind::blank) {
      open_ = open_ && line + 1 < document_->lines().size() &&
              document_->line(line + 1).starts_with(" ");
    } else if (open_) {
      found_.back().text += " " + std::string(trim(text));
    }
  }

  void add(std::string_view text, size_t line) {
    found_.push_back({std::string(trim(text)),
                      failed_level_ != 0,
                      static_cast<int>(line) + 1});
    open_ = true;
  }

  const Document* document_;
  std::vector<Learning> found_;
  int failed_level_ = 0;
  int decision_level_ = 0;
  bool open_ = false;
  bool recorded_ = false;
};

}  // namespace

std::vector<Learning> list_learnings(const Document& document) {
  return Collector(document).run();
}

Relevance::Relevance(const std::vector<std::string>& texts) {
  words_.reserve(texts.size());
  for (const auto& text : texts) {
    words_.push_back(words_of(text));
  }
}

std::vector<size_t> Relevance::rank(const std::vector<std::string>& words,
                                    size_t limit) const {
  struct Sought {
    double weight = 0;
    size_t holders = 0;
  };
  std::map<std::string, Sought, std::less<>> sought;
  for (const auto& text : words) {
    for (auto& word : words_of(text)) {
      sought[std::move(word)].weight += 1;
    }
  }
  std::vector<std::vector<Sought*>> found(words_.size());
  for (size_t index = 0; index < words_.size(); ++index) {
    for (const auto& word : words_[index]) {
      if (auto one = sought.find(word); one != sought.end()) {
        ++one->second.holders;
        found[index].push_back(&one->second);
      }
    }
  }
  std::vector<std::pair<double, size_t>> scored;
  auto count = static_cast<double>(words_.size());
  for (size_t index = 0; index < words_.size(); ++index) {
    double score = 0;
    for (const auto* one : found[index]) {
      score +=
          one->weight * std::log(1 + count / static_cast<double>(one->holders));
    }
    if (score > 0) {
      scored.emplace_back(score, index);
    }
  }
  std::ranges::sort(scored, std::greater<>{});
  std::vector<size_t> best;
  for (size_t index = 0; index < std::min(limit, scored.size()); ++index) {
    best.push_back(scored[index].second);
  }
  return best;
}

}  // namespace assay::project
