#include "assay/check/declared_shapes.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "assay/formats/json_fields.h"
#include "assay/inspect/declared.h"

namespace assay::rules {
using namespace fields;

namespace {

constexpr int64_t kMostLayers = 4096;

struct Dimension {
  int64_t times = 1, plus = 0;
  std::string_view symbol;  ///< empty for a number
};

struct Line {
  std::string name;
  std::vector<Dimension> shape;
  bool optional = false;
  std::string unless;  ///< what makes an optional one needed
};

std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  auto word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

int64_t to_number(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Dimension parse_dimension(std::string_view word) {
  Dimension dimension;
  if (auto star = word.find('*'); star != word.npos) {
    dimension.times = to_number(word.substr(0, star));
    word.remove_prefix(star + 1);
  }
  if (auto plus = word.find('+'); plus != word.npos) {
    dimension.plus = to_number(word.substr(plus + 1));
    word = word.substr(0, plus);
  }
  bool digits = word.find_first_not_of("0123456789") == word.npos;
  if (digits) {
    dimension.plus += dimension.times * to_number(word);
    dimension.times = 0;
  } else {
    dimension.symbol = word;
  }
  return dimension;
}

void expand(std::string name, const Line& like, std::vector<Line>& lines) {
  auto open = name.find('{');
  if (open == name.npos) {
    lines.push_back({std::move(name), like.shape, like.optional, like.unless});
    return;
  }
  auto close = name.find('}', open);
  auto choices = std::string_view(name).substr(open + 1, close - open - 1);
  while (true) {
    auto comma = choices.find(',');
    auto one = name.substr(0, open) + std::string(choices.substr(0, comma)) +
               name.substr(close + 1);
    expand(std::move(one), like, lines);
    if (comma == choices.npos) {
      return;
    }
    choices.remove_prefix(comma + 1);
  }
}

std::vector<Line> parse_lines(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    auto end = text.find('\n');
    auto row = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    auto name = next_word(row);
    if (name.empty()) {
      continue;
    }
    Line like;
    auto mark = name.find('?');
    like.optional = mark != name.npos;
    if (like.optional) {
      like.unless = name.substr(mark + 1);
      name = name.substr(0, mark);
    }
    for (auto word = next_word(row); !word.empty(); word = next_word(row)) {
      like.shape.push_back(parse_dimension(word));
    }
    expand(std::string(name), like, lines);
  }
  return lines;
}

/** The field after '#' in a name, and what stands before it. */
struct Numbered {
  std::string_view head, field, tail;
};

std::optional<Numbered> numbered(std::string_view name) {
  auto mark = name.find('#');
  if (mark == name.npos) {
    return std::nullopt;
  }
  auto dot = name.find('.', mark);
  return Numbered{name.substr(0, mark),
                  name.substr(mark + 1, dot - mark - 1),
                  name.substr(dot)};
}

class Holder {
 public:
  Holder(std::string_view lines,
         const DeclaredSizes& sizes,
         std::string_view root,
         const std::vector<const TensorInfo*>& list)
      : lines_(parse_lines(lines)),
        sizes_(sizes),
        fields_(sizes.part->fields),
        root_(root) {
    for (const auto* tensor : list) {
      if (std::string_view(tensor->name).starts_with(root)) {
        stored_.emplace(std::string_view(tensor->name).substr(root.size()),
                        tensor);
      }
    }
  }

  std::vector<Finding> hold() {
    count_layers();
    pair_up();
    hold_groups();
    find_unexpected();
    correct_fields();
    correct_symbols();
    blame_tensors();
    return shorten(std::move(findings_));
  }

 private:
  struct Pair {
    const Line* line;
    const TensorInfo* tensor;
    Shape shape;  ///< in torch's order; empty where it is packed
  };

  std::optional<int64_t> count_of(std::string_view field) const {
    const auto* value = member(fields_, field);
    if (value == nullptr) {
      return std::nullopt;
    }
    return value->is_array()
               ? std::optional(static_cast<int64_t>(value->size()))
               : integer(fields_, field);
  }

  // How many layers there are, where they are numbered without a gap.
  void count_layers() {
    for (const auto& line : lines_) {
      auto parts = numbered(line.name);
      if (!parts || layers_.contains(parts->head)) {
        continue;
      }
      std::set<int64_t> numbers;
      for (auto entry = stored_.lower_bound(parts->head);
           entry != stored_.end() && entry->first.starts_with(parts->head);
           ++entry) {
        auto rest = entry->first.substr(parts->head.size());
        numbers.insert(to_number(rest.substr(0, rest.find('.'))));
      }
      auto found = static_cast<int64_t>(numbers.size());
      bool whole = found > 0 && *numbers.rbegin() == found - 1;
      auto stated = count_of(parts->field);
      layers_[std::string(parts->head)] =
          std::min(whole ? found : stated.value_or(found), kMostLayers);
      if (whole && stated != found) {
        findings_.push_back(field_finding(
            "component.shape-mismatch",
            *sizes_.part,
            parts->field,
            fmt::format("{}, as many as {}{} has", found, root_, parts->head)));
      }
    }
  }

