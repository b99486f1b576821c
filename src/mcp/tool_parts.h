#pragma once

// What descriptions of tools are made of: schemas of their arguments, and
// results.

#include "assay/mcp/server.h"

namespace assay::mcp {

/** A text of 1 to 4096 bytes. */
Json word(const char* description);
Json whole(const char* description, int least, int most);
Json choice(const char* description, bool fallback);
/** One of several words. */
Json one_of(const char* description, Json words);
/** An object that has these properties and no others. */
Json closed(Json properties, Json required);

/** The integer of that name in a tool's arguments. */
int number(const Json& arguments, const char* name, int fallback);

/** A report as text, compact since agents pay by the token, and as data. */
Json as_result(Json report);

}  // namespace assay::mcp
