#pragma once

// What the official conformance suite (@modelcontextprotocol/conformance)
// expects a server under test to offer: tools, prompts and resources of fixed
// names, each doing one thing that the protocol allows. Served only by
// `assay mcp --conformance-fixture`.

#include <memory>

#include "assay/mcp/server.h"

namespace assay::mcp {

/** Adds them to `definition`. The server, which some of them use, is set once
 * it exists. */
void add_conformance_fixture(Definition& definition,
                             const std::shared_ptr<Server*>& server);

}  // namespace assay::mcp
