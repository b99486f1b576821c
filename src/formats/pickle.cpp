#include "assay/formats/pickle.h"

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "assay/formats/quote.h"

namespace assay {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxValues = 8u << 20;
constexpr size_t kMaxItems = 64u << 20;

/** Ends the reading; never leaves read_pickle. */
struct Broken : std::exception {
  explicit Broken(std::string why, bool no_pickler_does = false)
      : problem(std::move(why)), hostile(no_pickler_does) {}
  std::string problem;
  bool hostile = false;
};

class Machine {
 public:
  explicit Machine(std::string_view text) : text_(text) {
    pickle_.values.emplace_back();
  }

  Pickle run() {
    try {
      while (step()) {
      }
      pickle_.complete = true;
    } catch (const Broken& broken) {
      pickle_.problem = fmt::format("byte {}: {}", start_, broken.problem);
      pickle_.hostile = broken.hostile;
    }
    pickle_.end = at_;
    return std::move(pickle_);
  }

 private:
  std::string_view take(uint64_t length) {
    if (length > text_.size() - at_) {
      throw Broken{"the pickle ends within an opcode"};
    }
    auto part = text_.substr(at_, static_cast<size_t>(length));
    at_ += static_cast<size_t>(length);
    return part;
  }

  uint64_t number(size_t width) {
    uint64_t value = 0;
    size_t shift = 0;
    for (char c : take(width)) {
      value |= uint64_t{static_cast<unsigned char>(c)} << shift;
      shift += 8;
    }
    return value;
  }

  std::string_view line() {
    auto end = text_.find('\n', at_);
    if (end == std::string_view::npos) {
      throw Broken{"a line without an end"};
    }
    auto part = text_.substr(at_, end - at_);
    at_ = end + 1;
    return part;
  }

  PickleRef make(Kind kind) {
    if (pickle_.values.size() >= kMaxValues) {
      throw Broken{"more values than any checkpoint holds"};
    }
    PickleValue value;
    value.kind = kind;
    value.opcode = opcode_;
    value.offset = start_;
    pickle_.values.push_back(std::move(value));
    return static_cast<PickleRef>(pickle_.values.size() - 1);
  }

  PickleValue& at(PickleRef ref) { return pickle_.values[ref]; }

  void push(PickleRef ref) { stack_.push_back(ref); }
  void push_new(Kind kind) { push(make(kind)); }
  void push_text(Kind kind, std::string_view text) {
    push_new(kind);
    at(stack_.back()).text = text;
  }
  void push_integer(Kind kind, int64_t value) {
    push_new(kind);
    at(stack_.back()).integer = value;
  }

  PickleRef pop() {
    if (stack_.empty()) {
      throw Broken{"the stack is empty", true};
    }
    auto ref = stack_.back();
    stack_.pop_back();
    return ref;
  }

  PickleRef pop_value() {
    auto ref = pop();
    if (at(ref).kind == Kind::mark) {
      throw Broken{"a mark where a value should be", true};
    }
    return ref;
  }

  PickleRef top() {
    auto ref = pop_value();
    push(ref);
    return ref;
  }

