// Values of a pickle in words, for those who judge them.

#include <algorithm>

#include <fmt/format.h>

#include "assay/formats/pickle.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kShownItems = 4;
constexpr int kDepth = 3;

std::string describe_at(const Pickle& pickle, PickleRef ref, int depth);

std::string items(const Pickle& pickle,
                  const PickleValue& value,
                  char open,
                  char close,
                  int depth) {
  std::string text(1, open);
  if (depth == 0 && !value.items.empty()) {
    return text + "..." + close;
  }
  size_t step = value.kind == Kind::dict ? 2 : 1;
  for (size_t i = 0; i + step <= value.items.size(); i += step) {
    text += i == 0 ? "" : ", ";
    if (i >= kShownItems * step) {
      text += "...";
      break;
    }
    text += describe_at(pickle, value.items[i], depth - 1);
    if (step == 2) {
      text += ": " + describe_at(pickle, value.items[i + 1], depth - 1);
    }
  }
  return text + close;
}

std::string call(const Pickle& pickle, const PickleValue& value, int depth) {
  auto text = describe_at(pickle, value.items[0], depth - 1);
  const auto& arguments = pickle.at(value.items[1]);
  return text + (arguments.kind == Kind::tuple
                     ? items(pickle, arguments, '(', ')', depth)
                     : "(...)");
}

std::string describe_at(const Pickle& pickle, PickleRef ref, int depth) {
  const auto& value = pickle.at(ref);
  switch (value.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return value.integer != 0 ? "True" : "False";
    case Kind::integer:
      return fmt::format("{}", value.integer);
    case Kind::big_integer:
      return quote(value.text);
    case Kind::real:
      return fmt::format("{}", value.real);
    case Kind::text:
      return quote(value.text);
    case Kind::bytes:
      return "b" + quote(value.text);
    case Kind::tuple:
      return items(pickle, value, '(', ')', depth);
    case Kind::list:
      return items(pickle, value, '[', ']', depth);
    case Kind::set:
    case Kind::dict:
      return items(pickle, value, '{', '}', depth);
    case Kind::global:
      return global_name(value);
    case Kind::extension:
      return fmt::format("extension {}", value.integer);
    case Kind::persistent:
      return "persistent " +
             (depth == 0 ? "..."
                         : describe_at(pickle, value.items[0], depth - 1));
    case Kind::object:
      return depth == 0 ? "..." : call(pickle, value, depth);
    case Kind::buffer:
      return "a buffer";
    case Kind::mark:
      return "a mark";
  }
  return "";
}

}  // namespace

std::string global_name(const PickleValue& global) {
  auto quoted = quote(fmt::format("{}.{}", global.module, global.text));
  return quoted.substr(1, quoted.size() - 2);
}

std::string describe(const Pickle& pickle, PickleRef ref) {
  return describe_at(pickle, ref, kDepth);
}

bool bytes_of(const Pickle& pickle, PickleRef ref, std::string& bytes) {
  const auto* value = &pickle.at(ref);
  if (value->kind == Kind::bytes) {
    bytes = value->text;
    return true;
  }
  if (value->kind != Kind::object) {
    return false;
  }
  const auto& callee = pickle.at(value->items[0]);
  const auto& arguments = pickle.at(value->items[1]);
  if (callee.kind != Kind::global || callee.module != "_codecs" ||
      callee.text != "encode" || arguments.items.empty()) {
    return false;
  }
  const auto& text = pickle.at(arguments.items[0]);
  if (text.kind != Kind::text) {
    return false;
  }
  bytes.clear();
  // UTF-8 of the codes below 256 back to bytes.
  for (size_t i = 0; i < text.text.size(); ++i) {
    auto c = static_cast<unsigned char>(text.text[i]);
    if (c < 0x80) {
      bytes += static_cast<char>(c);
    } else if ((c == 0xc2 || c == 0xc3) && i + 1 < text.text.size()) {
      auto low = static_cast<unsigned char>(text.text[++i]) & 0x3f;
      bytes += static_cast<char>((c & 3) << 6 | low);
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace assay
