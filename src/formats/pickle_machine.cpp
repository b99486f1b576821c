#include "assay/formats/pickle_machine.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "assay/formats/pickle_text.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

constexpr size_t kMaxValues = 4u << 20;
constexpr size_t kMaxItems = 32u << 20;

}  // namespace

std::string_view PickleMachine::take(uint64_t length) {
  if (length > text_.size() - at_) {
    throw PickleBroken{"the pickle ends within an opcode"};
  }
  auto part = text_.substr(at_, static_cast<size_t>(length));
  at_ += static_cast<size_t>(length);
  return part;
}

std::string_view PickleMachine::line() {
  auto end = text_.find('\n', at_);
  if (end == std::string_view::npos) {
    throw PickleBroken{"a line without an end"};
  }
  auto part = text_.substr(at_, end - at_);
  at_ = end + 1;
  return part;
}

uint64_t PickleMachine::number(size_t width) {
  uint64_t value = 0;
  size_t shift = 0;
  for (char c : take(width)) {
    value |= uint64_t{static_cast<unsigned char>(c)} << shift;
    shift += 8;
  }
  return value;
}

PickleRef PickleMachine::make(Kind kind) {
  if (pickle_.values.size() >= kMaxValues) {
    throw PickleBroken{"more values than any checkpoint holds"};
  }
  PickleValue value;
  value.kind = kind;
  value.opcode = opcode_;
  value.offset = start_;
  pickle_.values.push_back(std::move(value));
  return static_cast<PickleRef>(pickle_.values.size() - 1);
}

void PickleMachine::push_text(Kind kind, std::string_view text) {
  push_new(kind);
  at(stack_.back()).text = text;
}

void PickleMachine::push_integer(Kind kind, int64_t value) {
  push_new(kind);
  at(stack_.back()).integer = value;
}

void PickleMachine::push_items(Kind kind, Items items) {
  count_items(items.size());
  push_new(kind);
  at(stack_.back()).items = std::move(items);
}

PickleRef PickleMachine::pop() {
  if (stack_.empty()) {
    throw PickleBroken{"the stack is empty", true};
  }
  auto ref = stack_.back();
  stack_.pop_back();
  return ref;
}

PickleRef PickleMachine::pop_value() {
  auto ref = pop();
  if (at(ref).kind == Kind::mark) {
    throw PickleBroken{"a mark where a value should be", true};
  }
  return ref;
}

PickleRef PickleMachine::top() {
  auto ref = pop_value();
  push(ref);
  return ref;
}

PickleMachine::Items PickleMachine::pop_to_mark() {
  size_t first = stack_.size();
  while (first > 0 && at(stack_[first - 1]).kind != Kind::mark) {
    --first;
  }
  if (first == 0) {
    throw PickleBroken{"no mark on the stack", true};
  }
  Items items(stack_.begin() + static_cast<std::ptrdiff_t>(first),
              stack_.end());
  stack_.resize(first - 1);
  return items;
}

void PickleMachine::count_items(size_t count) {
  items_ += count;
  if (items_ > kMaxItems) {
    throw PickleBroken{"more items than any checkpoint holds"};
  }
}

std::string_view PickleMachine::keep(std::string text) {
  return pickle_.decoded.emplace_back(std::move(text));
}

void PickleMachine::integer_line() {
  auto text = line();
  if (opcode_ == 'I' && (text == "00" || text == "01")) {
    push_integer(Kind::boolean, text == "01" ? 1 : 0);
    return;
  }
  bool marked = opcode_ == 'L' && text.ends_with('L');
  auto digits = text.substr(0, text.size() - (marked ? 1 : 0));
  int64_t value = 0;
  auto result =
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
  bool whole = result.ptr == digits.data() + digits.size();
  if (whole && result.ec == std::errc()) {
    push_integer(Kind::integer, value);
  } else if (is_python_integer(digits)) {
    push_text(Kind::big_integer, digits);
  } else {
    throw PickleBroken{"no number: " + quote(text), true};
  }
}

