#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "assay/check/declared_shapes.h"
#include "assay/check/vision_rules.h"
#include "assay/core/file.h"
#include "assay/formats/json_fields.h"

// Folders in Mistral's own format, params.json beside consolidated.safetensors:
// the language model and Pixtral's tower by their own names. Read in
// huggingface/transformers
// (src/transformers/models/pixtral/convert_pixtral_weights_to_hf.py) and
// vllm-project/vllm (vllm/model_executor/models/pixtral.py).
namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;
namespace fs = std::filesystem;

constexpr std::string_view kMistralText = R"(
tok_embeddings.weight vocab_size dim
output.weight? vocab_size dim
norm.weight dim
layers.#n_layers.{attention_norm,ffn_norm}.weight dim
layers.#n_layers.attention.wq.weight q_width dim
layers.#n_layers.attention.{wk,wv}.weight kv_width dim
layers.#n_layers.attention.wo.weight dim q_width
layers.#n_layers.feed_forward.{w1,w3}.weight hidden_dim dim
layers.#n_layers.feed_forward.w2.weight dim hidden_dim
)";

constexpr std::string_view kMistralTower = R"(
patch_conv.weight hidden_size num_channels patch_size patch_size
ln_pre.weight hidden_size
transformer.layers.#num_hidden_layers.{attention_norm,ffn_norm}.weight hidden_size
transformer.layers.#num_hidden_layers.attention.{wq,wk,wv,wo}.weight hidden_size hidden_size
transformer.layers.#num_hidden_layers.feed_forward.{w1,w3}.weight intermediate_size hidden_size
transformer.layers.#num_hidden_layers.feed_forward.w2.weight hidden_size intermediate_size
)";

constexpr std::string_view kMistralAdapter = R"(
vision_language_adapter.w_in.weight text vision
vision_language_adapter.w_in.bias? text
vision_language_adapter.w_out.weight text text
vision_language_adapter.w_out.bias? text
pre_mm_projector_norm.weight? vision
patch_merger.merging_layer.weight? vision merged
)";

/** One folder: its params.json, and tensors by the part that they are of. */
class MistralLook {
 public:
  MistralLook(const ModelFiles& model, const Json& params)
      : where_((model.path / "params.json").string() + ": "),
        text_{"mistral", where_, params, params},
        tower_{"pixtral", where_ + "vision_encoder.", {}, {}} {
    tower_.stored =
        params.is_object() ? params.value("vision_encoder", Json()) : Json();
    // What vLLM takes where these are left out.
    tower_.fields = {{"adapter_bias", true},
                     {"spatial_merge_size", 1},
                     {"mm_projector_id", ""},
                     {"add_pre_mm_projector_layer_norm", false},
                     {"num_channels", 3}};
    if (tower_.stored.is_object()) {
      for (const auto& [name, value] : tower_.stored.items()) {
        tower_.fields[name] = value;
      }
    }
    for (const auto& tensor : model.tensors) {
      std::string_view name = tensor.name;
      bool projects = name.starts_with("vision_language_adapter.") ||
                      name.starts_with("patch_merger.") ||
                      name.starts_with("pre_mm_projector_norm.");
      auto& list = projects                              ? adapter_tensors_
                   : name.starts_with("vision_encoder.") ? tower_tensors_
                                                         : text_tensors_;
      list.push_back(&tensor);
    }
  }

  Findings look() {
    if (!text_.stored.is_object()) {
      findings_.push_back(make_finding(
          "config.invalid-value", where_, "an object", shown(text_.stored)));
      return std::move(findings_);
    }
    positive(text_, {"dim", "n_layers", "n_heads", "hidden_dim", "vocab_size"});
    hold(kMistralText, text_, "", text_tensors_);
    if (tower_.stored.is_object()) {
      tower();
    } else if (!tower_tensors_.empty()) {
      add("config.missing-field",
          text_,
          "vision_encoder",
          "the settings of the tower whose tensors are stored");
    }
    return std::move(findings_);
  }

 private:
  void add(const char* id,
           const ConfigPart& part,
           std::string_view field,
           std::string expected) {
    findings_.push_back(field_finding(id, part, field, std::move(expected)));
  }

  void positive(const ConfigPart& part,
                std::initializer_list<std::string_view> names) {
    for (auto name : names) {
      const auto* value = member(part.stored, name);
      if (value == nullptr || !value->is_number_integer() ||
          value->get<int64_t>() < 1) {
        add("config.invalid-value", part, name, "a number above 0");
      }
    }
  }

  static int64_t size(const Json& fields, std::string_view name) {
    constexpr int64_t kMost = 1 << 20;  // so that products stay numbers
    return std::clamp<int64_t>(integer(fields, name).value_or(0), 0, kMost);
  }

