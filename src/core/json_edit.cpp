#include "assay/core/json_edit.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace assay {
namespace {

/** Offsets of one member or entry of an object or array. */
struct Member {
  size_t key = 0;    ///< where it begins: its key, or the entry itself
  size_t value = 0;  ///< where its value begins
  size_t end = 0;    ///< past its value
};

/** Walks over the bytes of a text that is known to be JSON. */
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  size_t skip_space(size_t at) const {
    return std::min(text_.find_first_not_of(" \t\r\n", at), text_.size());
  }

  size_t skip_value(size_t at) const {
    size_t depth = 0;
    while (at < text_.size()) {
      char c = text_[at];
      if (c == '"') {
        at = skip_text(at);
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at;
      } else if (c == '}' || c == ']') {
        --depth;
        ++at;
      } else if (depth > 0) {
        ++at;
        continue;
      } else {
        at = std::min(text_.find_first_of(",]} \t\r\n", at), text_.size());
      }
      if (depth == 0) {
        break;
      }
    }
    return at;
  }

  /** The members of the object or array that begins at `at`. */
  std::vector<Member> members(size_t at) const {
    std::vector<Member> found;
    bool is_object = at < text_.size() && text_[at] == '{';
    if (!is_object && (at >= text_.size() || text_[at] != '[')) {
      return found;
    }
    at = skip_space(at + 1);
    while (at < text_.size() && text_[at] != '}' && text_[at] != ']') {
      Member member{at, at, at};
      if (is_object) {
        at = skip_space(skip_text(at));
        at = skip_space(at + 1);  // the colon
        member.value = at;
      }
      member.end = skip_value(at);
      found.push_back(member);
      at = skip_space(member.end);
      if (at < text_.size() && text_[at] == ',') {
        at = skip_space(at + 1);
      }
    }
    return found;
  }

  std::optional<Member> find(size_t at, std::string_view key) const {
    auto all = members(at);
    if (text_[at] == '[') {
      for (size_t i = 0; i < all.size(); ++i) {
        if (std::to_string(i) == key) {
          return all[i];
        }
      }
      return std::nullopt;
    }
    for (const auto& member : all) {
      auto raw = text_.substr(member.key, skip_text(member.key) - member.key);
      if (Json::parse(raw).get_ref<const std::string&>() == key) {
        return member;
      }
    }
    return std::nullopt;
  }

  /** The spaces that the line of `at` begins with. */
  std::string indent_of(size_t at) const {
    auto line = text_.rfind('\n', at);
    auto begin = line == text_.npos ? 0 : line + 1;
    auto end = text_.find_first_not_of(" \t", begin);
    return std::string(text_.substr(begin, std::min(end, at) - begin));
  }

  std::string_view text() const { return text_; }

 private:
  size_t skip_text(size_t at) const {
    for (++at; at < text_.size() && text_[at] != '"'; ++at) {
      at += text_[at] == '\\' ? 1 : 0;
    }
    return std::min(at + 1, text_.size());
  }

  std::string_view text_;
};

// In the lines of a document that is indented so far.
std::string written(const Json& value, std::string_view indent, bool lines) {
  constexpr auto kReplace = Json::error_handler_t::replace;
  auto text = value.dump(lines ? 2 : -1, ' ', false, kReplace);
  std::string out;
  for (char c : text) {
    out += c;
    if (c == '\n') {
      out += indent;
    }
  }
  return out;
}

std::string replaced(std::string_view text,
                     size_t begin,
                     size_t end,
                     std::string_view by) {
  std::string out(text.substr(0, begin));
  out += by;
  out += text.substr(end);
  return out;
}

std::string add_member(const Walker& walker,
                       size_t object,
                       const std::string& key,
                       const Json& value) {
  auto text = walker.text();
  auto all = walker.members(object);
  bool lines = text.substr(object).find('\n') != text.npos ||
               text.substr(0, object).find('\n') != text.npos;
  auto name = Json(key).dump();
  if (all.empty()) {
    auto outer = walker.indent_of(object);
    auto inner = outer + "  ";
    auto member = name + ": " + written(value, inner, lines);
    return replaced(
        text,
        object + 1,
        walker.skip_space(object + 1),
        lines ? "\n" + inner + member + "\n" + outer : std::move(member));
  }
  const auto& last = all.back();
  // What stands between a comma (or the brace) and the last key.
  auto before = all.size() > 1 ? all[all.size() - 2].end : object;
  auto gap = text.substr(before, last.key - before);
  gap.remove_prefix(std::min(gap.find_first_of(",{"), gap.size() - 1) + 1);
  auto colon = text.substr(last.key, last.value - last.key);
  bool spaced = colon.ends_with(' ');
  bool broken = gap.find('\n') != gap.npos;
  auto member = "," + std::string(gap) + name + (spaced ? ": " : ":") +
                written(value, walker.indent_of(last.key), broken);
  return replaced(text, last.end, last.end, member);
}

}  // namespace

std::string set_json_value(std::string_view text,
                           JsonPath path,
                           const Json& value) {
  Walker walker(text);
  size_t at = walker.skip_space(0);
  for (size_t i = 0; i < path.size(); ++i) {
    auto member = at < text.size() ? walker.find(at, path[i]) : std::nullopt;
    if (member) {
      at = member->value;
      continue;
    }
    if (i + 1 < path.size() || at >= text.size() || text[at] != '{') {
      throw std::invalid_argument("no such place in the document: " + path[i]);
    }
    return add_member(walker, at, path[i], value);
  }
  auto lines = text.find('\n') != text.npos;
  return replaced(text,
                  at,
                  walker.skip_value(at),
                  written(value, walker.indent_of(at), lines));
}

std::string remove_json_value(std::string_view text, JsonPath path) {
  Walker walker(text);
  size_t at = walker.skip_space(0);
  for (size_t i = 0; i < path.size(); ++i) {
    auto member = at < text.size() ? walker.find(at, path[i]) : std::nullopt;
    if (!member) {
      break;
    }
    if (i + 1 < path.size()) {
      at = member->value;
      continue;
    }
    auto all = walker.members(at);
    auto place = std::ranges::find(all, member->key, &Member::key);
    auto index = static_cast<size_t>(place - all.begin());
    if (index + 1 < all.size()) {
      return replaced(text, member->key, all[index + 1].key, "");
    }
    return replaced(
        text, index > 0 ? all[index - 1].end : at + 1, member->end, "");
  }
  return std::string(text);
}

}  // namespace assay