void PickleMachine::long_bytes(uint64_t length) {
  auto bytes = take(length);
  if (length > 8) {
    push_text(Kind::big_integer, keep(hexadecimal(bytes)));
    return;
  }
  bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) {
    auto fill = static_cast<unsigned char>(negative ? 0xff : 0);
    auto byte = i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : fill;
    value |= uint64_t{byte} << (8 * i);
  }
  push_integer(Kind::integer, static_cast<int64_t>(value));
}

void PickleMachine::real_bytes() {
  uint64_t bits = 0;
  for (char c : take(8)) {
    bits = bits << 8 | static_cast<unsigned char>(c);
  }
  push_new(Kind::real);
  at(stack_.back()).real = std::bit_cast<double>(bits);
}

// Not from_chars: libc++ of macOS has none for floating point.
void PickleMachine::real_line() {
  auto text = line();
  push_text(Kind::real, text);
  auto copy = std::string(text);
  char* end = nullptr;
  at(stack_.back()).real = std::strtod(copy.c_str(), &end);
  if (copy.empty() || end != copy.c_str() + copy.size()) {
    throw PickleBroken("a FLOAT that is no number", true);
  }
}

void PickleMachine::string_line() {
  auto text = line();
  if (text.size() < 2 || text.front() != text.back() ||
      (text.front() != '\'' && text.front() != '"')) {
    throw PickleBroken{"a STRING without quotes", true};
  }
  text = text.substr(1, text.size() - 2);
  if (text.find('\\') == std::string_view::npos) {
    push_text(Kind::text, text);
    return;
  }
  auto decoded = decode_string_escapes(text);
  if (!decoded) {
    throw PickleBroken{"a STRING with a broken escape", true};
  }
  push_text(Kind::text, keep(std::move(*decoded)));
}

void PickleMachine::unicode_line() {
  auto text = line();
  auto plain = [](char c) { return c != '\\' && (c & 0x80) == 0; };
  size_t first = 0;
  while (first < text.size() && plain(text[first])) {
    ++first;
  }
  if (first == text.size()) {
    push_text(Kind::text, text);
    return;
  }
  auto decoded = decode_raw_unicode(text);
  if (!decoded) {
    throw PickleBroken{"a UNICODE with a broken escape", true};
  }
  push_text(Kind::text, keep(std::move(*decoded)));
}

void PickleMachine::remember(uint64_t index) {
  memo_[index] = top();
  pickle_.memo_highest = std::max(pickle_.memo_highest, index);
  pickle_.memo_used = memo_.size();
}

void PickleMachine::recall(uint64_t index) {
  auto found = memo_.find(index);
  if (found == memo_.end()) {
    throw PickleBroken{fmt::format("memo {} is not set", index), true};
  }
  push(found->second);
}

uint64_t PickleMachine::memo_index() {
  auto text = line();
  uint64_t value = 0;
  auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    throw PickleBroken{"no memo index: " + quote(text), true};
  }
  return value;
}

void PickleMachine::protocol(uint64_t value) {
  constexpr uint64_t kNewest = 5;
  if (value > kNewest) {
    throw PickleBroken{fmt::format("protocol {}", value)};
  }
  pickle_.protocol = static_cast<int>(value);
}

// CPython stops at a frame that the bytes do not back; what follows is read
// all the same, for those who judge it.
void PickleMachine::frame(uint64_t length) {
  if (length > text_.size() - at_ && pickle_.problem.empty()) {
    pickle_.problem =
        fmt::format("byte {}: the pickle ends within a frame", start_);
  }
}

void PickleMachine::tuple_of(size_t count) {
  Items items(count);
  for (size_t i = count; i-- > 0;) {
    items[i] = pop_value();
  }
  push_items(Kind::tuple, std::move(items));
}

