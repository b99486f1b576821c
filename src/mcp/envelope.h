#pragma once

// What surrounds a request: which era it speaks, the fields that every modern
// request carries, and the HTTP headers that must say the same as its body
// (2026-07-28, Versioning; Streamable HTTP, Request Metadata).

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "assay/mcp/server.h"

namespace assay::mcp {

/** The value of an HTTP header, its name in any case; nothing if absent. */
using Headers =
    std::function<std::optional<std::string>(std::string_view name)>;

/** Sets the era, and holds a modern request's fields to the rules. `opened`:
 * a legacy client has shaken hands on this stream. Throws ProtocolError. */
void open_on_stdio(Request& request, bool opened);

/** The same over HTTP, where every request stands alone: one without any sign
 * of the modern revision is a legacy one. */
void open_on_http(Request& request,
                  const Definition& definition,
                  const Headers& headers);

/** The text behind "=?base64?...?=", or the value itself. Throws ProtocolError
 * kHeaderMismatch for what is no base64. */
std::string decode_header(const std::string& value);

/** Of a "Host" or "Origin" header: whether it names this machine's loopback
 * interface, so that no page of another site can reach the server. */
bool is_local_host(std::string_view host);
bool is_local_origin(std::string_view origin);

}  // namespace assay::mcp
