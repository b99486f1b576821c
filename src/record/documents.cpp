// What was found, as blocks of the project's documents.

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "assay/check/report_formats.h"
#include "assay/core/escape.h"
#include "assay/project/blocks.h"
#include "assay/project/fingerprint.h"
#include "assay/project/learnings.h"
#include "assay/project/trends.h"
#include "assay/record/record.h"

namespace assay {
namespace {

using Lines = std::vector<std::string>;

std::string size_text(uint64_t bytes) {
  return project::figure(static_cast<double>(bytes), "bytes");
}

void add_item(Lines& lines, std::string_view name, std::string_view text) {
  if (!text.empty()) {
    lines.push_back(fmt::format("- **{}**: {}", name, markdown_cell(text)));
  }
}

std::string format_text(const ModelReport& report) {
  auto text = fmt::format("{}, {} file{}, {} tensors, {}",
                          report.container,
                          report.files.size(),
                          report.files.size() == 1 ? "" : "s",
                          report.tensors,
                          size_text(report.bytes));
  for (const auto& share : report.stored) {
    text += fmt::format("; {} ({} tensors, {})",
                        share.name,
                        share.tensors,
                        size_text(share.bytes));
  }
  return report.quantization.empty() ? text : text + "; " + report.quantization;
}

std::string shape_text(const ModelSizes& sizes) {
  std::string text;
  auto add = [&text](const std::optional<int64_t>& value, const char* what) {
    if (value) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", *value, what);
    }
  };
  add(sizes.layers, "layers");
  add(sizes.hidden, "wide");
  add(sizes.intermediate, "inner");
  add(sizes.heads, "heads");
  add(sizes.kv_heads, "key/value heads");
  add(sizes.head_dim, "a head");
  add(sizes.experts, "experts");
  add(sizes.experts_per_token, "experts a token");
  add(sizes.vocabulary, "tokens of vocabulary");
  return text;
}

// What whatever runs the model must have.
std::string requirements_text(const ModelReport& report) {
  auto text =
      report.has_tree
          ? fmt::format("Assay runs {}", report.architecture)
          : fmt::format("no module tree for {}: headers only",
                        report.architecture.empty() ? report.kind
                                                    : report.architecture);
  text += fmt::format("; weights {} as stored ({:.2f} bits a weight)",
                      size_text(report.bytes),
                      report.bits_per_weight);
  if (report.sizes.context) {
    text += fmt::format("; {} positions", *report.sizes.context);
  }
  if (report.sizes.sliding_window) {
    text += fmt::format("; a window of {} positions on {} layers",
                        *report.sizes.sliding_window,
                        report.sizes.sliding_layers);
  }
  if (!report.rope.is_null()) {
    text += "; RoPE " + report.rope.dump();
  }
  text += report.tied_embeddings ? "; head tied to the embedding" : "";
  const auto& tokenizer = report.tokenizer;
  if (tokenizer.present) {
    text += fmt::format("; tokenizer {} {} of {} ids, {} chat template",
                        tokenizer.type,
                        tokenizer.kind,
                        tokenizer.vocabulary,
                        tokenizer.chat_template ? "with a" : "no");
  }
  return text;
}

Lines architecture_lines(const RecordTarget& target,
                         const ModelReport& report,
                         const project::ModelIdentity& model) {
  Lines lines = {fmt::format("## Architecture: {}", markdown_cell(model.name)),
                 ""};
  auto name = report.architecture;
  if (!report.class_name.empty()) {
    name += fmt::format("{}{}", name.empty() ? "" : ", ", report.class_name);
  }
  add_item(lines, "Model", fmt::format("{} ({})", model.path, model.hash));
  add_item(lines, "Architecture", name.empty() ? report.kind : name);
  add_item(lines, "Source format", format_text(report));
  add_item(lines, "Shape", shape_text(report.sizes));
  for (const auto& part : report.components) {
    add_item(lines,
             "Part",
             fmt::format("{} {}, {}, {}",
                         part.name,
                         part.class_name,
                         size_text(part.bytes),
                         part.detail));
  }
  add_item(lines, "Target requirements", requirements_text(report));
  if (report.unusual.empty()) {
    add_item(lines,
             "Known issues",
             "none that headers show; `assay check` looks further");
  }
  for (const auto& finding : report.unusual) {
    add_item(lines,
             "Known issue",
             fmt::format("{} at {}: expected {}, found {}. {}",
                         finding.id,
                         finding.where,
                         finding.expected,
                         finding.actual,
                         finding.remedy));
  }
  lines.push_back(fmt::format("- **Seen**: {}, by {}",
                              project::today(),
                              markdown_code(target.command)));
  return lines;
}

void add_text(Lines& lines, std::string_view text) {
  auto more = project::split_lines(text);
  lines.insert(lines.end(), more.begin(), more.end());
}

Lines diagnosis_lines(const RecordTarget& target,
                      const Diagnosis& diagnosis,
                      const project::ModelIdentity& model) {
  Lines lines = {fmt::format("## Troubleshoot: {}, {}",
                             markdown_cell(model.name),
                             name(diagnosis.symptom)),
                 "",
                 fmt::format("Verdict: **{}**", name(diagnosis.verdict)),
                 "",
                 "| stage | outcome | detail |",
                 "| --- | --- | --- |"};
  for (const auto& stage : diagnosis.stages) {
    lines.push_back(fmt::format("| {} | {} | {} |",
                                markdown_cell(stage.name),
                                name(stage.outcome),
                                markdown_cell(stage.detail)));
  }
  lines.emplace_back();
  for (const auto& suspect : diagnosis.suspects) {
    add_text(lines, to_markdown(suspect.finding));
    lines.push_back(fmt::format("  - How it speaks for it: {}; next: {}",
                                name(suspect.weight),
                                markdown_code(suspect.next)));
  }
  for (const auto& what : diagnosis.ruled_out) {
    lines.push_back(fmt::format("- Ruled out: {}", markdown_cell(what)));
  }
  lines.push_back(fmt::format("- Next: {}", markdown_code(diagnosis.next)));
  lines.emplace_back();
  lines.push_back(fmt::format("Looked for {}: {} ({}), by {}",
                              project::today(),
                              markdown_cell(model.path),
                              model.hash,
                              markdown_code(target.command)));
  return lines;
}

std::string backends_text(const DoctorReport& report) {
  std::string text;
  for (const auto& backend : report.backends) {
    if (!backend.available) {
      continue;
    }
    text += (text.empty() ? "" : "; ") + backend.name;
    text += backend.device.empty() ? "" : " " + backend.device;
    text += backend.memory == 0 ? "" : ", " + size_text(backend.memory);
  }
  return text;
}

// The processor alone would make one machine of all that have it.
std::string machine_text(const DoctorReport& report) {
  return fmt::format("{}, {} cores, {}, {}",
                     report.machine.processor,
                     report.machine.physical_cores,
                     size_text(report.machine.memory),
                     report.default_device);
}

Lines machine_lines(const RecordTarget& target, const DoctorReport& report) {
  Lines lines = {
      fmt::format("## Machine: {}", markdown_cell(machine_text(report))), ""};
  for (const auto& [key, value] : record_conditions()) {
    add_item(lines, key, value);
  }
  add_item(lines, "back ends", backends_text(report));
  add_item(
      lines, "BLAS", fmt::format("{} ({})", report.blas, report.blas_file));
  add_item(lines,
           "kernels",
           fmt::format("{}, {} threads", report.simd, report.threads));
  for (const auto& measured : report.measurements) {
    add_item(lines,
             measured.what,
             fmt::format("{:.1f} {} (half the middle half of its runs: {:.2g})",
                         measured.value,
                         measured.unit,
                         measured.spread));
  }
  for (const auto& finding : report.findings) {
    add_text(lines, to_markdown(finding));
  }
  lines.emplace_back();
  lines.push_back(fmt::format(
      "Seen {}, by {}", project::today(), markdown_code(target.command)));
  return lines;
}

RecordReport write(const RecordTarget& target,
                   std::string_view file,
                   std::string_view title,
                   const std::string& id,
                   const Lines& lines) {
  target.store.edit(file, [&](project::Document& document) {
    if (document.lines().empty()) {
      document.insert(0, {std::string(title)});
    }
    project::write_block(document, id, lines);
  });
  return {{fmt::format("{}: block {}", file, id)}, {}};
}

}  // namespace

