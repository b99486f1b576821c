// The program: parse, call one job, render. Exit codes: 0 sound, 1 findings or
// failure, 2 usage, 3 could not decide.

#include <cstdio>
#include <exception>
#include <new>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/documents.h"
#include "assay/cli/output.h"
#include "assay/core/finding_json.h"
#include "assay/core/platform.h"
#include "assay/kernels/linear.h"

namespace assay::cli {
namespace {

int report(const Finding& finding, Output& output) {
  if (output.json()) {
    output.print_json({{"findings", Json::array({to_json(finding)})}});
  } else {
    fmt::print(stderr, "{}\n", to_text(finding));
  }
  return kFindings;
}

void choose_activations(const Arguments& arguments) {
  bool wide = arguments.flag("--float32"), narrow = arguments.flag("--int8");
  if (wide && narrow) {
    throw UsageError("one of --float32 and --int8");
  }
  if (wide) {
    kernels::set_activations(kernels::Activations::float32);
  } else if (narrow) {
    kernels::set_activations(kernels::Activations::int8);
  }
}

int run_command(const Arguments& arguments) {
  auto output = Output(arguments.flag("--json"), arguments.flag("--quiet"));
  try {
    if (int threads = arguments.dimension("--threads"); threads > 0) {
      kernels::set_threads(threads);
    }
    choose_activations(arguments);
    return arguments.command().run(arguments, output);
  } catch (const Error& error) {
    return report(error.finding(), output);
  } catch (const UsageError&) {
    throw;
  } catch (const std::bad_alloc&) {
    return report(make_finding("memory.exhausted",
                               std::string(arguments.command().name),
                               "memory for the job",
                               "none left"),
                  output);
  } catch (const std::exception& error) {
    return report(make_finding("internal.failure",
                               std::string(arguments.command().name),
                               "no failure inside Assay",
                               error.what()),
                  output);
  }
}

int dispatch(const Request& request) {
  switch (request.kind) {
    case Request::Kind::help:
      fmt::print("{}", help_text(request.command, terminal_width()));
      return kSound;
    case Request::Kind::version:
      fmt::print("assay {}\n", ASSAY_VERSION);
      return kSound;
    case Request::Kind::man:
      fmt::print("{}", man_page(ASSAY_VERSION));
      return kSound;
    case Request::Kind::completions:
      fmt::print("{}", completions(request.shell));
      return kSound;
    case Request::Kind::run:
      break;
  }
  return run_command(*request.arguments);
}

}  // namespace
}  // namespace assay::cli

int main(int argc, char** argv) {
  using namespace assay::cli;
  try {
    return dispatch(parse(argc, argv));
  } catch (const UsageError& error) {
    fmt::print(
        stderr, "assay: {}\nassay --help shows what there is\n", error.what());
    return kUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "assay: {}\n", error.what());
    return kFindings;
  }
}
