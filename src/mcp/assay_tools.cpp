#include <fmt/format.h>

#include "assay/check/check.h"
#include "assay/core/catalogue.h"
#include "assay/core/finding_json.h"
#include "assay/fit/fit.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/inspect.h"
#include "assay/mcp/assay_server.h"
#include "assay/mcp/tool_parts.h"
#include "assay/measure/compare.h"

namespace assay::mcp {
namespace fs = std::filesystem;

namespace {

/** Where a path that an agent names lies. */
class Paths {
 public:
  explicit Paths(fs::path project) : project_(std::move(project)) {}
  fs::path of(const Json& arguments, const char* name) const {
    auto path = fs::path(arguments[name].get<std::string>());
    return path.is_absolute() ? path : project_ / path;
  }

 private:
  fs::path project_;
};

Tool inspect_tool(const Paths& paths) {
  return {
      .name = "inspect",
      .title = "What a model is",
      .description =
          "Architecture, real shapes, parameters, types and quantization "
          "as stored, tokenizer, context, RoPE. Reads headers only: "
          "milliseconds.",
      .input_schema =
          closed({{"model", word("folder or file of a model")}}, {"model"}),
      .call = [paths](const Json& arguments, Request&) {
        return as_result(to_json(inspect_path(paths.of(arguments, "model"))));
      }};
}

Tool check_tool(const Paths& paths) {
  return {
      .name = "check",
      .title = "Whether a model is sound",
      .description =
          "Holds configs, tensors, tokenizer and template against each other. "
          "Findings say where, expected, actual, cause and remedy. With "
          "headers=false also reads all weights and runs a short text.",
      .input_schema =
          closed({{"model", word("folder or file of a model")},
                  {"headers", choice("headers and configs only", true)}},
                 {"model"}),
      .call = [paths](const Json& arguments, Request&) {
        CheckOptions options;
        options.headers_only = arguments.value("headers", true);
        return as_result(to_json(check(paths.of(arguments, "model"), options)));
      }};
}

Tool fit_tool(const Paths& paths) {
  return {
      .name = "fit",
      .title = "Whether a model fits this machine",
      .description =
          "Adds up weights, KV cache and activations for a context and holds "
          "the sum against this machine's memory; says what would fit.",
      .input_schema = closed(
          {{"model", word("folder or .gguf file")},
           {"context",
            whole("positions; 0: the model's, at most 4096", 0, 1 << 24)},
           {"batch", whole("sequences at once", 1, 4096)},
           {"bits",
            {{"type", "integer"},
             {"description", "as if quantized; 0: as stored"},
             {"enum", {0, 2, 3, 4, 5, 6, 8, 16, 32}}}}},
          {"model"}),
      .call = [paths](const Json& arguments, Request&) {
        FitOptions options;
        options.context = number(arguments, "context", options.context);
        options.batch = number(arguments, "batch", options.batch);
        options.bits = number(arguments, "bits", options.bits);
        return as_result(to_json(fit(paths.of(arguments, "model"), options)));
      }};
}

Tool compare_tool(const Paths& paths) {
  return {
      .name = "compare",
      .title = "In what two models differ",
      .description =
          "Configs, tokenizers and shapes; with weights=true the values of "
          "each tensor, with logits=true both models are run (minutes for "
          "large ones).",
      .input_schema = closed({{"a", word("a model, or a file of logits")},
                              {"b", word("the other")},
                              {"weights", choice("compare the values", false)},
                              {"logits", choice("run both", false)}},
                             {"a", "b"}),
      .call = [paths](const Json& arguments, Request&) {
        CompareOptions options;
        options.weights = arguments.value("weights", false);
        options.logits = arguments.value("logits", false);
        return as_result(to_json(compare(
            paths.of(arguments, "a"), paths.of(arguments, "b"), options)));
      }};
}

Tool explain_tool() {
  return {.name = "explain",
          .title = "What a finding means",
          .description = "Cause and remedy of a finding, by its id.",
          .input_schema = closed(
              {{"id", word("\"shape.mismatch\", as in a finding")}}, {"id"}),
          .call = [](const Json& arguments, Request&) {
            auto id = arguments["id"].get<std::string>();
            const auto* entry = find_entry(id);
            if (entry == nullptr) {
              auto result = text_result("no finding has the id " + id);
              result["isError"] = true;
              return result;
            }
            return as_result({{"id", entry->id},
                              {"severity", name(entry->severity)},
                              {"title", entry->title},
                              {"cause", entry->cause},
                              {"remedy", entry->remedy}});
          }};
}

}  // namespace

std::vector<Tool> assay_tools(const fs::path& project) {
  const Paths paths(project);
  std::vector<Tool> tools = {inspect_tool(paths),
                             check_tool(paths),
                             fit_tool(paths),
                             compare_tool(paths),
                             explain_tool()};
  for (auto& tool : memory_tools(project)) {
    tools.push_back(std::move(tool));
  }
  return tools;
}

}  // namespace assay::mcp
