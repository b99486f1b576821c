#pragma once

// The stdio transport: a message a line, on standard input and output.

#include <istream>
#include <ostream>

#include "assay/mcp/server.h"

namespace assay::mcp {

/** Serves until `input` ends; what was asked by then is answered. */
void serve_stdio(Server& server, std::istream& input, std::ostream& output);

}  // namespace assay::mcp