void PickleMachine::append(Items items, Kind plain) {
  auto target = top();
  if (at(target).kind != plain) {
    put_into_object(target, std::move(items), Kind::list);
    return;
  }
  count_items(items.size());
  auto& all = at(target).items;
  all.insert(all.end(), items.begin(), items.end());
}

void PickleMachine::put_entries(Items items) {
  if (items.size() % 2 != 0) {
    throw PickleBroken{"a key without a value", true};
  }
  auto target = top();
  if (at(target).kind != Kind::dict) {
    put_into_object(target, std::move(items), Kind::dict);
    return;
  }
  count_items(items.size());
  auto& all = at(target).items;
  all.insert(all.end(), items.begin(), items.end());
}

void PickleMachine::put_one() {
  auto value = pop_value();
  auto key = pop_value();
  put_entries({key, value});
}

// An object's own method would run: what is put into it is kept apart from
// its callable and arguments, and told as an event.
void PickleMachine::put_into_object(PickleRef target, Items items, Kind kind) {
  switch (at(target).kind) {
    case Kind::object:
    case Kind::global:
    case Kind::extension:
    case Kind::persistent:
      break;
    default:
      throw PickleBroken{"items put into what takes none", true};
  }
  count_items(2 * items.size());
  auto put = make(kind);
  at(put).items = items;
  event(PickleEvent::Kind::append, target, put);
  if (at(target).kind != Kind::object) {
    return;
  }
  if (at(target).integer == 0) {
    auto entries = make(kind);
    at(target).integer = entries;
  }
  auto& all = at(static_cast<PickleRef>(at(target).integer)).items;
  all.insert(all.end(), items.begin(), items.end());
}

void PickleMachine::event(PickleEvent::Kind kind,
                          PickleRef value,
                          PickleRef argument) {
  pickle_.events.push_back({kind, value, argument, opcode_, start_});
}

PickleRef PickleMachine::global(std::string_view module,
                                std::string_view name) {
  auto ref = make(Kind::global);
  at(ref).module = module;
  at(ref).text = name;
  event(PickleEvent::Kind::import, ref, 0);
  return ref;
}

void PickleMachine::call(PickleRef callable, PickleRef arguments) {
  event(PickleEvent::Kind::call, callable, arguments);
  push_items(Kind::object, {callable, arguments});
}

void PickleMachine::build() {
  auto state = pop_value();
  auto target = top();
  event(PickleEvent::Kind::build, target, state);
  if (at(target).kind == Kind::object) {
    at(target).items.push_back(state);
  }
}

void PickleMachine::extension(uint64_t code) {
  push_integer(Kind::extension, static_cast<int64_t>(code));
  event(PickleEvent::Kind::extension, stack_.back(), 0);
}

void PickleMachine::persistent(PickleRef id) {
  event(PickleEvent::Kind::persistent, id, id);
  push_items(Kind::persistent, {id});
}

void PickleMachine::stack_global() {
  auto name = pop_value();
  auto module = pop_value();
  if (at(name).kind != Kind::text || at(module).kind != Kind::text) {
    throw PickleBroken{"STACK_GLOBAL of what is no text", true};
  }
  push(global(at(module).text, at(name).text));
}

void PickleMachine::object_from_mark() {
  auto items = pop_to_mark();
  if (items.empty()) {
    throw PickleBroken{"OBJ without a class", true};
  }
  auto callable = items.front();
  items.erase(items.begin());
  push_items(Kind::tuple, std::move(items));
  call(callable, pop());
}

void PickleMachine::instance() {
  auto module = line();
  auto name = line();
  auto callable = global(module, name);
  push_items(Kind::tuple, pop_to_mark());
  call(callable, pop());
}

void PickleMachine::new_object(bool keywords) {
  auto named = keywords ? pop_value() : PickleRef{0};
  auto arguments = pop_value();
  auto callable = pop_value();
  if (keywords) {
    push_items(Kind::tuple, {arguments, named});
    arguments = pop();
  }
  call(callable, arguments);
}

}  // namespace assay