  void pair_up() {
    for (const auto& line : lines_) {
      if (line.name.ends_with('*')) {
        continue;
      }
      auto parts = numbered(line.name);
      int64_t count = parts ? layers_.find(parts->head)->second : 1;
      for (int64_t i = 0; i < count; ++i) {
        pair_up(line,
                parts ? fmt::format("{}{}{}", parts->head, i, parts->tail)
                      : line.name,
                i);
      }
    }
  }

  bool is_needed(const Line& line, int64_t number) const {
    std::string_view unless = line.unless;
    if (unless.empty()) {
      return !line.optional;
    }
    if (unless.ends_with('*')) {
      unless.remove_suffix(1);
      auto entry = stored_.lower_bound(unless);
      return entry != stored_.end() && entry->first.starts_with(unless);
    }
    bool inverse = unless.starts_with('!');
    const auto* value = member(fields_, unless.substr(inverse ? 1 : 0));
    if (value == nullptr || (!value->is_array() && !value->is_boolean())) {
      return false;
    }
    bool holds =
        value->is_array()
            ? std::ranges::any_of(
                  *value, [&](const Json& one) { return one == number; })
            : value->get<bool>();
    return holds != inverse;
  }

  void pair_up(const Line& line, const std::string& name, int64_t number) {
    auto entry = stored_.find(name);
    // Gates and tables of one layer need not be in the next.
    bool grouped = name.ends_with(".weight") || name.ends_with(".bias");
    bool needed = is_needed(line, number);
    if (!needed && grouped) {
      auto& group = groups_[group_of(name)];
      (entry == stored_.end() ? group.absent : group.present).push_back(name);
    }
    if (entry == stored_.end()) {
      if (needed) {
        findings_.push_back(make_finding(
            "tensor.missing",
            std::string(root_) + name,
            line.unless.empty()
                ? "a tensor in the files"
                : fmt::format("a tensor in the files, by {}", line.unless),
            "none"));
      }
      return;
    }
    used_.insert(entry->first);
    bool packed = false;
    auto stem = name.substr(0, name.rfind('.'));
    for (const auto* leaf : {".scales", ".biases"}) {
      auto part = stored_.find(stem + leaf);
      if (part != stored_.end()) {
        packed = packed || std::string_view(leaf) == ".scales";
        used_.insert(part->first);
      }
    }
    auto shape = packed ? Shape() : entry->second->shape;
    // MLX keeps the channels of a convolution last.
    if (shape.size() >= 4 && shape.size() == line.shape.size()) {
      auto channels = value_of(line.shape[1]);
      if (channels && shape[1] != *channels && shape.back() == *channels) {
        std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
      }
    }
    pairs_.push_back({&line, entry->second, std::move(shape)});
  }

  /** Optional tensors of one kind in one module: all of them, or none. */
  struct Group {
    std::vector<std::string> present, absent;
  };

  // "self_attn.q_proj.bias" belongs with the other biases of self_attn.
  static std::string group_of(std::string_view name) {
    auto leaf = std::min(name.rfind('.'), name.size());
    auto path = name.substr(0, leaf);
    auto layer = path.rfind('.');
    auto module = layer == std::string_view::npos ? std::string_view()
                                                  : path.substr(0, layer);
    return fmt::format("{}{}", module, name.substr(leaf));
  }

  void hold_groups() {
    for (const auto& [key, group] : groups_) {
      if (group.present.empty()) {
        continue;
      }
      for (const auto& name : group.absent) {
        findings_.push_back(
            make_finding("tensor.missing",
                         std::string(root_) + name,
                         fmt::format("a tensor in the files, beside {}{}",
                                     root_,
                                     group.present.front()),
                         "none"));
      }
    }
  }

  void find_unexpected() {
    for (const auto& [name, tensor] : stored_) {
      bool any = std::ranges::any_of(lines_, [&](const Line& line) {
        return line.name.ends_with('*') &&
               name.starts_with(
                   std::string_view(line.name).substr(0, line.name.size() - 1));
      });
      if (!any && !used_.contains(name)) {
        findings_.push_back(make_finding(
            "tensor.unexpected",
            tensor->name,
            fmt::format("only tensors that {} has", sizes_.part->type),
            to_string(tensor->shape)));
      }
    }
  }

  std::optional<Size> size_of(std::string_view symbol) const {
    if (auto value = integer(fields_, symbol)) {
      return Size{*value, std::string(symbol), std::string(symbol)};
    }
    return sizes_.symbol ? sizes_.symbol(fields_, symbol) : std::nullopt;
  }

