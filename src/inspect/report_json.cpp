#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/inspect/inspect.h"

namespace assay {
namespace {

Json to_json(const std::optional<int64_t>& value) {
  return value ? Json(*value) : Json();
}

Json to_json(const ModelSizes& sizes) {
  return {{"layers", to_json(sizes.layers)},
          {"hidden", to_json(sizes.hidden)},
          {"intermediate", to_json(sizes.intermediate)},
          {"heads", to_json(sizes.heads)},
          {"kv_heads", to_json(sizes.kv_heads)},
          {"head_dim", to_json(sizes.head_dim)},
          {"vocabulary", to_json(sizes.vocabulary)},
          {"experts", to_json(sizes.experts)},
          {"experts_per_token", to_json(sizes.experts_per_token)},
          {"expert_intermediate", to_json(sizes.expert_intermediate)},
          {"context", to_json(sizes.context)},
          {"sliding_window", to_json(sizes.sliding_window)},
          {"sliding_layers", sizes.sliding_layers}};
}

Json to_json(const std::vector<Share>& shares) {
  auto list = Json::array();
  for (const auto& share : shares) {
    list.push_back({{"name", share.name},
                    {"tensors", share.tensors},
                    {"parameters", share.parameters},
                    {"bytes", share.bytes},
                    {"bits_per_weight", share.bits_per_weight}});
  }
  return list;
}

Json to_json(const TokenizerSummary& tokenizer) {
  auto special = Json::array();
  for (const auto& token : tokenizer.special) {
    special.push_back({{"name", token.name},
                       {"text", token.text},
                       {"id", to_json(token.id)}});
  }
  return {{"present", tokenizer.present},
          {"type", tokenizer.type},
          {"kind", tokenizer.kind},
          {"entries", tokenizer.entries},
          {"vocabulary", tokenizer.vocabulary},
          {"added", tokenizer.added},
          {"special", std::move(special)},
          {"chat_template", tokenizer.chat_template},
          {"chat_template_bytes", tokenizer.chat_template_bytes}};
}

Json to_json(const FileSafety& file) {
  auto imports = Json::array();
  for (const auto& import : file.imports) {
    imports.push_back({{"name", import.name},
                       {"offset", import.offset},
                       {"called", import.called}});
  }
  auto reasons = Json::array();
  for (const auto& reason : file.reasons) {
    reasons.push_back({{"verdict", name(reason.level)},
                       {"place", reason.place},
                       {"offset", reason.offset},
                       {"text", reason.text}});
  }
  return {{"path", file.path.string()},
          {"container", file.container},
          {"verdict", name(file.safety)},
          {"imports", std::move(imports)},
          {"reasons", std::move(reasons)}};
}

}  // namespace

Json to_json(const ModelReport& report) {
  auto files = Json::array();
  for (const auto& file : report.files) {
    files.push_back({{"path", file.path.string()}, {"bytes", file.bytes}});
  }
  auto components = Json::array();
  for (const auto& part : report.components) {
    components.push_back({{"name", part.name},
                          {"class_name", part.class_name},
                          {"parameters", part.parameters},
                          {"bytes", part.bytes},
                          {"detail", part.detail}});
  }
  auto pickles = Json::array();
  for (const auto& file : report.pickles) {
    pickles.push_back(to_json(file));
  }
  return {{"path", report.path.string()},
          {"kind", report.kind},
          {"name", report.name},
          {"container", report.container},
          {"files", std::move(files)},
          {"bytes", report.bytes},
          {"tensors", report.tensors},
          {"architecture", report.architecture},
          {"class_name", report.class_name},
          {"has_tree", report.has_tree},
          {"sizes", to_json(report.sizes)},
          {"rope", report.rope},
          {"tied_embeddings", report.tied_embeddings},
          {"components", std::move(components)},
          {"parameters", report.parameters},
          {"active_parameters", report.active_parameters},
          {"bits_per_weight", report.bits_per_weight},
          {"quantization", report.quantization},
          {"roles", to_json(report.roles)},
          {"stored", to_json(report.stored)},
          {"tokenizer", to_json(report.tokenizer)},
          {"pickles", std::move(pickles)},
          {"config", report.config},
          {"unusual", assay::to_json(report.unusual)}};
}

}  // namespace assay
