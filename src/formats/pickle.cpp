#include "assay/formats/pickle.h"

#include <fmt/format.h>

#include "assay/formats/pickle_machine.h"

namespace assay {

PickleMachine::PickleMachine(std::string_view text) : text_(text) {
  pickle_.values.emplace_back();
}

Pickle PickleMachine::run() {
  try {
    while (step()) {
    }
    pickle_.complete = pickle_.problem.empty();
  } catch (const PickleBroken& broken) {
    pickle_.problem = fmt::format("byte {}: {}", start_, broken.problem);
    pickle_.hostile = broken.hostile;
  }
  pickle_.end = at_;
  return std::move(pickle_);
}

bool PickleMachine::step() {
  start_ = at_;
  opcode_ = static_cast<uint8_t>(take(1)[0]);
  if (opcode_ == '.') {
    pickle_.root = pop_value();
    return false;
  }
  if (!literal() && !text_literal() && !container() && !memo_or_stack() &&
      !active()) {
    throw PickleBroken{fmt::format("0x{:02x} is no opcode", opcode_), true};
  }
  return true;
}

bool PickleMachine::literal() {
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
      integer_line();
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
    default:
      return false;
  }
}

bool PickleMachine::text_literal() {
  switch (opcode_) {
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
      unicode_line();
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

bool PickleMachine::container() {
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
      append({item}, Kind::list);
      return true;
    }
    case 'e':
      append(pop_to_mark(), Kind::list);
      return true;
    case 0x90:
      append(pop_to_mark(), Kind::set);
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

bool PickleMachine::memo_or_stack() {
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
      remember(memo_index());
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
      recall(memo_index());
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
      frame(number(8));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::active() {
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

Pickle read_pickle(std::string_view text) {
  return PickleMachine(text).run();
}

bool begins_pickle(std::string_view text) {
  return text.size() > 2 && text[0] == '\x80' && text[1] >= 0 && text[1] <= 5;
}

}  // namespace assay
