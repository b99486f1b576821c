#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"
#include "assay/mcp/assay_server.h"
#include "assay/mcp/conformance.h"
#include "assay/mcp/http.h"
#include "assay/mcp/stdio.h"

namespace assay::cli {
namespace {

int run_mcp(const Arguments& arguments, Output&) {
  auto project = arguments.maybe_text("--project");
  auto definition =
      mcp::assay_server(project ? std::filesystem::path(*project)
                                : std::filesystem::current_path());
  auto self = std::make_shared<mcp::Server*>();
  if (arguments.flag("--conformance-fixture")) {
    mcp::add_conformance_fixture(definition, self);
  }
  mcp::Server server(std::move(definition));
  *self = &server;
  if (arguments.flag("--http")) {
    mcp::serve_http(server, arguments.dimension("--port"), [](int port) {
      fmt::print(stderr, "http://127.0.0.1:{}/mcp\n", port);
    });
  } else {
    mcp::serve_stdio(server, std::cin, std::cout);
  }
  return kSound;
}

}  // namespace

Command mcp_command() {
  using enum OptionKind;
  return {.name = "mcp",
          .summary = "serve the verbs to a coding agent",
          .description =
              "A Model Context Protocol server on standard input and output, "
              "or over HTTP on this machine alone: inspect, check, fit, "
              "compare, explain, results, recall, task, learn and decide as "
              "tools, the project's documents as resources. Speaks revision "
              "2026-07-28 "
              "and the older ones.",
          .operands = {},
          .options = {{.name = "--http",
                       .help = "serve http://127.0.0.1:PORT/mcp instead"},
                      {.name = "--port",
                       .kind = integer,
                       .value = "N",
                       .help = "with --http; 0: any free one",
                       .fallback = "0"},
                      {.name = "--project",
                       .kind = path,
                       .value = "DIR",
                       .help = "the project; by default the current folder"},
                      {.name = "--conformance-fixture",
                       .help = "also what the protocol's test suite calls"}},
          .run = run_mcp};
}

}  // namespace assay::cli