  std::optional<int64_t> value_of(const Dimension& dimension) const {
    if (dimension.symbol.empty()) {
      return dimension.plus;
    }
    auto size = size_of(dimension.symbol);
    constexpr int64_t kMost = int64_t{1} << 40;
    return size && size->value >= 0 && size->value < kMost
               ? std::optional(dimension.times * size->value + dimension.plus)
               : std::nullopt;
  }

  // What most tensors say that a symbol is.
  std::map<std::string_view, std::map<int64_t, size_t>> votes() const {
    std::map<std::string_view, std::map<int64_t, size_t>> all;
    for (const auto& pair : pairs_) {
      if (pair.shape.size() != pair.line->shape.size()) {
        continue;
      }
      for (size_t i = 0; i < pair.shape.size(); ++i) {
        const auto& dimension = pair.line->shape[i];
        auto rest = pair.shape[i] - dimension.plus;
        if (!dimension.symbol.empty() && rest % dimension.times == 0) {
          ++all[dimension.symbol][rest / dimension.times];
        }
      }
    }
    return all;
  }

  std::string first_with(std::string_view symbol) const {
    for (const auto& pair : pairs_) {
      for (const auto& dimension : pair.line->shape) {
        if (dimension.symbol == symbol) {
          return pair.tensor->name;
        }
      }
    }
    return std::string(root_);
  }

  void correct(bool single) {
    for (const auto& [symbol, counts] : votes()) {
      bool is_field = sizes_.part->fields.contains(symbol);
      auto stated = size_of(symbol);
      auto most = std::ranges::max_element(
          counts, std::less<>{}, [](const auto& vote) { return vote.second; });
      size_t sum = 0;
      for (const auto& [value, count] : counts) {
        sum += count;
      }
      if (is_field != single || 2 * most->second <= sum ||
          (stated && stated->value == most->first)) {
        continue;
      }
      if (!stated && !is_field && !single) {
        continue;  // made of fields that others report
      }
      settled_[symbol] = most->first;
      auto id = stated ? stated->id : "component.shape-mismatch";
      auto field = stated ? stated->field : std::string(symbol);
      if (field.empty()) {
        findings_.push_back(
            make_finding(id,
                         first_with(symbol),
                         fmt::format("{} {}", stated->value, stated->words),
                         fmt::format("{}", most->first)));
      } else if (blamed_.insert(field).second) {
        findings_.push_back(field_finding(
            id,
            *sizes_.part,
            field,
            stated && stated->words != field
                ? fmt::format(
                      "{} {}, as the tensors show", most->first, stated->words)
                : fmt::format("{}, as the tensors show", most->first)));
      }
      if (is_field && !member(fields_, symbol)->is_array()) {
        fields_[std::string(symbol)] = most->first;
      }
    }
  }

  void correct_fields() { correct(true); }
  void correct_symbols() { correct(false); }

  void blame_tensors() {
    for (const auto& pair : pairs_) {
      if (pair.shape.empty() && !pair.line->shape.empty()) {
        continue;
      }
      Shape wanted;
      bool known = true;
      for (const auto& dimension : pair.line->shape) {
        auto settled = settled_.find(dimension.symbol);
        auto value = settled != settled_.end()
                         ? dimension.times * settled->second + dimension.plus
                         : value_of(dimension).value_or(-1);
        known = known && value >= 0;
        wanted.push_back(value);
      }
      if (known && wanted != pair.shape) {
        findings_.push_back(make_finding("shape.mismatch",
                                         pair.tensor->name,
                                         to_string(wanted),
                                         to_string(pair.tensor->shape)));
      }
    }
  }

  std::vector<Line> lines_;
  const DeclaredSizes& sizes_;
  Json fields_;
  std::string_view root_;
  std::map<std::string, int64_t, std::less<>> layers_;
  std::map<std::string_view, const TensorInfo*> stored_;
  std::set<std::string_view> used_;
  std::set<std::string> blamed_;
  std::map<std::string_view, int64_t> settled_;
  std::map<std::string, Group> groups_;
  std::vector<Pair> pairs_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> hold_declared(std::string_view lines,
                                   const DeclaredSizes& sizes,
                                   std::string_view root,
                                   const std::vector<const TensorInfo*>& list) {
  return Holder(lines, sizes, root, list).hold();
}

Finding field_finding(const char* id,
                      const ConfigPart& part,
                      std::string_view field,
                      std::string expected) {
  auto where = fmt::format("{}{}", part.where, field);
  if (const auto* value = member_at(part.stored, field)) {
    return make_finding(id, where, std::move(expected), shown(*value));
  }
  const auto* taken = member_at(part.fields, field);
  return make_finding(
      "config.missing-field",
      where,
      std::move(expected),
      taken == nullptr
          ? "none"
          : fmt::format(
                "none, for which {} takes {}", part.type, shown(*taken)));
}

}  // namespace assay::rules
