#pragma once

// Pickles read as data: nothing is imported, called or built. All opcodes of
// protocols 0 to 5 (CPython's Lib/pickletools.py is their specification).
// Values lie in one arena and refer to each other by number, so that shared
// references ("billion laughs") cost nothing; memory is bounded by the length
// of the pickle.

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

using PickleRef = uint32_t;

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    big_integer,  ///< beyond 64 bits: `text` is a literal, "123" or "0x7b"
    real,
    text,
    bytes,
    tuple,
    list,
    set,
    dict,        ///< items: key, value, key, value...
    global,      ///< module and name: what an import would give
    extension,   ///< an EXT code: `integer`
    persistent,  ///< items: the id
    object,      ///< items: callable, arguments [, states]; `integer` is the
                 ///< list of what was put into it, key, value..., or 0
    buffer,      ///< out-of-band data of protocol 5
    mark,
  };
  Kind kind = Kind::none;
  uint8_t opcode = 0;   ///< that made it
  uint64_t offset = 0;  ///< of that opcode
  int64_t integer = 0;
  double real = 0;
  std::string_view text;    ///< decoded; a global's name
  std::string_view module;  ///< of a global
  std::vector<PickleRef> items;
};

/** Something that loading would do. */
struct PickleEvent {
  enum class Kind : uint8_t {
    import,
    call,
    build,
    extension,
    persistent,
    append,  ///< items put into what is no plain container of that kind:
             ///< its own methods would run. argument: a list of them, or a
             ///< dict (key, value...)
  };
  Kind kind = Kind::import;
  PickleRef value = 0;     ///< the global; of a call or build, what is called
  PickleRef argument = 0;  ///< arguments, state, or the id
  uint8_t opcode = 0;
  uint64_t offset = 0;
};

struct Pickle {
  Pickle() = default;
  Pickle(Pickle&&) = default;  // moving keeps what the texts point to,
  Pickle& operator=(Pickle&&) = default;
  Pickle(const Pickle&) = delete;  // copying would not
  Pickle& operator=(const Pickle&) = delete;

  std::vector<PickleValue> values;
  std::vector<PickleEvent> events;  ///< in the order of the bytes
  PickleRef root = 0;
  int protocol = 0;
  uint64_t end = 0;  ///< after STOP, or where reading broke off
  bool complete = false;
  std::string problem;   ///< why it is not complete
  bool hostile = false;  ///< the problem is one that no pickler makes
  /** The highest memo index, and how many are in use: CPython's memory follows
   * the first. */
  uint64_t memo_highest = 0;
  uint64_t memo_used = 0;
  std::list<std::string> decoded;  ///< texts that the bytes hold escaped

  const PickleValue& at(PickleRef ref) const { return values[ref]; }
};

/** Reads one pickle from the start of `text`, which must outlive the result.
 * Throws nothing about content: a pickle that breaks off keeps all that came
 * before. */
Pickle read_pickle(std::string_view text);

/** True where a pickle of protocol 2 or later begins: PROTO and a number that
 * CPython reads. */
bool begins_pickle(std::string_view text);

/** "os.system" of a global. */
std::string global_name(const PickleValue& global);

/** A value in a few words, as Python would write it: "('echo', 1, [...])". */
std::string describe(const Pickle& pickle, PickleRef ref);

/** The bytes that a value stands for: a bytes literal, or the text that
 * Python 2's protocols encode as latin-1. False for anything else. */
bool bytes_of(const Pickle& pickle, PickleRef ref, std::string& bytes);

/** "REDUCE", or "0x2a" for a byte that is no opcode. */
std::string opcode_name(uint8_t opcode);

}  // namespace assay