  std::vector<PickleRef> pop_to_mark() {
    size_t first = stack_.size();
    while (first > 0 && at(stack_[first - 1]).kind != Kind::mark) {
      --first;
    }
    if (first == 0) {
      throw Broken{"no mark on the stack", true};
    }
    std::vector<PickleRef> items(
        stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
    stack_.resize(first - 1);
    return items;
  }

  void push_items(Kind kind, std::vector<PickleRef> items) {
    count_items(items.size());
    push_new(kind);
    at(stack_.back()).items = std::move(items);
  }

  void count_items(size_t count) {
    items_ += count;
    if (items_ > kMaxItems) {
      throw Broken{"more items than any checkpoint holds"};
    }
  }

  void append(std::vector<PickleRef> items) {
    count_items(items.size());
    // An object's own append would run: items are kept apart from its
    // callable and arguments, and the safety rules see its class.
    auto target = top();
    if (at(target).kind == Kind::object) {
      event(PickleEvent::Kind::append, target, 0);
      target = entries_of(target);
    }
    auto& all = at(target).items;
    all.insert(all.end(), items.begin(), items.end());
  }

  // Entries of an object (an OrderedDict) are kept in a dict beside it.
  void put_entries(std::vector<PickleRef> items) {
    if (items.size() % 2 != 0) {
      throw Broken{"a key without a value", true};
    }
    auto target = top();
    if (at(target).kind == Kind::object) {
      event(PickleEvent::Kind::append, target, 0);
      target = entries_of(target);
    }
    count_items(items.size());
    auto& all = at(target).items;
    all.insert(all.end(), items.begin(), items.end());
  }

  PickleRef entries_of(PickleRef object) {
    auto [entry, fresh] = entries_.emplace(object, 0);
    if (fresh) {
      entry->second = make(Kind::dict);
      at(object).integer = entry->second;
    }
    return entry->second;
  }

  void event(PickleEvent::Kind kind, PickleRef value, PickleRef argument) {
    pickle_.events.push_back({kind, value, argument, opcode_, start_});
  }

  PickleRef global(std::string_view module, std::string_view name) {
    auto ref = make(Kind::global);
    at(ref).module = module;
    at(ref).text = name;
    event(PickleEvent::Kind::import, ref, 0);
    return ref;
  }

  void call(PickleRef callable, PickleRef arguments) {
    event(PickleEvent::Kind::call, callable, arguments);
    push_items(Kind::object, {callable, arguments});
  }

  void build() {
    auto state = pop_value();
    auto target = top();
    event(PickleEvent::Kind::build, target, state);
    if (at(target).kind == Kind::object) {
      at(target).items.push_back(state);
    }
  }

  void remember(uint64_t index) { memo_[index] = top(); }
  void recall(uint64_t index) {
    auto found = memo_.find(index);
    if (found == memo_.end()) {
      throw Broken{fmt::format("memo {} is not set", index), true};
    }
    push(found->second);
  }

  uint64_t decimal(std::string_view text) {
    uint64_t value = 0;
    auto result =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
      throw Broken{"no number: " + quote(text), true};
    }
    return value;
  }

  void integer_line(std::string_view text) {
    if (opcode_ == 'I' && (text == "00" || text == "01")) {
      push_integer(Kind::boolean, text == "01" ? 1 : 0);
      return;
    }
    auto digits = text.ends_with('L') ? text.substr(0, text.size() - 1) : text;
    int64_t value = 0;
    auto result =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    bool whole = result.ptr == digits.data() + digits.size();
    if (whole && result.ec == std::errc()) {
      push_integer(Kind::integer, value);
    } else {
      push_text(Kind::big_integer, text);
    }
  }

  void long_bytes(uint64_t length) {
    auto bytes = take(length);
    if (length > 8) {
      push_text(Kind::big_integer, bytes);
      return;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < 8; ++i) {
      bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
      auto fill = static_cast<unsigned char>(negative ? 0xff : 0);
      auto byte =
          i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : fill;
      value |= uint64_t{byte} << (8 * i);
    }
    push_integer(Kind::integer, static_cast<int64_t>(value));
  }

  void real_bytes() {
    uint64_t bits = 0;
    for (char c : take(8)) {
      bits = bits << 8 | static_cast<unsigned char>(c);
    }
    push_new(Kind::real);
    at(stack_.back()).real = std::bit_cast<double>(bits);
  }

  // Not from_chars: libc++ of macOS has none for floating point.
  void real_line() {
    auto text = line();
    push_text(Kind::real, text);
    auto copy = std::string(text);
    char* end = nullptr;
    at(stack_.back()).real = std::strtod(copy.c_str(), &end);
    if (copy.empty() || end != copy.c_str() + copy.size()) {
      throw Broken("a FLOAT that is no number", true);
    }
  }

  // The quotes of a STRING go; escapes stay as they are written.
  void string_line() {
    auto text = line();
    if (text.size() < 2 || text.front() != text.back() ||
        (text.front() != '\'' && text.front() != '"')) {
      throw Broken{"a STRING without quotes", true};
    }
    push_text(Kind::text, text.substr(1, text.size() - 2));
  }

