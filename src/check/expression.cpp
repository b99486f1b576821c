#include "assay/check/expression.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "assay/inspect/declared.h"

namespace assay {
namespace {

constexpr size_t kMaxSteps = 20'000'000;

// `*` any text, `?` any character; no recursion.
bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = pattern.npos;
  size_t mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() &&
               (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') {
    ++p;
  }
  return p == pattern.size();
}

bool has_part(std::string_view name, std::string_view part) {
  for (auto at = name.find(part); at != name.npos;
       at = name.find(part, at + 1)) {
    if (at == 0 || name[at - 1] == '.' || name[at - 1] == '/') {
      return true;
    }
  }
  return false;
}

std::string as_written(const Json& value) {
  constexpr size_t kLongest = 120;
  double whole = 0;
  if (value.is_number_float() && std::modf(value.get<double>(), &whole) == 0 &&
      std::abs(whole) < 9e15) {
    return fmt::format("{}", static_cast<int64_t>(whole));
  }
  auto text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) {
    text.resize(kLongest);
    text += "...";
  }
  return text;
}

// 64 and 64.0 are one number, in lists too.
bool equal(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    return a.get<double>() == b.get<double>();
  }
  if (a.is_array() && b.is_array()) {
    return std::ranges::equal(a, b, [](const Json& x, const Json& y) {
      return x.is_number() && y.is_number() ? x.get<double>() == y.get<double>()
                                            : x == y;
    });
  }
  return a == b;
}

}  // namespace

ModelView::ModelView(const Profile& profile) : profile_(profile) {
  for (const auto& [prefix, tensors] : profile.tensors) {
    for (const auto& [name, facts] : tensors) {
      tensors_.push_back({prefix + name, facts.dtype, facts.shape});
    }
  }
}

