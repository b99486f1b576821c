#pragma once

// The machine behind read_pickle: a stack, marks and a memo, as CPython's, but
// its values are descriptions. Internal to this room.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "assay/formats/pickle.h"

namespace assay {

/** Ends the reading; never leaves read_pickle. */
struct PickleBroken : std::exception {
  explicit PickleBroken(std::string why, bool no_pickler_does = false)
      : problem(std::move(why)), hostile(no_pickler_does) {}
  std::string problem;
  bool hostile = false;
};

class PickleMachine {
 public:
  explicit PickleMachine(std::string_view text);
  Pickle run();

 private:
  using Kind = PickleValue::Kind;
  using Items = std::vector<PickleRef>;

  // pickle.cpp: the opcodes.
  bool step();
  bool literal();
  bool text_literal();
  bool container();
  bool memo_or_stack();
  bool active();

  // pickle_machine.cpp: the bytes, values and their stack.
  std::string_view take(uint64_t length);
  std::string_view line();
  uint64_t number(size_t width);
  PickleValue& at(PickleRef ref) { return pickle_.values[ref]; }
  PickleRef make(Kind kind);
  void push(PickleRef ref) { stack_.push_back(ref); }
  void push_new(Kind kind) { push(make(kind)); }
  void push_text(Kind kind, std::string_view text);
  void push_integer(Kind kind, int64_t value);
  void push_items(Kind kind, Items items);
  PickleRef pop();
  PickleRef pop_value();
  PickleRef top();
  Items pop_to_mark();
  void count_items(size_t count);
  std::string_view keep(std::string text);

  void integer_line();
  void long_bytes(uint64_t length);
  void real_bytes();
  void real_line();
  void string_line();
  void unicode_line();

  void remember(uint64_t index);
  void recall(uint64_t index);
  uint64_t memo_index();
  void protocol(uint64_t value);
  void frame(uint64_t length);

  void tuple_of(size_t count);
  void append(Items items, Kind plain);
  void put_entries(Items items);
  void put_one();
  void put_into_object(PickleRef target, Items items, Kind kind);

  // What loading would do.
  void event(PickleEvent::Kind kind, PickleRef value, PickleRef argument);
  PickleRef global(std::string_view module, std::string_view name);
  void call(PickleRef callable, PickleRef arguments);
  void build();
  void extension(uint64_t code);
  void persistent(PickleRef id);
  void stack_global();
  void object_from_mark();
  void instance();
  void new_object(bool keywords);

  std::string_view text_;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::unordered_map<uint64_t, PickleRef> memo_;
  size_t items_ = 0;
  size_t at_ = 0;
  size_t start_ = 0;  ///< of the opcode at hand
  uint8_t opcode_ = 0;
};

}  // namespace assay
