#pragma once

// How protocol 0 writes text, and numbers beyond 64 bits: decoded the way
// CPython's unpickler does, so that a name is judged as it would be imported.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

/** The argument of STRING between its quotes: backslash escapes as in a
 * Python bytes literal (\n, \x2e, \056...). Nothing where CPython refuses. */
std::optional<std::string> decode_string_escapes(std::string_view text);

/** The argument of UNICODE: raw-unicode-escape, that is latin-1 with \uXXXX
 * and \UXXXXXXXX; as UTF-8. Nothing where CPython refuses. */
std::optional<std::string> decode_raw_unicode(std::string_view text);

/** A little-endian two's complement number as "0x1f" or "-0x1f". */
std::string hexadecimal(std::string_view little_endian);

/** True for what Python's int(text, 0) takes: a sign, digits with underscores
 * in base 10, 16, 8 or 2. */
bool is_python_integer(std::string_view text);

}  // namespace assay