RecordReport record(const RecordTarget& target, const ModelReport& report) {
  auto model = project::identify(target.store, report.path);
  return write(target,
               project::kLearningsFile,
               "# Learnings",
               project::block_id("architecture", model.path),
               architecture_lines(target, report, model));
}

RecordReport record(const RecordTarget& target, const CheckReport& report) {
  auto model = project::identify(target.store, report.path);
  auto lines = project::split_lines(to_markdown(std::span(&report, 1)));
  lines.emplace_back();
  lines.push_back(fmt::format("Checked {}: {} ({}), by {}",
                              project::today(),
                              markdown_cell(model.path),
                              model.hash,
                              markdown_code(target.command)));
  return write(target,
               project::kDiagnosticsFile,
               "# Diagnostics",
               project::block_id("check", model.path),
               lines);
}

RecordReport record(const RecordTarget& target, const Diagnosis& diagnosis) {
  auto model = project::identify(target.store, diagnosis.path);
  return write(target,
               project::kDiagnosticsFile,
               "# Diagnostics",
               project::block_id(
                   "troubleshoot",
                   fmt::format("{} {}", name(diagnosis.symptom), model.path)),
               diagnosis_lines(target, diagnosis, model));
}

RecordReport record(const RecordTarget& target, const DoctorReport& report) {
  return write(target,
               project::kDiagnosticsFile,
               "# Diagnostics",
               project::block_id("machine", machine_text(report)),
               machine_lines(target, report));
}

}  // namespace assay
