// The names of opcodes, as CPython's Lib/pickletools.py has them.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "assay/formats/pickle.h"

namespace assay {
namespace {

struct Opcode {
  uint8_t code;
  std::string_view name;
};

/** By code. */
constexpr std::array kOpcodes = {
    Opcode{0x28, "MARK"},         Opcode{0x29, "EMPTY_TUPLE"},
    Opcode{0x2e, "STOP"},         Opcode{0x30, "POP"},
    Opcode{0x31, "POP_MARK"},     Opcode{0x32, "DUP"},
    Opcode{0x42, "BINBYTES"},     Opcode{0x43, "SHORT_BINBYTES"},
    Opcode{0x46, "FLOAT"},        Opcode{0x47, "BINFLOAT"},
    Opcode{0x49, "INT"},          Opcode{0x4a, "BININT"},
    Opcode{0x4b, "BININT1"},      Opcode{0x4c, "LONG"},
    Opcode{0x4d, "BININT2"},      Opcode{0x4e, "NONE"},
    Opcode{0x50, "PERSID"},       Opcode{0x51, "BINPERSID"},
    Opcode{0x52, "REDUCE"},       Opcode{0x53, "STRING"},
    Opcode{0x54, "BINSTRING"},    Opcode{0x55, "SHORT_BINSTRING"},
    Opcode{0x56, "UNICODE"},      Opcode{0x58, "BINUNICODE"},
    Opcode{0x5d, "EMPTY_LIST"},   Opcode{0x61, "APPEND"},
    Opcode{0x62, "BUILD"},        Opcode{0x63, "GLOBAL"},
    Opcode{0x64, "DICT"},         Opcode{0x65, "APPENDS"},
    Opcode{0x67, "GET"},          Opcode{0x68, "BINGET"},
    Opcode{0x69, "INST"},         Opcode{0x6a, "LONG_BINGET"},
    Opcode{0x6c, "LIST"},         Opcode{0x6f, "OBJ"},
    Opcode{0x70, "PUT"},          Opcode{0x71, "BINPUT"},
    Opcode{0x72, "LONG_BINPUT"},  Opcode{0x73, "SETITEM"},
    Opcode{0x74, "TUPLE"},        Opcode{0x75, "SETITEMS"},
    Opcode{0x7d, "EMPTY_DICT"},   Opcode{0x80, "PROTO"},
    Opcode{0x81, "NEWOBJ"},       Opcode{0x82, "EXT1"},
    Opcode{0x83, "EXT2"},         Opcode{0x84, "EXT4"},
    Opcode{0x85, "TUPLE1"},       Opcode{0x86, "TUPLE2"},
    Opcode{0x87, "TUPLE3"},       Opcode{0x88, "NEWTRUE"},
    Opcode{0x89, "NEWFALSE"},     Opcode{0x8a, "LONG1"},
    Opcode{0x8b, "LONG4"},        Opcode{0x8c, "SHORT_BINUNICODE"},
    Opcode{0x8d, "BINUNICODE8"},  Opcode{0x8e, "BINBYTES8"},
    Opcode{0x8f, "EMPTY_SET"},    Opcode{0x90, "ADDITEMS"},
    Opcode{0x91, "FROZENSET"},    Opcode{0x92, "NEWOBJ_EX"},
    Opcode{0x93, "STACK_GLOBAL"}, Opcode{0x94, "MEMOIZE"},
    Opcode{0x95, "FRAME"},        Opcode{0x96, "BYTEARRAY8"},
    Opcode{0x97, "NEXT_BUFFER"},  Opcode{0x98, "READONLY_BUFFER"},
};

}  // namespace

std::string opcode_name(uint8_t opcode) {
  const auto* found =
      std::ranges::lower_bound(kOpcodes, opcode, {}, &Opcode::code);
  if (found == kOpcodes.end() || found->code != opcode) {
    return fmt::format("0x{:02x}", opcode);
  }
  return std::string(found->name);
}

}  // namespace assay
