#include "assay/check/module_pattern.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

namespace assay {
namespace {

constexpr size_t kMaxText = 4096;
constexpr size_t kMaxStates = 20'000;
constexpr int kMaxPatternDepth = 64;
constexpr int kMaxCount = 100;
constexpr uint32_t kOpen = std::numeric_limits<uint32_t>::max();

/** What is not read: ends the reading, never leaves this file. */
struct NotRead : std::exception {};

}  // namespace

// Thompson's construction. A fragment is a start and the places that lead on
// from it.
class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : text_(text) {}

  ModulePattern read() {
    if (text_.size() > kMaxText) {
      throw NotRead{};
    }
    auto whole = alternatives();
    if (at_ < text_.size()) {
      throw NotRead{};
    }
    lead(whole, add({State::Kind::match, 0, kOpen, kOpen}));
    pattern_.start_ = whole.start;
    return std::move(pattern_);
  }

 private:
  using State = ModulePattern::State;
  using Set = ModulePattern::Set;
  /** A place that is still open: a state, and which of its ways. */
  using Way = std::pair<uint32_t, bool>;
  struct Fragment {
    uint32_t start = 0;
    std::vector<Way> ends = {};
  };

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool more() const { return at_ < text_.size(); }
  bool take(std::string_view part) {
    bool there = text_.substr(at_).starts_with(part);
    at_ += there ? part.size() : 0;
    return there;
  }
  char next() {
    if (!more()) {
      throw NotRead{};
    }
    return text_[at_++];
  }

  uint32_t add(State state) {
    if (pattern_.states_.size() >= kMaxStates) {
      throw NotRead{};
    }
    pattern_.states_.push_back(state);
    return static_cast<uint32_t>(pattern_.states_.size() - 1);
  }

  void lead(const Fragment& fragment, uint32_t to) {
    for (auto [state, other] : fragment.ends) {
      auto& one = pattern_.states_[state];
      (other ? one.other : one.next) = to;
    }
  }

  Fragment single(State state) {
    auto index = add(state);
    return {index, {{index, false}}};
  }

  Fragment of_set(Set set) {
    pattern_.sets_.push_back(std::move(set));
    return single({State::Kind::set,
                   static_cast<uint32_t>(pattern_.sets_.size() - 1),
                   kOpen,
                   kOpen});
  }

  Fragment alternatives() {
    if (++depth_ > kMaxPatternDepth) {
      throw NotRead{};
    }
    auto all = sequence();
    while (take("|")) {
      auto other = sequence();
      auto split = add({State::Kind::split, 0, all.start, other.start});
      all.ends.insert(all.ends.end(), other.ends.begin(), other.ends.end());
      all.start = split;
    }
    --depth_;
    return all;
  }

  Fragment nothing() {
    auto split = add({State::Kind::split, 0, kOpen, kOpen});
    return {split, {{split, false}, {split, true}}};
  }

  Fragment sequence() {
    auto all = nothing();
    while (more() && peek() != '|' && peek() != ')') {
      auto part = repeated();
      lead(all, part.start);
      all.ends = std::move(part.ends);
    }
    return all;
  }

  // Counted repeats are read again as often as they count.
  Fragment repeated() {
    auto begin = at_;
    auto part = atom();
    auto end = at_;
    int least = 1;
    int most = 1;  // -1: any number
    if (take("*")) {
      least = 0;
      most = -1;
    } else if (take("+")) {
      most = -1;
    } else if (take("?")) {
      least = 0;
    } else if (peek() == '{' && counts(least, most)) {
    } else {
      return part;
    }
    take("?");  // lazy: the same for a whole match
    if (peek() == '+' || peek() == '*') {
      throw NotRead{};
    }
    auto after = at_;
    auto all = nothing();
    bool first = true;
    auto again = [&] {
      if (first) {
        first = false;
        return part;
      }
      at_ = begin;
      auto copy = atom();
      at_ = end;
      return copy;
    };
    for (int i = 0; i < least; ++i) {
      auto copy = again();
      lead(all, copy.start);
      all.ends = std::move(copy.ends);
    }
    if (most < 0) {
      auto copy = again();
      auto split = add({State::Kind::split, 0, copy.start, kOpen});
      lead(all, split);
      lead(copy, split);
      all.ends = {{split, true}};
    }
    for (int i = least; i < most; ++i) {
      auto copy = again();
      auto split = add({State::Kind::split, 0, copy.start, kOpen});
      lead(all, split);
      all.ends = std::move(copy.ends);
      all.ends.emplace_back(split, true);
    }
    at_ = after;
    return all;
  }

  int number() {
    int value = 0;
    bool any = false;
    while (peek() >= '0' && peek() <= '9') {
      value = 10 * value + (next() - '0');
      any = true;
      if (value > kMaxCount) {
        throw NotRead{};
      }
    }
    return any ? value : -1;
  }

