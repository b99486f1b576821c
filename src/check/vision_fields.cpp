#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

#include "assay/check/declared_shapes.h"
#include "assay/check/published.h"
#include "assay/check/vision_rules.h"
#include "assay/formats/json_fields.h"
#include "assay/inspect/class_defaults.h"

// Fields of a vision-language config that contradict each other.
namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;

class FieldsLook {
 public:
  explicit FieldsLook(const VisionLanguage& parts) : parts_(parts) {}

  Findings look() {
    class_name();
    heads();
    unstated_sizes();
    feature_layers();
    inner_layers();
    usual_layers();
    windows();
    language();
    sections();
    pinpoints();
    return std::move(findings_);
  }

 private:
  void add(const char* id,
           const ConfigPart& part,
           std::string_view field,
           std::string expected) {
    findings_.push_back(field_finding(id, part, field, std::move(expected)));
  }

  void class_name() {
    const auto* classes = member(parts_.whole.stored, "architectures");
    if (parts_.family == nullptr || classes == nullptr ||
        !classes->is_array() || classes->empty()) {
      return;
    }
    if (classes->front() != parts_.family->class_name) {
      add("config.class-mismatch",
          parts_.whole,
          "architectures",
          fmt::format("{}, as model_type '{}' is",
                      parts_.family->class_name,
                      parts_.whole.type));
    }
  }

  void heads() {
    const auto& vision = parts_.vision.fields;
    const char* width_field =
        vision.contains("embed_dim") ? "embed_dim" : "hidden_size";
    auto width = integer(vision, width_field);
    for (const auto* name :
         {"num_attention_heads", "num_heads", "attention_heads"}) {
      auto count = integer(vision, name);
      if (!count || !width || parts_.vision.states("head_dim")) {
        continue;
      }
      if (*count < 1 || *width % *count != 0) {
        add("config.contradiction",
            parts_.vision,
            name,
            fmt::format("a divisor of {}, {}", width_field, *width));
      } else if (parts_.vision.type.starts_with("qwen") &&
                 *width / *count % 4 != 0) {
        add("config.contradiction",
            parts_.vision,
            name,
            "heads of a width that 4 divides: half of it turns by row, half "
            "by column");
      }
    }
  }

  // What its class takes is the published tower's.
  void unstated_sizes() {
    const auto& vision = parts_.vision;
    if (is_published_size(vision)) {
      return;
    }
    auto defaults = class_defaults(vision.type);
    for (const auto* name : {"num_attention_heads",
                             "num_heads",
                             "attention_heads",
                             "window_size"}) {
      if (member(defaults, name) != nullptr && !vision.states(name)) {
        add("config.missing-field",
            vision,
            name,
            fmt::format("a number: {}, which {} has, is the published tower's",
                        shown(defaults[name]),
                        vision.type));
      }
    }
  }

  std::optional<int64_t> depth() const {
    auto layers = integer(parts_.vision.fields, "num_hidden_layers");
    return layers ? layers : integer(parts_.vision.fields, "depth");
  }

  void feature_layers() {
    const auto& whole = parts_.whole;
    const auto* taken = member(whole.fields, "vision_feature_layer");
    auto layers = depth();
    if (taken != nullptr && layers) {
      bool list = taken->is_array() && !taken->empty();
      bool sound = list || taken->is_number_integer();
      for (const auto& entry : list ? *taken : Json::array({*taken})) {
        // The embeddings come before the first layer.
        sound = sound && entry.is_number_integer() &&
                entry.get<int64_t>() >= -*layers - 1 &&
                entry.get<int64_t>() <= *layers;
      }
      if (!sound) {
        add("vision.feature-layer",
            whole,
            "vision_feature_layer",
            fmt::format("{} to {}, for a tower of {} layers",
                        -*layers - 1,
                        *layers,
                        *layers));
      }
    }
    const auto* strategy =
        member(whole.fields, "vision_feature_select_strategy");
    if (strategy != nullptr && *strategy != "default" && *strategy != "full") {
      add("vision.feature-layer",
          whole,
          "vision_feature_select_strategy",
          "default or full");
    }
  }