  std::optional<Size> symbol(const Json& fields,
                             std::string_view symbol) const {
    auto heads = size(text_.fields, "n_heads");
    auto dim = size(text_.fields, "dim");
    auto head = integer(text_.fields, "head_dim")
                    ? size(text_.fields, "head_dim")
                    : (heads > 0 ? dim / heads : 0);
    auto shared = integer(text_.fields, "n_kv_heads")
                      ? size(text_.fields, "n_kv_heads")
                      : heads;
    constexpr auto kId = "vision.projector-mismatch";
    if (symbol == "q_width") {
      return Size{heads * head, "n_heads", "for n_heads times head_dim"};
    }
    if (symbol == "kv_width") {
      return Size{shared * head, "n_kv_heads", "for n_kv_heads times head_dim"};
    }
    if (symbol == "text") {
      return Size{dim, "", "for the width of the language model", kId};
    }
    auto width = size(tower_.fields, "hidden_size");
    if (symbol == "vision") {
      return Size{width, "", "for the width of the tower", kId};
    }
    if (symbol == "merged") {
      auto merge = std::min<int64_t>(size(fields, "spatial_merge_size"), 1024);
      return Size{width * merge * merge,
                  "spatial_merge_size",
                  "for the tower's width times spatial_merge_size squared",
                  kId};
    }
    return std::nullopt;
  }

  void hold(std::string_view lines,
            const ConfigPart& part,
            std::string_view root,
            const std::vector<const TensorInfo*>& tensors) {
    DeclaredSizes sizes;
    sizes.part = &part;
    sizes.symbol = [this](const Json& fields, std::string_view name) {
      return symbol(fields, name);
    };
    std::ranges::move(hold_declared(lines, sizes, root, tensors),
                      std::back_inserter(findings_));
  }

  bool stores(std::string_view name) const {
    return std::ranges::any_of(adapter_tensors_, [&](const auto* tensor) {
      return tensor->name == name;
    });
  }

  void tower() {
    positive(tower_,
             {"hidden_size",
              "num_hidden_layers",
              "num_attention_heads",
              "intermediate_size",
              "image_size",
              "patch_size"});
    hold(kMistralTower, tower_, "vision_encoder.", tower_tensors_);
    hold(kMistralAdapter, tower_, "", adapter_tensors_);
    auto width = size(tower_.fields, "hidden_size");
    auto heads = size(tower_.fields, "num_attention_heads");
    if (heads > 0 && (width % heads != 0 || width / heads % 2 != 0)) {
      add("config.contradiction",
          tower_,
          "num_attention_heads",
          fmt::format("a divisor of hidden_size, {}, for heads of an even "
                      "width",
                      width));
    }
    auto image = size(tower_.fields, "image_size");
    auto patch = size(tower_.fields, "patch_size");
    if (patch > 0 && image % patch != 0) {
      add("vision.positions",
          tower_,
          "image_size",
          fmt::format("a multiple of patch_size, {}", patch));
    }
    auto id = integer(tower_.stored, "image_token_id");
    auto rows = size(text_.fields, "vocab_size");
    if (!id || *id < 0 || *id >= rows) {
      add("vision.token-id",
          tower_,
          "image_token_id",
          fmt::format("an id below {}, the embedding's rows", rows));
    }
    stored("adapter_bias",
           truth(tower_.fields, "adapter_bias"),
           "vision_language_adapter.w_in.bias");
    stored("mm_projector_id",
           text(tower_.fields, "mm_projector_id") == "patch_merge",
           "patch_merger.merging_layer.weight");
    stored("add_pre_mm_projector_layer_norm",
           truth(tower_.fields, "add_pre_mm_projector_layer_norm"),
           "pre_mm_projector_norm.weight");
  }

  // A flag, and the tensor that is there where it is set.
  void stored(std::string_view field, bool set, std::string_view tensor) {
    if (set != stores(tensor)) {
      add("component.shape-mismatch",
          tower_,
          field,
          fmt::format("what {} {} means",
                      set ? "no stored" : "a stored",
                      std::string(tensor)));
    }
  }

  std::string where_;
  ConfigPart text_, tower_;
  std::vector<const TensorInfo*> text_tensors_, tower_tensors_,
      adapter_tensors_;
  Findings findings_;
};

}  // namespace

bool is_mistral_folder(const ModelFiles& model) {
  std::error_code error;
  return model.container == Container::safetensors && model.config.is_null() &&
         fs::is_regular_file(model.path / "params.json", error);
}

std::optional<std::vector<Finding>> mistral_folder(const ModelFiles& model) {
  auto path = model.path / "params.json";
  constexpr uint64_t kMost = 4u << 20;
  auto params = parse_json(read_text(path, kMost), path.string());
  // Experts and state spaces have other tensors.
  bool dense = params.is_object() && params.value("moe", Json()).is_null() &&
               text(params, "model_type").empty();
  if (params.is_object() && !dense) {
    return std::nullopt;
  }
  return MistralLook(model, params).look();
}

}  // namespace assay::rules