Json ModelView::field(std::string_view path, std::string_view document) const {
  const Json* value = nullptr;
  for (const auto* name : {"config.json",
                           "model_index.json",
                           "adapter_config.json",
                           "scheduler_config.json"}) {
    auto entry = profile_.documents.find(
        document.empty() ? name : std::string(document));
    if (entry != profile_.documents.end()) {
      value = &entry->second;
      break;
    }
  }
  while (value != nullptr && !path.empty()) {
    auto dot = std::min(path.find('.'), path.size());
    auto key = std::string(path.substr(0, dot));
    auto entry = value->is_object() ? value->find(key) : value->end();
    value = value->is_object() && entry != value->end() ? &*entry : nullptr;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value == nullptr ? Json() : *value;
}

std::vector<const ModelView::Tensor*> ModelView::find(
    std::string_view pattern,
    const std::map<std::string, std::string>& names) const {
  auto alias = names.find(std::string(pattern));
  auto wanted = alias == names.end() ? pattern : alias->second;
  std::vector<const Tensor*> found;
  auto collect = [&](const auto& accepts) {
    for (const auto& tensor : tensors_) {
      if (accepts(std::string_view(tensor.name))) {
        found.push_back(&tensor);
      }
    }
  };
  if (wanted.find_first_of("*?") != wanted.npos) {
    collect([&](std::string_view name) { return matches(wanted, name); });
    return found;
  }
  collect([&](std::string_view name) { return name == wanted; });
  if (found.empty()) {
    collect([&](std::string_view name) { return has_part(name, wanted); });
  }
  return found;
}

/** One evaluation. */
class ExpressionRun {
 public:
  ExpressionRun(const Expression& expression, const Expression::Scope& scope)
      : expression_(expression), scope_(scope) {}

  // No deeper than the parser allows.
  Json value(uint32_t index) {
    const auto& node = expression_.nodes_[index];
    if (++steps_ > kMaxSteps) {
      fail_at(node, "it takes too many steps");
    }
    switch (node.kind) {
      case Kind::literal:
        return node.literal;
      case Kind::field:
        return field(node);
      case Kind::list: {
        auto list = Json::array();
        for (auto child : node.children) {
          list.push_back(value(child));
        }
        return list;
      }
      case Kind::index:
        return entry(node);
      case Kind::negate:
        return -number(node.children[0]);
      case Kind::logical_not:
        return !truth(node.children[0]);
      case Kind::logical_and:
        return std::ranges::all_of(
            node.children, [&](uint32_t child) { return truth(child); });
      case Kind::logical_or:
        return std::ranges::any_of(
            node.children, [&](uint32_t child) { return truth(child); });
      case Kind::arithmetic:
        return arithmetic(node);
      case Kind::compare:
        return compare(node);
      case Kind::call:
        return call(node);
      case Kind::tensors:
        return tensors(node);
    }
    return {};
  }

  bool truth(uint32_t index) {
    auto found = value(index);
    if (!found.is_boolean()) {
      fail_at(expression_.nodes_[index],
              fmt::format("true or false, found {}", as_written(found)));
    }
    return found.get<bool>();
  }

  void sides(uint32_t index, std::string& text) {
    const auto& node = expression_.nodes_[index];
    bool joined =
        node.kind == Kind::logical_and || node.kind == Kind::logical_or;
    if (joined) {
      for (auto child : node.children) {
        if (!truth(child)) {
          sides(child, text);
        }
      }
    } else if (node.kind == Kind::compare) {
      for (auto child : node.children) {
        if (expression_.nodes_[child].kind != Kind::literal) {
          add_side(child, text);
        }
      }
    } else {
      add_side(index, text);
    }
  }

 private:
  using Kind = Expression::Kind;
  using Node = Expression::Node;

  [[noreturn]] static void fail_at(const Node& node, const std::string& what) {
    throw ExpressionError(node.begin + 1, what);
  }

  std::string source(const Node& node) const {
    return expression_.text_.substr(node.begin, node.end - node.begin);
  }

  void add_side(uint32_t index, std::string& text) {
    text += fmt::format("{}{} = {}",
                        text.empty() ? "" : ", ",
                        source(expression_.nodes_[index]),
                        as_written(value(index)));
  }

  Json field(const Node& node) const {
    if (scope_.tensor != nullptr) {
      const auto& tensor = *scope_.tensor;
      if (node.text == "name") {
        return tensor.name;
      }
      if (node.text == "shape") {
        return tensor.shape;
      }
      if (node.text == "dtype") {
        return std::string(name(tensor.dtype));
      }
      if (node.text == "elements") {
        return element_count(tensor.shape).value_or(0);
      }
      if (node.text == "layer") {
        return layer_of(tensor.name).value_or(-1);
      }
    }
    auto found = scope_.model.field(node.text);
    if (found.is_null()) {
      fail_at(node, fmt::format("a field {}, found none", node.text));
    }
    return found;
  }

  double number(uint32_t index) {
    auto found = value(index);
    if (!found.is_number()) {
      fail_at(expression_.nodes_[index],
              fmt::format("a number, found {}", as_written(found)));
    }
    return found.get<double>();
  }

  Json entry(const Node& node) {
    auto list = value(node.children[0]);
    if (list.is_object()) {
      auto key = value(node.children[1]);
      if (!key.is_string() || !list.contains(key.get<std::string>())) {
        fail_at(node, fmt::format("a member {}, found none", as_written(key)));
      }
      return list[key.get<std::string>()];
    }
    if (!list.is_array()) {
      fail_at(node, fmt::format("a list, found {}", as_written(list)));
    }
    double index = number(node.children[1]);
    auto size = static_cast<double>(list.size());
    index += index < 0 ? size : 0;
    if (!(index >= 0 && index < size) || index != std::floor(index)) {
      fail_at(
          node,
          fmt::format("an entry of {}, which has {}", as_written(list), size));
    }
    return list[static_cast<size_t>(index)];
  }

  Json arithmetic(const Node& node) {
    auto left = value(node.children[0]);
    auto right = value(node.children[1]);
    if (node.text == "+" && left.is_string() && right.is_string()) {
      return left.get<std::string>() + right.get<std::string>();
    }
    double a = number(node.children[0]);
    double b = number(node.children[1]);
    if (node.text == "+") {
      return a + b;
    }
    if (node.text == "-") {
      return a - b;
    }
    if (node.text == "*") {
      return a * b;
    }
    if (b == 0) {
      fail_at(node, "another divisor than 0");
    }
    if (node.text == "/") {
      return a / b;
    }
    // As in Python: the remainder has the divisor's sign.
    auto whole = std::floor(a / b);
    return node.text == "//" ? whole : a - b * whole;
  }

  bool is_in(const Node& node, const Json& part, const Json& whole) const {
    if (whole.is_string() && part.is_string()) {
      return whole.get_ref<const std::string&>().find(
                 part.get_ref<const std::string&>()) != std::string::npos;
    }
    if (whole.is_object() && part.is_string()) {
      return whole.contains(part.get<std::string>());
    }
    if (!whole.is_array()) {
      fail_at(node,
              fmt::format("a list or a text, found {}", as_written(whole)));
    }
    return std::ranges::any_of(
        whole, [&](const Json& one) { return equal(one, part); });
  }

  bool ordered(const Node& node,
               const std::string& symbol,
               const Json& a,
               const Json& b) const {
    auto decide = [&](const auto& x, const auto& y) {
      return symbol == "<"    ? x < y
             : symbol == "<=" ? x <= y
             : symbol == ">"  ? x > y
                              : x >= y;
    };
    if (a.is_number() && b.is_number()) {
      return decide(a.get<double>(), b.get<double>());
    }
    if (a.is_string() && b.is_string()) {
      return decide(a.get<std::string>(), b.get<std::string>());
    }
    fail_at(node,
            fmt::format("two numbers or two texts, found {} and {}",
                        as_written(a),
                        as_written(b)));
  }

  bool compare(const Node& node) {
    auto left = value(node.children[0]);
    for (size_t i = 0; i < node.words.size(); ++i) {
      auto right = value(node.children[i + 1]);
      const auto& symbol = node.words[i];
      bool holds = symbol == "=="       ? equal(left, right)
                   : symbol == "!="     ? !equal(left, right)
                   : symbol == "in"     ? is_in(node, left, right)
                   : symbol == "not in" ? !is_in(node, left, right)
                                        : ordered(node, symbol, left, right);
      if (!holds) {
        return false;
      }
      left = std::move(right);
    }
    return true;
  }

  std::vector<double> numbers(const Node& node) {
    std::vector<double> all;
    auto add = [&](const Json& one) {
      if (!one.is_number()) {
        fail_at(node, fmt::format("numbers, found {}", as_written(one)));
      }
      all.push_back(one.get<double>());
    };
    for (auto child : node.children) {
      auto found = value(child);
      if (found.is_array()) {
        std::ranges::for_each(found, add);
      } else {
        add(found);
      }
    }
    return all;
  }

  std::string text(const Node& node, size_t index) {
    if (index >= node.children.size()) {
      fail_at(node, fmt::format("{} texts", index + 1));
    }
    auto found = value(node.children[index]);
    if (!found.is_string()) {
      fail_at(node, fmt::format("a text, found {}", as_written(found)));
    }
    return found.get<std::string>();
  }

  Json call(const Node& node) {
    const auto& name = node.text;
    if (name == "field") {
      auto document = text(node, 0);
      auto path = text(node, 1);
      auto found = scope_.model.field(path, document);
      if (found.is_null()) {
        fail_at(node, fmt::format("{} in {}, found none", path, document));
      }
      return found;
    }
    if (name == "starts_with") {
      return text(node, 0).starts_with(text(node, 1));
    }
    if (name == "ends_with") {
      return text(node, 0).ends_with(text(node, 1));
    }
    if (node.children.empty()) {
      fail_at(node, "something in the parentheses");
    }
    if (name == "contains") {
      if (node.children.size() != 2) {
        fail_at(node, "two values");
      }
      return is_in(node, value(node.children[1]), value(node.children[0]));
    }
    if (name == "len") {
      auto found = value(node.children[0]);
      return found.is_string() ? found.get_ref<const std::string&>().size()
                               : found.size();
    }
    auto all = numbers(node);
    if (all.empty()) {
      fail_at(node, "at least one number");
    }
    if (name == "min") {
      return std::ranges::min(all);
    }
    if (name == "max") {
      return std::ranges::max(all);
    }
    if (name == "sum") {
      double total = 0;
      for (auto one : all) {
        total += one;
      }
      return total;
    }
    return name == "abs" ? std::abs(all[0]) : std::floor(all[0]);
  }

  bool holds_for(uint32_t child, const ModelView::Tensor& tensor) {
    auto before = scope_.tensor;
    scope_.tensor = &tensor;
    bool holds = truth(child);
    scope_.tensor = before;
    return holds;
  }

  Json tensors(const Node& node) {
    const auto& pattern = node.words.front();
    auto found = scope_.model.find(pattern, scope_.names);
    const auto& name = node.text;
    if (name == "exists") {
      return !found.empty() || !scope_.model.field(pattern).is_null();
    }
    if (name == "count") {
      if (node.children.empty()) {
        return found.size();
      }
      return std::ranges::count_if(found, [&](const auto* tensor) {
        return holds_for(node.children[0], *tensor);
      });
    }
    if (name == "any") {
      return std::ranges::any_of(found, [&](const auto* tensor) {
        return holds_for(node.children[0], *tensor);
      });
    }
    if (found.empty()) {
      fail_at(node, fmt::format("a tensor '{}', found none", pattern));
    }
    if (name == "all") {
      return std::ranges::all_of(found, [&](const auto* tensor) {
        return holds_for(node.children[0], *tensor);
      });
    }
    if (name == "elements") {
      double total = 0;
      for (const auto* tensor : found) {
        total += static_cast<double>(element_count(tensor->shape).value_or(0));
      }
      return total;
    }
    return common(node, found);
  }

  // shape and dtype of one tensor, or of several that are alike.
  Json common(const Node& node,
              const std::vector<const ModelView::Tensor*>& found) {
    bool shape = node.text == "shape";
    for (const auto* tensor : found) {
      bool alike = shape ? tensor->shape == found[0]->shape
                         : tensor->dtype == found[0]->dtype;
      if (!alike) {
        fail_at(node,
                fmt::format("one {} of '{}', found several: {} and {}",
                            node.text,
                            node.words.front(),
                            found[0]->name,
                            tensor->name));
      }
    }
    return shape ? Json(found[0]->shape)
                 : Json(std::string(name(found[0]->dtype)));
  }

  const Expression& expression_;
  Expression::Scope scope_;
  size_t steps_ = 0;
};

Json Expression::value(const Scope& scope) const {
  return ExpressionRun(*this, scope).value(root_);
}

bool Expression::holds(const Scope& scope) const {
  return ExpressionRun(*this, scope).truth(root_);
}

std::string Expression::sides(const Scope& scope) const {
  std::string text;
  ExpressionRun(*this, scope).sides(root_, text);
  return text;
}

}  // namespace assay
