// convert in a process of its own, for tests that kill it or measure it:
// convert_tool SOURCE DESTINATION [options as JSON]; prints the report.

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/convert/convert.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    return 2;
  }
  auto json = argc > 3 ? assay::Json::parse(argv[3]) : assay::Json::object();
  assay::ConvertOptions options;
  options.to = assay::convert_target(json.value("to", "mlx")).value();
  options.bits = json.value("bits", 0);
  options.group_size = json.value("group_size", 0);
  options.mode = json.value("mode", "");
  options.recipe = json.value("recipe", "");
  options.dtype = json.value("dtype", "");
  options.gguf_type = json.value("gguf_type", "");
  options.max_shard_bytes =
      json.value("max_shard_bytes", options.max_shard_bytes);
  options.force = json.value("force", false);
  options.verify = json.value("verify", true);
  try {
    auto report = assay::convert(argv[1], argv[2], options);
    fmt::print("{}", assay::to_text(assay::to_json(report)));
  } catch (const assay::Error& error) {
    fmt::print(stderr, "{}\n", assay::to_text(error.finding()));
    return 1;
  }
  return 0;
}