  // Lists of layers inside the tower.
  void inner_layers() {
    auto layers = depth();
    for (const auto* name : {"deepstack_visual_indexes",
                             "fullatt_block_indexes",
                             "intermediate_layers_indices"}) {
      const auto* list = member(parts_.vision.fields, name);
      if (list == nullptr || !layers) {
        continue;
      }
      bool sound = list->is_array() && !list->empty();
      int64_t last = -1;
      for (const auto& entry : sound ? *list : Json::array()) {
        auto layer = entry.is_number_integer() ? entry.get<int64_t>() : -1;
        sound = sound && layer > last && layer < *layers;
        last = layer;
      }
      if (!sound) {
        add("config.contradiction",
            parts_.vision,
            name,
            fmt::format("rising numbers of layers, below {}", *layers));
      }
    }
    const auto* list =
        member(parts_.vision.fields, "intermediate_layers_indices");
    auto width = integer(parts_.vision.fields, "hidden_size");
    auto out = integer(parts_.vision.fields, "vision_output_dim");
    if (list != nullptr && list->is_array() && width && out &&
        *out != *width * static_cast<int64_t>(list->size() + 1)) {
      add("config.contradiction",
          parts_.vision,
          "vision_output_dim",
          fmt::format("{}, hidden_size for the last layer and each of "
                      "intermediate_layers_indices",
                      *width * static_cast<int64_t>(list->size() + 1)));
    }
  }

  // A tower as deep as the published one takes the same layers.
  void usual_layers() {
    auto usual = class_defaults(parts_.vision.type);
    if (usual.empty() || depth() != integer(usual, "depth")) {
      return;
    }
    for (const auto* name :
         {"deepstack_visual_indexes", "fullatt_block_indexes"}) {
      const auto* list = member(usual, name);
      const auto* own = member(parts_.vision.fields, name);
      if (list != nullptr && own != nullptr && *own != *list) {
        add("config.unpublished-value", parts_.vision, name, shown(*list));
      }
    }
  }

  // What the language model inside leaves out, though it is of no size whose
  // values are known.
  void language() {
    const auto& text = parts_.text;
    bool rotates = text.fields.contains("rope_parameters");
    bool turned = text.states("rope_parameters") || text.states("rope_theta") ||
                  text.states("rope_scaling");
    if (rotates && !turned && !is_published_size(text)) {
      add("config.missing-field",
          text,
          "rope_parameters",
          "the rotary settings of the model");
    }
    for (const auto* rope : {"rope_parameters", "rope_scaling"}) {
      const auto* settings = member(text.stored, rope);
      bool stretched = settings != nullptr &&
                       (fields::text(*settings, "rope_type") == "llama3" ||
                        fields::text(*settings, "type") == "llama3");
      for (const auto* name :
           {"factor", "low_freq_factor", "high_freq_factor"}) {
        if (stretched && !number(*settings, name)) {
          add("config.missing-field",
              text,
              fmt::format("{}.{}", rope, name),
              "a number, since the rotation is llama3's");
        }
      }
    }
    if (text.states("rope_parameters.full_attention") &&
        !text.states("layer_types")) {
      add("config.missing-field",
          text,
          "layer_types",
          "the kind of each layer, since their rotary settings differ");
    }
    const auto* types = member(text.stored, "layer_types");
    bool slides = types != nullptr && types->is_array() &&
                  std::ranges::any_of(*types, [](const Json& type) {
                    return type == "sliding_attention";
                  });
    if (slides && !text.states("sliding_window")) {
      add("config.missing-field",
          text,
          "sliding_window",
          "a number, since layer_types name sliding attention");
    }
    auto heads = integer(text.fields, "num_attention_heads").value_or(0);
    auto width = integer(text.fields, "hidden_size").value_or(0);
    auto scalar = number(text.fields, "query_pre_attn_scalar");
    auto head = integer(text.fields, "head_dim").value_or(0);
    if (scalar && heads > 0 && *scalar != static_cast<double>(head) &&
        *scalar != static_cast<double>(width) / static_cast<double>(heads)) {
      add("config.unpublished-value",
          text,
          "query_pre_attn_scalar",
          fmt::format("{}, head_dim, or hidden_size through the heads", head));
    }
    const auto* outer = member(parts_.whole.stored, "tie_word_embeddings");
    const auto* inner = member(text.stored, "tie_word_embeddings");
    if (outer != nullptr && inner != nullptr && *outer != *inner) {
      add("config.contradiction",
          text,
          "tie_word_embeddings",
          fmt::format("{}, as the whole model has it", shown(*outer)));
      findings_.back().severity = Severity::warning;
    }
  }