  // "{2}", "{2,}", "{,3}", "{2,3}"; other braces are plain characters.
  bool counts(int& least, int& most) {
    auto begin = at_;
    take("{");
    auto low = number();
    bool range = take(",");
    auto high = range ? number() : low;
    if (!take("}") || (low < 0 && !range)) {
      at_ = begin;
      throw NotRead{};
    }
    least = std::max(low, 0);
    most = high;
    if (most >= 0 && most < least) {
      throw NotRead{};
    }
    return true;
  }

  Fragment atom() {
    char c = next();
    switch (c) {
      case '(': {
        if (take("?") && !take(":")) {
          throw NotRead{};  // look-around, names, flags
        }
        auto inner = alternatives();
        if (!take(")")) {
          throw NotRead{};
        }
        return inner;
      }
      case '[':
        return of_set(bracket());
      case '.': {
        Set set;
        set.holds.assign(256, true);
        set.holds['\n'] = false;
        return of_set(std::move(set));
      }
      case '^':
        return single({State::Kind::begin, 0, kOpen, kOpen});
      case '$':
        return single({State::Kind::end, 0, kOpen, kOpen});
      case '\\':
        return of_set(escape());
      case '*':
      case '+':
      case '?':
      case ')':
      case '{':
        throw NotRead{};
      default: {
        Set set;
        set.holds[static_cast<unsigned char>(c)] = true;
        return of_set(std::move(set));
      }
    }
  }

  Set escape() {
    char c = next();
    Set set;
    auto mark = [&](auto accepts) {
      for (int i = 0; i < 256; ++i) {
        set.holds[static_cast<size_t>(i)] = accepts(i);
      }
    };
    auto digit = [](int i) { return i >= '0' && i <= '9'; };
    auto word = [&](int i) {
      return digit(i) || (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z') ||
             i == '_';
    };
    auto space = [](int i) { return i == ' ' || (i >= 9 && i <= 13); };
    switch (c) {
      case 'd':
        mark(digit);
        return set;
      case 'D':
        mark([&](int i) { return !digit(i); });
        return set;
      case 'w':
        mark(word);
        return set;
      case 'W':
        mark([&](int i) { return !word(i); });
        return set;
      case 's':
        mark(space);
        return set;
      case 'S':
        mark([&](int i) { return !space(i); });
        return set;
      default:
        break;
    }
    if (word(static_cast<unsigned char>(c))) {
      throw NotRead{};  // \b, \1, \A...
    }
    set.holds[static_cast<unsigned char>(c)] = true;
    return set;
  }

  Set bracket() {
    bool inverse = take("^");
    Set set;
    bool first = true;
    while (first || peek() != ']') {
      first = false;
      char low = next();
      if (low == '\\') {
        auto inner = escape();
        for (size_t i = 0; i < 256; ++i) {
          set.holds[i] = set.holds[i] || inner.holds[i];
        }
        continue;
      }
      char high = low;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        high = next();
      }
      auto from = static_cast<unsigned char>(low);
      auto to = static_cast<unsigned char>(high);
      if (to < from || high == '\\') {
        throw NotRead{};
      }
      for (size_t i = from; i <= to; ++i) {
        set.holds[i] = true;
      }
    }
    ++at_;
    if (inverse) {
      set.holds.flip();
    }
    return set;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  ModulePattern pattern_;
};

std::optional<ModulePattern> ModulePattern::read(std::string_view text) {
  try {
    return PatternReader(text).read();
  } catch (const NotRead&) {
    return std::nullopt;
  }
}

// Follows splits with a list of its own: no recursion.
void ModulePattern::add(uint32_t state,
                        size_t at,
                        size_t size,
                        std::vector<uint32_t>& list,
                        std::vector<size_t>& seen) const {
  std::vector<uint32_t> open = {state};
  while (!open.empty()) {
    auto index = open.back();
    open.pop_back();
    if (index >= states_.size() || seen[index] == at + 1) {
      continue;
    }
    seen[index] = at + 1;
    const auto& one = states_[index];
    switch (one.kind) {
      case State::Kind::split:
        open.push_back(one.other);
        open.push_back(one.next);
        break;
      case State::Kind::begin:
        if (at == 0) {
          open.push_back(one.next);
        }
        break;
      case State::Kind::end:
        if (at == size) {
          open.push_back(one.next);
        }
        break;
      case State::Kind::set:
      case State::Kind::match:
        list.push_back(index);
        break;
    }
  }
}

bool ModulePattern::matches(std::string_view name) const {
  std::vector<uint32_t> now;
  std::vector<uint32_t> then;
  std::vector<size_t> seen(states_.size());
  add(start_, 0, name.size(), now, seen);
  for (size_t i = 0; i < name.size() && !now.empty(); ++i) {
    then.clear();
    auto c = static_cast<unsigned char>(name[i]);
    for (auto index : now) {
      const auto& state = states_[index];
      if (state.kind == State::Kind::set && sets_[state.set].holds[c]) {
        add(state.next, i + 1, name.size(), then, seen);
      }
    }
    std::swap(now, then);
  }
  return std::ranges::any_of(now, [&](uint32_t index) {
    return states_[index].kind == State::Kind::match;
  });
}

}  // namespace assay
