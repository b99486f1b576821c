#include "assay/inspect/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

void print_identity(const ModelReport& report, Output& output) {
  output.heading(report.path.string());
  if (!report.name.empty()) {
    output.row("name", report.name);
  }
  output.row("format",
             fmt::format("{}, {} in {} file{}, {} tensors",
                         report.container,
                         bytes_text(report.bytes),
                         report.files.size(),
                         report.files.size() == 1 ? "" : "s",
                         report.tensors));
  auto known = report.architecture.empty() ? "not known" : report.architecture;
  output.row("architecture",
             report.has_tree || !report.components.empty()
                 ? known
                 : known + " (no module tree: headers only)");
}

void print_sizes(const ModelReport& report, Output& output) {
  const auto& sizes = report.sizes;
  auto part = [](std::string& text, const char* label, auto value) {
    if (value) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", label, *value);
    }
  };
  std::string shape;
  part(shape, "layers", sizes.layers);
  part(shape, "hidden", sizes.hidden);
  part(shape, "intermediate", sizes.intermediate);
  part(shape, "vocabulary", sizes.vocabulary);
  std::string heads;
  part(heads, "heads", sizes.heads);
  part(heads, "KV heads", sizes.kv_heads);
  part(heads, "head_dim", sizes.head_dim);
  std::string experts;
  part(experts, "experts", sizes.experts);
  part(experts, "per token", sizes.experts_per_token);
  part(experts, "intermediate", sizes.expert_intermediate);
  std::string context;
  part(context, "positions", sizes.context);
  part(context, "sliding window", sizes.sliding_window);
  if (sizes.sliding_layers > 0) {
    context += fmt::format(" on {} layers", sizes.sliding_layers);
  }
  for (const auto& [label, text] : {std::pair{"shape", shape},
                                    {"attention", heads},
                                    {"experts", experts},
                                    {"context", context}}) {
    if (!text.empty()) {
      output.row(label, text);
    }
  }
  if (!report.rope.is_null()) {
    output.row("rope", report.rope.dump());
  }
  output.row("head", report.tied_embeddings ? "tied to the embedding" : "own");
}

void print_shares(std::string_view head,
                  const std::vector<Share>& shares,
                  Output& output) {
  std::vector<std::vector<std::string>> rows = {
      {std::string(head), "tensors", "parameters", "size", "bits/weight"}};
  for (const auto& share : shares) {
    rows.push_back({share.name,
                    fmt::format("{}", share.tensors),
                    count_text(share.parameters),
                    bytes_text(share.bytes),
                    fmt::format("{:.2f}", share.bits_per_weight)});
  }
  output.print("\n" + table(rows, {1, 2, 3, 4}));
}

void print_tokenizer(const TokenizerSummary& tokenizer, Output& output) {
  if (!tokenizer.present) {
    output.row("tokenizer", "none");
    return;
  }
  output.row("tokenizer",
             fmt::format("{}{}{}, {} ids, {} added",
                         tokenizer.type,
                         tokenizer.kind.empty() ? "" : ", ",
                         tokenizer.kind,
                         tokenizer.vocabulary,
                         tokenizer.added));
  std::string special;
  for (const auto& token : tokenizer.special) {
    special += fmt::format("{}{} {}{}",
                           special.empty() ? "" : ", ",
                           token.name,
                           token.text,
                           token.id ? fmt::format(" ({})", *token.id) : "");
  }
  if (!special.empty()) {
    output.row("special tokens", special);
  }
  output.row("chat template",
             tokenizer.chat_template
                 ? fmt::format("{} bytes", tokenizer.chat_template_bytes)
                 : "none");
}

void print_components(const std::vector<ComponentSummary>& parts,
                      Output& output) {
  std::vector<std::vector<std::string>> rows = {
      {"part", "class", "parameters", "size", ""}};
  for (const auto& part : parts) {
    rows.push_back({part.name,
                    part.class_name,
                    count_text(part.parameters),
                    bytes_text(part.bytes),
                    part.detail});
  }
  output.print("\n" + table(rows, {2, 3}));
}

// What would be imported, in a line a file.
void print_pickles(const ModelReport& report, Output& output) {
  constexpr size_t kShown = 6;
  for (const auto& file : report.pickles) {
    std::vector<std::string> names;
    for (const auto& import : file.imports) {
      if (names.size() < kShown) {
        names.push_back(import.name + (import.called ? "()" : ""));
      }
    }
    if (file.imports.size() > kShown) {
      names.push_back(fmt::format("{} more", file.imports.size() - kShown));
    }
    output.row("pickle",
               fmt::format("{}, {}{}{}",
                           file.path.filename().string(),
                           name(file.safety),
                           names.empty() ? "" : ": ",
                           fmt::join(names, ", ")));
  }
}

void print_unusual(const ModelReport& report, Output& output) {
  if (!report.unusual.empty()) {
    output.print("\n");
    output.heading("unusual");
    output.print_findings(report.unusual);
  }
}

void print_inspect(const ModelReport& report, Output& output) {
  if (report.kind == "pickle") {
    output.heading(report.path.string());
    output.row(
        "format",
        fmt::format("{}, {}", report.container, bytes_text(report.bytes)));
    print_pickles(report, output);
    return print_unusual(report, output);
  }
  print_identity(report, output);
  print_pickles(report, output);
  auto active = report.active_parameters != report.parameters
                    ? fmt::format(", {} active a token",
                                  count_text(report.active_parameters))
                    : "";
  output.row("parameters",
             fmt::format("{}{}", count_text(report.parameters), active));
  output.row(
      "weights",
      fmt::format("{}{:.2f} bits a weight",
                  report.quantization.empty() ? "" : report.quantization + ", ",
                  report.bits_per_weight));
  if (report.components.empty()) {
    print_sizes(report, output);
    print_tokenizer(report.tokenizer, output);
  } else {
    print_components(report.components, output);
  }
  if (!report.roles.empty()) {
    print_shares("role", report.roles, output);
  }
  print_shares("stored as", report.stored, output);
  print_unusual(report, output);
}

int run_inspect(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  Json all = Json::array();
  int code = kSound;
  for (const auto& path : arguments.all("MODEL")) {
    auto report = inspect_path(path);
    code = recording.keep(output, code, [&](const RecordTarget& target) {
      return record(target, report);
    });
    if (output.json()) {
      all.push_back(to_json(report));
    } else {
      print_inspect(report, output);
    }
  }
  if (output.json()) {
    output.print_json(all.size() == 1 ? all.front() : all);
  }
  return code;
}

}  // namespace

Command inspect_command() {
  return {.name = "inspect",
          .summary = "what a model is, from its headers",
          .description =
              "Says what a model really is: format, architecture, real shapes, "
              "parameters by role, types and quantization as stored, "
              "tokenizer, context. Reads headers only.",
          .operands = {{"MODEL",
                        "a folder, a .gguf, a .safetensors or a PyTorch file",
                        true,
                        true}},
          .options = {record_option()},
          .run = run_inspect};
}

}  // namespace assay::cli
