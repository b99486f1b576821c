#include "assay/diagnose/repairs.h"

#include <algorithm>
#include <array>

namespace assay {
namespace {

constexpr std::string_view kName =
    "renames a file whose name differs from the one that is read in the case "
    "of its letters alone";
constexpr std::string_view kIndex =
    "writes the index anew from the headers of the shards, where they are all "
    "there";
constexpr std::string_view kSizes =
    "sets the one field to the one value with which every stored tensor has "
    "the shape that the architecture gives it";
constexpr std::string_view kBlock =
    "sets the block to the one setting that the stored shapes allow";

constexpr std::array kRepairs = {
    Repair{"config.missing", kName, repair::file_names},
    Repair{"tokenizer.missing", kName, repair::file_names},
    Repair{"template.missing", kName, repair::file_names},
    Repair{"model.no-weights", kName, repair::file_names},
    Repair{"model.ambiguous", kName, repair::file_names},
    Repair{"component.missing", kName, repair::file_names},
    Repair{"component.no-weights", kName, repair::file_names},
    Repair{"adapter.config-missing", kName, repair::file_names},
    Repair{"adapter.no-weights", kName, repair::file_names},
    Repair{"index.missing-shard",
           "renames a shard whose name differs in case alone; drops or "
           "rewrites an index whose tensors all lie in the files that are "
           "there",
           repair::index},
    Repair{"index.absent", kIndex, repair::index},
    Repair{"index.malformed", kIndex, repair::index},
    Repair{"index.no-metadata", kIndex, repair::index},
    Repair{"index.stale-entry", kIndex, repair::index},
    Repair{"index.total-size", kIndex, repair::index},
    Repair{"index.unlisted-tensor", kIndex, repair::index},
    Repair{"index.stray-file",
           "leaves out a file whose tensors all lie in the model too, byte "
           "for byte",
           repair::stray_files},
    Repair{"config.missing-field", kSizes, repair::sizes},
    Repair{"config.invalid-value", kSizes, repair::sizes},
    Repair{"arch.unsupported",
           "sets model_type by the class in architectures, where every tensor "
           "is as that class declares it",
           repair::sizes},
    Repair{"tensor.missing", kSizes, repair::sizes},
    Repair{"tensor.unexpected", kSizes, repair::sizes},
    Repair{"shape.mismatch", kSizes, repair::sizes},
    Repair{"head.missing",
           "sets tie_word_embeddings, where with it every tensor is as "
           "declared",
           repair::sizes},
    Repair{"head.tied-differs",
           "sets tie_word_embeddings to false, where a short text makes sense "
           "with the stored head and not with the embedding",
           repair::tied_head},
    Repair{"quantization.unused",
           "removes the block, where every tensor is as declared without it",
           repair::quantization},
    Repair{"quantization.undeclared", kBlock, repair::quantization},
    Repair{"quantization.wrong-bits", kBlock, repair::quantization},
    Repair{"quantization.wrong-group", kBlock, repair::quantization},
    Repair{"quantization.wrong-method", kBlock, repair::quantization},
    Repair{"dtype.differs",
           "names the type that most bytes are stored in",
           repair::stored_type},
    Repair{"dtype.absent",
           "names the type that the weights are stored in",
           repair::stored_type},
    Repair{"special-token.disagrees",
           "takes over the id that the tokenizer and one of config.json and "
           "generation_config.json agree on",
           repair::special_tokens},
    Repair{"special-token.turn-end",
           "adds the token that the template ends an answer with to the ids "
           "that end a generation",
           repair::turn_end},
    Repair{"template.misplaced",
           "writes the template to chat_template.jinja, where readers look "
           "for it",
           repair::chat_template},
    Repair{"component.shape-mismatch",
           "sets the field to what the stored tensor shows",
           repair::component_sizes},
    Repair{"pipeline.component-absent",
           "adds the entry of a folder that holds the component",
           repair::component_entries},
    Repair{"component.class-mismatch",
           "names the class whose tensors are stored, where only one of both "
           "fits them",
           repair::component_classes},
    Repair{"adapter.rank-config",
           "sets the rank that all pairs have",
           repair::adapter_settings},
    Repair{"adapter.dora",
           "sets the switch that says whether magnitudes are stored",
           repair::adapter_settings},
};

}  // namespace

bool Workbench::found(std::string_view id) const {
  return std::ranges::find(findings, id, &Finding::id) != findings.end();
}

void Workbench::leave(std::string_view id, const std::string& why) {
  for (const auto& finding : findings) {
    if (finding.id == id) {
      untouched.push_back({finding, why});
    }
  }
}

std::span<const Repair> repairs() {
  return kRepairs;
}

const Repair* find_repair(std::string_view id) {
  auto found = std::ranges::find(kRepairs, id, &Repair::id);
  return found == kRepairs.end() ? nullptr : &*found;
}

}  // namespace assay
