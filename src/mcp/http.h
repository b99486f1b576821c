#pragma once

// The Streamable HTTP transport: POST /mcp, answered with JSON or, where a
// request sends notifications of its own, with a stream of events.

#include <functional>
#include <string>

#include "assay/mcp/server.h"

namespace assay::mcp {

/** Listens on the loopback interface alone and serves until the process ends.
 * `port` 0: any free one; `ready` is told which. Throws Error mcp.port,
 * http.unavailable. */
void serve_http(Server& server,
                int port,
                const std::function<void(int port)>& ready);

}  // namespace assay::mcp
