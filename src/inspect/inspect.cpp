#include "assay/inspect/inspect.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/formats/quantization_config.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"
#include "assay/inspect/vision_language.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

const Json* field(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto entry = object.find(name);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

using Names = std::initializer_list<std::string_view>;

// The first of several spellings, also in the language part of a multimodal
// config. For showing only: what numbers depend on, the tree reads itself.
const Json* config_field(const Json& config, Names names) {
  const auto* inner = field(config, "text_config");
  for (auto name : names) {
    if (const auto* value = field(config, name)) {
      return value;
    }
    if (inner != nullptr) {
      if (const auto* value = field(*inner, name)) {
        return value;
      }
    }
  }
  return nullptr;
}

std::optional<int64_t> config_integer(const Json& config, Names names) {
  const auto* value = config_field(config, names);
  return value != nullptr && value->is_number_integer()
             ? std::optional(value->get<int64_t>())
             : std::nullopt;
}

std::string config_text(const Json& config, Names names) {
  const auto* value = config_field(config, names);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : "";
}

ModelSizes sizes_of_config(const Json& config) {
  ModelSizes sizes;
  sizes.layers = config_integer(
      config, {"num_hidden_layers", "n_layer", "n_layers", "num_layers"});
  sizes.hidden = config_integer(config, {"hidden_size", "n_embd", "d_model"});
  sizes.intermediate = config_integer(
      config, {"intermediate_size", "n_inner", "ffn_dim", "d_ff"});
  sizes.heads =
      config_integer(config, {"num_attention_heads", "n_head", "num_heads"});
  sizes.kv_heads = config_integer(config, {"num_key_value_heads"});
  sizes.head_dim = config_integer(config, {"head_dim"});
  sizes.vocabulary = config_integer(config, {"vocab_size"});
  sizes.experts = config_integer(
      config, {"num_local_experts", "num_experts", "n_routed_experts"});
  sizes.experts_per_token =
      config_integer(config, {"num_experts_per_tok", "experts_per_token"});
  sizes.expert_intermediate = config_integer(config, {"moe_intermediate_size"});
  sizes.context = config_integer(
      config, {"max_position_embeddings", "n_positions", "n_ctx"});
  const auto* uses = config_field(config, {"use_sliding_window"});
  if (uses == nullptr || *uses == true) {
    sizes.sliding_window = config_integer(config, {"sliding_window"});
  }
  return sizes;
}

void sizes_of_tree(const arch::Tree& tree, ModelSizes& sizes) {
  auto caches = tree.model->cache_shapes();
  sizes.layers = static_cast<int64_t>(caches.size());
  sizes.sliding_layers = 0;
  if (caches.empty()) {
    return;
  }
  sizes.kv_heads = caches.front().kv_heads;
  sizes.head_dim = caches.front().key_dim;
  sizes.sliding_window.reset();
  for (const auto& cache : caches) {
    if (cache.window > 0) {
      sizes.sliding_window = cache.window;
      ++sizes.sliding_layers;
    }
  }
}

// What the stored tensors say, over what the config says.
void sizes_of_tensors(const Declared& declared, ModelSizes& sizes) {
  bool embedded = false;
  std::optional<int64_t> inner, expert_inner;
  std::map<int64_t, bool> layers;
  for (const auto& match : declared.matches) {
    const auto& shape = match.shape;
    auto role = match.spec->role();
    if (auto layer = layer_of(match.spec->name)) {
      layers[*layer] = true;
    }
    if (role == nn::Role::embedding && shape.size() == 2 && !embedded) {
      sizes.vocabulary = shape[0];
      sizes.hidden = shape[1];
      embedded = true;
    } else if (role == nn::Role::mlp && shape.size() == 2 && !inner &&
               shape[0] == sizes.hidden && match.spec->quantizable()) {
      // Of [inner, hidden] and [hidden, inner], the second: the first may
      // hold two matrices in one. Where a layer is square, both say it.
      bool square_first =
          shape[1] == sizes.hidden && sizes.intermediate != sizes.hidden;
      inner = square_first ? inner : std::optional(shape[1]);
    } else if (role == nn::Role::expert && shape.size() == 3) {
      sizes.experts = shape[0];
      if (shape[1] == sizes.hidden && !expert_inner) {
        expert_inner = shape[2];
      }
    }
  }
  sizes.intermediate = inner ? inner : sizes.intermediate;
  sizes.expert_intermediate =
      expert_inner ? expert_inner : sizes.expert_intermediate;
  if (!layers.empty()) {
    sizes.layers = static_cast<int64_t>(layers.size());
  }
}

// Rotary settings of both spellings in one form.
Json rope_of(const Json& config) {
  const auto* parameters = config_field(config, {"rope_parameters"});
  if (parameters != nullptr && parameters->is_object()) {
    return *parameters;
  }
  Json rope;
  if (const auto* theta = config_field(config, {"rope_theta"})) {
    rope["rope_type"] = "default";
    rope["rope_theta"] = *theta;
  }
  if (const auto* local = config_field(config, {"rope_local_base_freq"})) {
    rope["rope_local_base_freq"] = *local;
  }
  if (const auto* share = config_field(config, {"partial_rotary_factor"})) {
    rope["partial_rotary_factor"] = *share;
  }
  const auto* scaling = config_field(config, {"rope_scaling"});
  if (scaling != nullptr && scaling->is_object()) {
    for (const auto& [name, value] : scaling->items()) {
      rope[name == "type" ? "rope_type" : name] = value;
    }
  }
  return rope;
}

std::string describe(const Quantization& q) {
  return q.mode == "affine"
             ? fmt::format("affine {} bit, group {}", q.bits, q.group_size)
             : q.mode;
}

void add(std::vector<Share>& shares,
         std::string_view name,
         uint64_t tensors,
         uint64_t parameters,
         uint64_t bytes) {
  auto share = std::ranges::find(shares, name, &Share::name);
  if (share == shares.end()) {
    shares.push_back({std::string(name), 0, 0, 0, 0});
    share = shares.end() - 1;
  }
  share->tensors += tensors;
  share->parameters += parameters;
  share->bytes += bytes;
}

void add_plain(ModelReport& report,
               std::string_view role,
               const TensorInfo& tensor) {
  auto count = element_count(tensor.shape).value_or(0);
  if (!role.empty()) {
    add(report.roles, role, 1, count, tensor.bytes);
  }
  add(report.stored, name(tensor.dtype), 1, count, tensor.bytes);
}

void count_match(const ModelFiles& model,
                 const Match& match,
                 ModelReport& report) {
  auto tensors = tensors_of(model, match.location);
  uint64_t bytes = 0;
  for (const auto* tensor : tensors) {
    bytes += tensor->bytes;
  }
  auto parameters = element_count(match.shape).value_or(0);
  const auto& tensor = *match.location.tensors.front();
  auto form = std::string(name(tensor.dtype));
  uint64_t values = parameters;  // that the tensors stand for
  if (match.location.source.encoding == nn::Encoding::mxfp4_blocks) {
    form = "mxfp4";
    values = 2 * element_count(tensor.shape).value_or(0);
  } else if (match.location.quantization) {
    form = describe(*match.location.quantization);
  } else {
    values = 0;
    for (const auto* part : match.location.tensors) {
      values += element_count(part->shape).value_or(0);
    }
  }
  if (values > parameters) {
    // Fused tensors are the source of several parameters: each takes its part.
    bytes = static_cast<uint64_t>(static_cast<double>(bytes) *
                                  static_cast<double>(parameters) /
                                  static_cast<double>(values));
  }
  auto role = name(match.spec->role());
  add(report.roles, role, tensors.size(), parameters, bytes);
  add(report.stored, form, tensors.size(), parameters, bytes);
}

void count_by_tree(const ModelFiles& model,
                   const Declared& declared,
                   ModelReport& report) {
  for (const auto& match : declared.matches) {
    count_match(model, match, report);
  }
  for (const auto& share : report.roles) {
    report.parameters += share.parameters;
  }
  for (const auto& unused : {declared.unexpected, declared.ignored}) {
    for (const auto* tensor : unused) {
      add_plain(report, "not used", *tensor);
    }
  }
}

void finish_counts(const ModelFiles& model, ModelReport& report) {
  uint64_t bytes = 0;
  for (const auto& tensor : model.tensors) {
    bytes += tensor.bytes;
  }
  for (auto* shares : {&report.roles, &report.stored}) {
    for (auto& share : *shares) {
      share.bits_per_weight = share.parameters > 0
                                  ? 8.0 * static_cast<double>(share.bytes) /
                                        static_cast<double>(share.parameters)
                                  : 0;
    }
  }
  std::ranges::stable_sort(
      report.stored, std::ranges::greater{}, &Share::bytes);
  report.bits_per_weight = report.parameters > 0
                               ? 8.0 * static_cast<double>(bytes) /
                                     static_cast<double>(report.parameters)
                               : 0;
  report.active_parameters = report.parameters;
  auto experts = std::ranges::find(report.roles, "expert", &Share::name);
  const auto& sizes = report.sizes;
  if (experts != report.roles.end() && sizes.experts.value_or(0) > 0 &&
      sizes.experts_per_token.value_or(*sizes.experts) < *sizes.experts) {
    report.active_parameters -=
        experts->parameters -
        experts->parameters / static_cast<uint64_t>(*sizes.experts) *
            static_cast<uint64_t>(*sizes.experts_per_token);
  }
}

std::string quantization_of(const ModelReport& report, const Json& config) {
  const auto* block = config_field(config, {"quantization_config"});
  if (block != nullptr) {
    if (const auto* method = field(*block, "quant_method")) {
      return method->is_string() ? method->get<std::string>() : method->dump();
    }
  }
  if (report.stored.empty()) {
    return "";
  }
  const auto& most = report.stored.front().name;
  auto dtype = dtype_from_name(most);
  bool plain = dtype && !is_block_quantized(*dtype);
  if (plain && *dtype != DType::u32) {
    return "";
  }
  return report.stored.size() > 1 ? "mostly " + most : most;
}

std::string name_of(const ModelFiles& model, const Json& config) {
  if (model.gguf) {
    // A name that is no text is the check's to report.
    const auto* name = model.gguf->find("general.name");
    if (name != nullptr && name->type == GgufValue::Type::string) {
      return std::get<std::string>(name->value);
    }
  }
  return config_text(config, {"_name_or_path"});
}

// The tree, where there is one; why not, where there is none.
std::optional<arch::Tree> tree_of(const ModelFiles& model,
                                  ModelReport& report) {
  try {
    return arch::build_tree(model);
  } catch (const Error& error) {
    auto finding = error.finding();
    // Not to know an architecture is no fault of the files.
    if (finding.id == "arch.unsupported" || finding.id == "config.missing") {
      finding.severity = Severity::note;
    }
    report.unusual.push_back(std::move(finding));
  }
  return std::nullopt;
}

Json config_or_null(const ModelFiles& model, ModelReport& report) {
  try {
    return arch::config_of(model);
  } catch (const Error& error) {
    report.unusual.push_back(error.finding());
    return model.config;
  }
}

Json plain_fields(const Json& config) {
  Json fields = Json::object();
  if (config.is_object()) {
    for (const auto& [name, value] : config.items()) {
      if (value.is_primitive() && !value.is_null()) {
        fields[name] = value;
      }
    }
  }
  return fields;
}

void name_architecture(const ModelFiles& model,
                       const Json& config,
                       ModelReport& report) {
  const auto* known = arch::architecture_of(model);
  report.architecture = config_text(config, {"model_type"});
  if (report.architecture.empty() && model.gguf) {
    report.architecture =
        std::string(model.gguf->text("general.architecture").value_or(""));
  }
  if (known != nullptr) {
    report.class_name = known->class_name;
  }
  const auto* classes = field(config, "architectures");
  if (classes != nullptr && classes->is_array() && !classes->empty() &&
      classes->front().is_string()) {
    report.class_name = classes->front().get<std::string>();
  }
}

void identify(const ModelFiles& model, ModelReport& report) {
  report.path = model.path;
  report.container = name(model.container);
  report.tensors = model.tensors.size();
  for (const auto& file : model.files) {
    std::error_code error;
    auto size = fs::file_size(file, error);
    report.files.push_back({file, error ? 0 : size});
    report.bytes += report.files.back().bytes;
  }
}

// A vision-language model: sizes are those of the language model in it.
void add_parts(const ModelFiles& model, ModelReport& report) {
  auto parts = open_vision_language(model);
  auto language = inspect(language_part(model, parts));
  report.kind = "vision-language";
  report.sizes = language.sizes;
  report.rope = std::move(language.rope);
  report.tied_embeddings = language.tied_embeddings;
  report.components = summarize(parts);
  if (parts.family != nullptr) {
    report.class_name = parts.family->class_name;
  }
  std::ranges::move(parts.findings, std::back_inserter(report.unusual));
}

}  // namespace