  void windows() {
    const auto& vision = parts_.vision.fields;
    for (const auto* name : {"image_size", "patch_size"}) {
      if (member(vision, name) != nullptr && !extent(vision, name)) {
        add("config.invalid-value",
            parts_.vision,
            name,
            "a number, or height and width");
      }
    }
    auto window = integer(vision, "window_size");
    auto patch = integer(vision, "patch_size");
    auto merge = integer(vision, "spatial_merge_size");
    if (window && patch && merge && *patch > 0 && *merge > 0 &&
        (*window < 1 || *window % (*patch * *merge) != 0)) {
      add("config.contradiction",
          parts_.vision,
          "window_size",
          fmt::format("a multiple of patch_size times spatial_merge_size, {}",
                      *patch * *merge));
    }
    if (auto places = integer(vision, "num_position_embeddings")) {
      int64_t edge = 0;
      while (edge * edge < *places && edge < 4096) {
        ++edge;
      }
      if (edge * edge != *places) {
        add("vision.positions",
            parts_.vision,
            "num_position_embeddings",
            "a square: the places of a grid");
      }
    }
  }

  void sections() {
    const auto& type = parts_.whole.type;
    if (!type.starts_with("qwen")) {
      return;
    }
    const auto& text = parts_.text.fields;
    Json found;
    const char* where = "rope_parameters";
    for (const auto* name : {"rope_parameters", "rope_scaling"}) {
      const auto* rope = member(parts_.text.stored, name);
      const auto* list =
          rope != nullptr ? member(*rope, "mrope_section") : nullptr;
      if (list != nullptr) {
        found = *list;
        where = name;
      }
    }
    auto heads = integer(text, "num_attention_heads").value_or(0);
    auto width = integer(text, "hidden_size").value_or(0);
    auto head =
        integer(text, "head_dim").value_or(heads > 0 ? width / heads : 0);
    int64_t sum = 0;
    bool sound = found.is_array() && found.size() == 3;
    for (const auto& entry : sound ? found : Json::array()) {
      sound = sound && entry.is_number_integer() && entry.get<int64_t>() > 0 &&
              entry.get<int64_t>() < (1 << 16);
      sum += sound ? entry.get<int64_t>() : 0;
    }
    if (!sound || 2 * sum != head) {
      findings_.push_back(make_finding(
          found.is_null() ? "config.missing-field" : "vision.mrope",
          fmt::format("{}{}.mrope_section", parts_.text.where, where),
          fmt::format("three sections, together half of head_dim, {}",
                      head / 2),
          shown(found)));
      return;
    }
    // Heads of 128 are of published sizes.
    Json published = type == "qwen3_vl" ? Json{24, 20, 20} : Json{16, 24, 24};
    if (head == 128 && found != published) {
      findings_.push_back(make_finding(
          "config.unpublished-value",
          fmt::format("{}{}.mrope_section", parts_.text.where, where),
          shown(published),
          shown(found)));
    }
  }

  void pinpoints() {
    const auto* grid = member(parts_.whole.fields, "image_grid_pinpoints");
    auto image = extent(parts_.vision.fields, "image_size");
    if (grid == nullptr || !image || image->first < 1) {
      return;
    }
    bool sound = grid->is_array() && !grid->empty();
    for (const auto& pair : sound ? *grid : Json::array()) {
      sound = sound && pair.is_array() && pair.size() == 2;
      for (const auto& edge : sound ? pair : Json::array()) {
        sound = sound && edge.is_number_integer() && edge.get<int64_t>() > 0 &&
                edge.get<int64_t>() % image->first == 0;
      }
    }
    if (!sound) {
      add("config.contradiction",
          parts_.whole,
          "image_grid_pinpoints",
          fmt::format("pairs of multiples of image_size, {}", image->first));
    }
  }

  const VisionLanguage& parts_;
  Findings findings_;
};

}  // namespace

Findings vision_fields(const VisionLanguage& parts) {
  auto findings = FieldsLook(parts).look();
  std::ranges::move(phi_fields(parts), std::back_inserter(findings));
  return findings;
}

}  // namespace assay::rules