  void extension(uint64_t code) {
    push_integer(Kind::extension, static_cast<int64_t>(code));
    event(PickleEvent::Kind::extension, stack_.back(), 0);
  }

  void persistent(PickleRef id) {
    event(PickleEvent::Kind::persistent, id, id);
    push_items(Kind::persistent, {id});
  }

  void stack_global() {
    auto name = pop_value();
    auto module = pop_value();
    if (at(name).kind != Kind::text || at(module).kind != Kind::text) {
      throw Broken{"STACK_GLOBAL of what is no text", true};
    }
    push(global(at(module).text, at(name).text));
  }

  void object_from_mark() {
    auto items = pop_to_mark();
    if (items.empty()) {
      throw Broken{"OBJ without a class", true};
    }
    auto callable = items.front();
    items.erase(items.begin());
    push_items(Kind::tuple, std::move(items));
    call(callable, pop());
  }

  void instance() {
    auto module = line();
    auto name = line();
    auto callable = global(module, name);
    push_items(Kind::tuple, pop_to_mark());
    call(callable, pop());
  }

  void new_object(bool keywords) {
    auto named = keywords ? pop_value() : PickleRef{0};
    auto arguments = pop_value();
    auto callable = pop_value();
    if (keywords) {
      push_items(Kind::tuple, {arguments, named});
      arguments = pop();
    }
    call(callable, arguments);
  }

  void tuple_of(size_t count) {
    std::vector<PickleRef> items(count);
    for (size_t i = count; i-- > 0;) {
      items[i] = pop_value();
    }
    push_items(Kind::tuple, std::move(items));
  }

  void put_one() {
    auto value = pop_value();
    auto key = pop_value();
    put_entries({key, value});
  }

  void protocol(uint64_t value) {
    constexpr uint64_t kNewest = 5;
    if (value > kNewest) {
      throw Broken{fmt::format("protocol {}", value)};
    }
    pickle_.protocol = static_cast<int>(value);
  }

  bool step() {
    start_ = at_;
    opcode_ = static_cast<uint8_t>(take(1)[0]);
    if (opcode_ == '.') {
      pickle_.root = pop_value();
      return false;
    }
    if (!literal() && !container() && !memo_or_stack() && !active()) {
      throw Broken{fmt::format("0x{:02x} is no opcode", opcode_), true};
    }
    return true;
  }

  bool literal() {
    switch (opcode_) {
      case 'N':
        push_new(Kind::none);
        return true;
      case 0x88:
        push_integer(Kind::boolean, 1);
        return true;
      case 0x89:
        push_integer(Kind::boolean, 0);
        return true;
      case 'I':
      case 'L':
        integer_line(line());
        return true;
      case 'J':
        push_integer(Kind::integer, static_cast<int32_t>(number(4)));
        return true;
      case 'K':
        push_integer(Kind::integer, int64_t(number(1)));
        return true;
      case 'M':
        push_integer(Kind::integer, int64_t(number(2)));
        return true;
      case 0x8a:
        long_bytes(number(1));
        return true;
      case 0x8b:
        long_bytes(number(4));
        return true;
      case 'F':
        real_line();
        return true;
      case 'G':
        real_bytes();
        return true;
      case 'S':
        string_line();
        return true;
      case 'T':
        push_text(Kind::text, take(number(4)));
        return true;
      case 'U':
        push_text(Kind::text, take(number(1)));
        return true;
      case 'V':
        push_text(Kind::text, line());
        return true;
      case 'X':
        push_text(Kind::text, take(number(4)));
        return true;
      case 0x8c:
        push_text(Kind::text, take(number(1)));
        return true;
      case 0x8d:
        push_text(Kind::text, take(number(8)));
        return true;
      case 'B':
        push_text(Kind::bytes, take(number(4)));
        return true;
      case 'C':
        push_text(Kind::bytes, take(number(1)));
        return true;
      case 0x8e:
      case 0x96:
        push_text(Kind::bytes, take(number(8)));
        return true;
      case 0x97:
        push_new(Kind::buffer);
        return true;
      case 0x98:
        top();
        return true;
      default:
        return false;
    }
  }

