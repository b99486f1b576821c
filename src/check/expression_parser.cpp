// From the text of an expression to its nodes.

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "assay/check/expression.h"

namespace assay {
namespace {

constexpr size_t kMaxExpression = 4096;
constexpr size_t kMaxNodes = 1000;
constexpr size_t kMaxNumber = 40;
constexpr int kMaxNesting = 64;  // of parentheses, and of what stands in a row

constexpr auto kTensorFunctions = std::to_array<std::string_view>(
    {"shape", "dtype", "count", "exists", "all", "any", "elements"});
constexpr auto kFunctions = std::to_array<std::string_view>({"len",
                                                             "min",
                                                             "max",
                                                             "abs",
                                                             "floor",
                                                             "sum",
                                                             "starts_with",
                                                             "ends_with",
                                                             "contains",
                                                             "field"});

template <typename Names>
bool is_among(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

class ExpressionParser {
 public:
  explicit ExpressionParser(Expression& expression)
      : expression_(expression), text_(expression.text_) {}

  void parse() {
    if (text_.size() > kMaxExpression) {
      fail_at(kMaxExpression,
              fmt::format("at most {} characters", kMaxExpression));
    }
    skip_space();
    if (at_ == text_.size()) {
      fail_at(at_, "an expression, found nothing");
    }
    expression_.root_ = any_of_all();
    if (at_ < text_.size()) {
      fail_at(at_, fmt::format("an operator or the end, found {}", here()));
    }
  }

 private:
  using Kind = Expression::Kind;
  using Node = Expression::Node;

  [[noreturn]] static void fail_at(size_t at, const std::string& what) {
    throw ExpressionError(at + 1, what);
  }

  std::string here() const {
    return at_ < text_.size() ? fmt::format("'{}'", text_.substr(at_, 1))
                              : std::string("the end");
  }

  void skip_space() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
  }

  bool take(std::string_view symbol) {
    if (!text_.substr(at_).starts_with(symbol)) {
      return false;
    }
    bool word = is_letter(symbol.front());
    auto next = at_ + symbol.size();
    if (word && next < text_.size() &&
        (is_letter(text_[next]) || is_digit(text_[next]))) {
      return false;
    }
    at_ = next;
    skip_space();
    return true;
  }

  void expect(std::string_view symbol) {
    if (!take(symbol)) {
      fail_at(at_, fmt::format("'{}', found {}", symbol, here()));
    }
  }

  uint32_t add(Node node) {
    for (auto child : node.children) {
      node.depth = std::max(node.depth, expression_.nodes_[child].depth + 1);
    }
    node.end = end_of(node.begin);
    if (node.depth > kMaxNesting || expression_.nodes_.size() >= kMaxNodes) {
      fail_at(node.begin, "a smaller expression: this one is too deep");
    }
    expression_.nodes_.push_back(std::move(node));
    return static_cast<uint32_t>(expression_.nodes_.size() - 1);
  }

  // Without the spaces before what comes next.
  size_t end_of(size_t begin) const {
    auto end = at_;
    while (end > begin && text_[end - 1] == ' ') {
      --end;
    }
    return end;
  }

  uint32_t any_of_all() {
    if (++depth_ > kMaxNesting) {
      fail_at(at_, "a smaller expression: this one is too deep");
    }
    auto begin = at_;
    std::vector<uint32_t> parts = {all_of_these()};
    while (take("||") || take("or")) {
      parts.push_back(all_of_these());
    }
    --depth_;
    return joined(Kind::logical_or, begin, std::move(parts));
  }

  uint32_t all_of_these() {
    auto begin = at_;
    std::vector<uint32_t> parts = {negation()};
    while (take("&&") || take("and")) {
      parts.push_back(negation());
    }
    return joined(Kind::logical_and, begin, std::move(parts));
  }

  uint32_t joined(Kind kind, size_t begin, std::vector<uint32_t> parts) {
    if (parts.size() == 1) {
      return parts.front();
    }
    return add({.kind = kind, .children = std::move(parts), .begin = begin});
  }

  uint32_t negation() {
    auto begin = at_;
    int count = 0;
    while (take("not") || (!text_.substr(at_).starts_with("!=") && take("!"))) {
      ++count;
    }
    auto node = comparison();
    if (count % 2 == 0) {
      return node;
    }
    return add({.kind = Kind::logical_not, .children = {node}, .begin = begin});
  }

  std::optional<std::string> comparator() {
    for (const auto* symbol : {"==", "!=", "<=", ">=", "<", ">", "in"}) {
      if (take(symbol)) {
        return symbol;
      }
    }
    auto before = at_;
    if (take("not") && take("in")) {
      return "not in";
    }
    at_ = before;
    if (text_.substr(at_).starts_with("=")) {
      fail_at(at_, "'==' to compare, found '='");
    }
    return std::nullopt;
  }

  uint32_t comparison() {
    auto begin = at_;
    Node node{.kind = Kind::compare, .begin = begin};
    node.children.push_back(sum());
    while (auto symbol = comparator()) {
      node.words.push_back(*symbol);
      node.children.push_back(sum());
    }
    return node.words.empty() ? node.children.front() : add(std::move(node));
  }

  uint32_t sum() {
    auto begin = at_;
    auto left = product();
    for (;;) {
      const auto* symbol = take("+") ? "+" : take("-") ? "-" : nullptr;
      if (symbol == nullptr) {
        return left;
      }
      left = arithmetic(symbol, begin, left, product());
    }
  }

  uint32_t product() {
    auto begin = at_;
    auto left = sign();
    for (;;) {
      const auto* symbol = take("*")    ? "*"
                           : take("//") ? "//"
                           : take("/")  ? "/"
                           : take("%")  ? "%"
                                        : nullptr;
      if (symbol == nullptr) {
        return left;
      }
      left = arithmetic(symbol, begin, left, sign());
    }
  }

  uint32_t arithmetic(const char* symbol,
                      size_t begin,
                      uint32_t left,
                      uint32_t right) {
    return add({.kind = Kind::arithmetic,
                .text = symbol,
                .children = {left, right},
                .begin = begin});
  }

  uint32_t sign() {
    auto begin = at_;
    bool minus = false;
    while (take("-")) {
      minus = !minus;
    }
    auto node = indexed();
    if (!minus) {
      return node;
    }
    return add({.kind = Kind::negate, .children = {node}, .begin = begin});
  }

  uint32_t indexed() {
    auto begin = at_;
    auto node = primary();
    while (take("[")) {
      auto index = any_of_all();
      expect("]");
      node =
          add({.kind = Kind::index, .children = {node, index}, .begin = begin});
    }
    return node;
  }

  uint32_t primary() {
    auto begin = at_;
    if (at_ == text_.size()) {
      fail_at(at_, "a value, found the end");
    }
    char c = text_[at_];
    if (c == '"' || c == '\'') {
      return literal(begin, quoted());
    }
    if (is_digit(c) || c == '.') {
      return literal(begin, number());
    }
    if (take("(")) {
      auto node = any_of_all();
      expect(")");
      return node;
    }
    if (take("[")) {
      Node list{.kind = Kind::list, .children = arguments("]"), .begin = begin};
      return add(std::move(list));
    }
    if (is_letter(c)) {
      return word();
    }
    fail_at(at_, fmt::format("a value, found {}", here()));
  }

  uint32_t literal(size_t begin, Json value) {
    return add({.literal = std::move(value), .begin = begin});
  }

  std::string quoted() {
    char mark = text_[at_];
    auto end = text_.find(mark, at_ + 1);
    if (end == text_.npos) {
      fail_at(at_, fmt::format("the {} that ends the text", mark));
    }
    auto text = std::string(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    skip_space();
    return text;
  }

  Json number() {
    auto rest = std::string(text_.substr(at_, kMaxNumber));
    char* end = nullptr;
    double value = std::strtod(rest.c_str(), &end);
    if (end == rest.c_str() || !std::isfinite(value)) {
      fail_at(at_, fmt::format("a number, found {}", here()));
    }
    at_ += static_cast<size_t>(end - rest.c_str());
    if (at_ < text_.size() && is_letter(text_[at_])) {
      fail_at(at_, fmt::format("the end of a number, found {}", here()));
    }
    skip_space();
    return value;
  }

  // "a.b_c": a field; "f(": a function.
  uint32_t word() {
    auto begin = at_;
    while (at_ < text_.size() &&
           (is_letter(text_[at_]) || is_digit(text_[at_]) ||
            (text_[at_] == '.' && at_ + 1 < text_.size() &&
             (is_letter(text_[at_ + 1]) || is_digit(text_[at_ + 1]))))) {
      ++at_;
    }
    auto name = std::string(text_.substr(begin, at_ - begin));
    skip_space();
    if (text_.substr(at_).starts_with("(")) {
      return call(begin, name);
    }
    if (name == "true" || name == "false") {
      return literal(begin, name == "true");
    }
    if (name == "null" || name == "none") {
      return literal(begin, nullptr);
    }
    return add({.kind = Kind::field, .text = name, .begin = begin});
  }

  uint32_t call(size_t begin, const std::string& name) {
    expect("(");
    if (is_among(kTensorFunctions, name)) {
      Node node{.kind = Kind::tensors, .text = name, .begin = begin};
      node.words.push_back(pattern());
      bool takes = name == "count" || name == "all" || name == "any";
      if (takes && take(",")) {
        node.children.push_back(any_of_all());
      } else if (name == "all" || name == "any") {
        fail_at(at_, fmt::format("', ' and what holds, found {}", here()));
      }
      expect(")");
      return add(std::move(node));
    }
    if (!is_among(kFunctions, name)) {
      fail_at(begin, fmt::format("a function that there is, found {}", name));
    }
    Node node{.kind = Kind::call, .text = name, .begin = begin};
    node.children = arguments(")");
    return add(std::move(node));
  }

  // Of tensors: quoted, or all up to the comma or the end.
  std::string pattern() {
    if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
      return quoted();
    }
    auto end = std::min(text_.find_first_of(",()", at_), text_.size());
    auto text = text_.substr(at_, end - at_);
    text =
        text.substr(0, std::min(text.find_last_not_of(" \t") + 1, text.size()));
    if (text.empty()) {
      fail_at(at_, fmt::format("a pattern of tensors, found {}", here()));
    }
    at_ = end;
    return std::string(text);
  }

  std::vector<uint32_t> arguments(std::string_view close) {
    std::vector<uint32_t> list;
    if (take(close)) {
      return list;
    }
    do {
      list.push_back(any_of_all());
    } while (take(","));
    expect(close);
    return list;
  }

  Expression& expression_;
  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

Expression::Expression(std::string text) : text_(std::move(text)) {
  ExpressionParser(*this).parse();
}

}  // namespace assay