ModelReport inspect(const ModelFiles& model) {
  ModelReport report;
  report.unusual = model.findings;
  identify(model, report);
  auto config = config_or_null(model, report);
  report.config = plain_fields(config);
  report.name = name_of(model, config);
  name_architecture(model, config, report);
  report.sizes = sizes_of_config(config);
  report.rope = rope_of(config);

  bool counted = false;
  if (auto tree = tree_of(model, report)) {
    report.has_tree = true;
    sizes_of_tree(*tree, report.sizes);
    report.tied_embeddings = std::ranges::none_of(
        tree->parameters,
        [](const auto& spec) { return spec.role() == nn::Role::head; });
    try {
      auto declared = hold_against_tree(*tree, model);
      sizes_of_tensors(declared, report.sizes);
      std::ranges::copy(declared.findings, std::back_inserter(report.unusual));
      count_by_tree(model, declared, report);
      counted = !declared.matches.empty();
    } catch (const Error& error) {
      report.unusual.push_back(error.finding());
    }
  }
  if (!counted) {
    report.roles.clear();
    report.stored.clear();
    report.parameters = 0;
    for (const auto& tensor : model.tensors) {
      add_plain(report, "", tensor);
      report.parameters += element_count(tensor.shape).value_or(0);
    }
  }
  finish_counts(model, report);
  report.quantization = quantization_of(report, config);
  report.tokenizer = summarize_tokenizer(model, config, report.unusual);
  if (is_vision_language(model)) {
    add_parts(model, report);
  }
  return report;
}

}  // namespace assay