  bool container() {
    switch (opcode_) {
      case ')':
        push_new(Kind::tuple);
        return true;
      case 't':
        push_items(Kind::tuple, pop_to_mark());
        return true;
      case 0x85:
        tuple_of(1);
        return true;
      case 0x86:
        tuple_of(2);
        return true;
      case 0x87:
        tuple_of(3);
        return true;
      case ']':
        push_new(Kind::list);
        return true;
      case 'l':
        push_items(Kind::list, pop_to_mark());
        return true;
      case 'a': {
        auto item = pop_value();
        append({item});
        return true;
      }
      case 'e':
      case 0x90:
        append(pop_to_mark());
        return true;
      case '}':
        push_new(Kind::dict);
        return true;
      case 'd': {
        auto items = pop_to_mark();
        push_new(Kind::dict);
        put_entries(std::move(items));
        return true;
      }
      case 's':
        put_one();
        return true;
      case 'u':
        put_entries(pop_to_mark());
        return true;
      case 0x8f:
        push_new(Kind::set);
        return true;
      case 0x91:
        push_items(Kind::set, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool memo_or_stack() {
    switch (opcode_) {
      case '(':
        push_new(Kind::mark);
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case '2':
        push(top());
        return true;
      case 'p':
        remember(decimal(line()));
        return true;
      case 'q':
        remember(number(1));
        return true;
      case 'r':
        remember(number(4));
        return true;
      case 0x94:
        remember(memo_.size());
        return true;
      case 'g':
        recall(decimal(line()));
        return true;
      case 'h':
        recall(number(1));
        return true;
      case 'j':
        recall(number(4));
        return true;
      case 0x80:
        protocol(number(1));
        return true;
      case 0x95:
        number(8);
        return true;
      default:
        return false;
    }
  }

  bool active() {
    switch (opcode_) {
      case 'c': {
        auto module = line();
        auto name = line();
        push(global(module, name));
        return true;
      }
      case 0x93:
        stack_global();
        return true;
      case 'R': {
        auto arguments = pop_value();
        call(pop_value(), arguments);
        return true;
      }
      case 'b':
        build();
        return true;
      case 'i':
        instance();
        return true;
      case 'o':
        object_from_mark();
        return true;
      case 0x81:
        new_object(false);
        return true;
      case 0x92:
        new_object(true);
        return true;
      case 0x82:
        extension(number(1));
        return true;
      case 0x83:
        extension(number(2));
        return true;
      case 0x84:
        extension(number(4));
        return true;
      case 'P': {
        push_text(Kind::text, line());
        persistent(pop());
        return true;
      }
      case 'Q':
        persistent(pop_value());
        return true;
      default:
        return false;
    }
  }

  std::string_view text_;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::unordered_map<uint64_t, PickleRef> memo_;
  std::unordered_map<PickleRef, PickleRef> entries_;
  size_t items_ = 0;
  size_t at_ = 0;
  size_t start_ = 0;
  uint8_t opcode_ = 0;
};

}  // namespace

Pickle read_pickle(std::string_view text) {
  return Machine(text).run();
}

std::string opcode_name(uint8_t opcode) {
  switch (opcode) {
    case 'c':
      return "GLOBAL";
    case 0x93:
      return "STACK_GLOBAL";
    case 'R':
      return "REDUCE";
    case 'b':
      return "BUILD";
    case 'i':
      return "INST";
    case 'o':
      return "OBJ";
    case 0x81:
      return "NEWOBJ";
    case 0x92:
      return "NEWOBJ_EX";
    case 0x82:
      return "EXT1";
    case 0x83:
      return "EXT2";
    case 0x84:
      return "EXT4";
    case 'P':
      return "PERSID";
    case 'Q':
      return "BINPERSID";
    default:
      return fmt::format("0x{:02x}", opcode);
  }
}

}  // namespace assay
