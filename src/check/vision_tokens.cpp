#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/declared_shapes.h"
#include "assay/check/vision_rules.h"
#include "assay/check/vocabulary.h"
#include "assay/core/file.h"
#include "assay/formats/json_fields.h"
#include "assay/text/chat_template.h"

// Images as tokens: how many, under which id, and where the text has them.
namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;

class TokensLook {
 public:
  TokensLook(const ModelFiles& model, const VisionLanguage& parts)
      : model_(model), parts_(parts) {}

  Findings look() {
    counts();
    if (parts_.family != nullptr && !parts_.family->image_token.empty()) {
      ids();
      named_tokens();
      placeholder();
    }
    return std::move(findings_);
  }

 private:
  void hold(const ConfigPart& part,
            std::string_view field,
            std::optional<int64_t> wanted,
            std::string_view reason,
            std::optional<int64_t> otherwise = std::nullopt) {
    const auto* value = member(part.fields, field);
    if (!wanted || (value == nullptr && !part.present())) {
      return;
    }
    bool same = value == nullptr ? otherwise.value_or(*wanted) == *wanted
                                 : *value == *wanted;
    if (!same) {
      findings_.push_back(
          field_finding("vision.image-tokens",
                        part,
                        field,
                        fmt::format("{}, {}", *wanted, reason)));
    }
  }

  void counts() {
    const auto& type = parts_.whole.type;
    auto tokens = image_tokens(parts_);
    auto reason = "the tokens that an image of image_size becomes";
    // What transformers' processors take where the file has no number.
    constexpr int64_t kTiles = 169, kPooled = 256, kNone = 0;
    const auto& processor = parts_.processor;
    if (type == "llava" || type == "llava_next") {
      hold(parts_.whole, "image_seq_length", tokens, reason);
      return;
    }
    if (type == "internvl") {
      hold(parts_.whole, "image_seq_length", tokens, reason);
      hold(processor, "image_seq_length", tokens, reason, kPooled);
    } else if (type == "idefics3" || type == "smolvlm") {
      hold(processor, "image_seq_len", tokens, reason, kTiles);
    } else if (type == "paligemma") {
      hold(parts_.text, "num_image_tokens", tokens, reason);
      hold(parts_.image_processor, "image_seq_length", tokens, reason, kNone);
    } else if (type == "gemma3") {
      pooled(tokens);
      hold(processor,
           "image_seq_length",
           tokens,
           "mm_tokens_per_image",
           kPooled);
    } else if (type == "mistral3") {
      hold(processor,
           "spatial_merge_size",
           integer(parts_.whole.fields, "spatial_merge_size"),
           "as the model merges patches",
           1);
    }
  }

  // Gemma 3 pools the patches to a smaller square.
  void pooled(std::optional<int64_t> tokens) {
    auto patches = vision_patches(parts_);
    auto root = [](int64_t square) {
      auto edge = static_cast<int64_t>(
          std::lround(std::sqrt(static_cast<double>(std::abs(square)))));
      return edge * edge == square ? edge : 0;
    };
    auto edge = root(tokens.value_or(0));
    auto from = root(patches.value_or(0));
    if (from > 0 && (edge == 0 || from % edge != 0)) {
      findings_.push_back(field_finding(
          "vision.image-tokens",
          parts_.whole,
          "mm_tokens_per_image",
          fmt::format("a square whose side divides the {} patches of a side",
                      from)));
    }
  }

  // Rows of the embedding.
  int64_t rows() const {
    for (const auto* tensor : parts_.text_tensors) {
      if (tensor->name.ends_with("embed_tokens.weight") &&
          !tensor->shape.empty()) {
        return tensor->shape.front();
      }
    }
    return integer(parts_.text.fields, "vocab_size").value_or(0);
  }

  void ids() {
    const auto& family = *parts_.family;
    if (!model_.tokenizer_json.empty()) {
      auto text = read_text(model_.tokenizer_json, uint64_t{256} << 20);
      vocabulary_ =
          vocabulary_of(parse_json(text, model_.tokenizer_json.string()));
    }
    hold_id(family.image_token, family.image_texts, "image_token");
    // The processor's own tokens: breaks and ends of images.
    for (const auto* role : {"image_break_token", "image_end_token"}) {
      auto text = fields::text(parts_.processor.stored, role);
      if (!text.empty() && vocabulary_.known && !vocabulary_.id_of(text)) {
        findings_.push_back(make_finding("vision.token-id",
                                         parts_.processor.where + role,
                                         "a token of the tokenizer",
                                         shown(Json(text))));
      }
    }
    for (const auto& [field, text] : family.tokens) {
      auto role = std::string(field.substr(0, field.find("_token"))) + "_token";
      hold_id(field, {text}, role);
    }
  }

  // The spelling of transformers before 4.51, and the newer one.
  std::string spelled(std::string_view field) const {
    auto other = std::string(field);
    if (other.ends_with("_index")) {
      other.replace(other.size() - 5, 5, "id");
    } else if (other.ends_with("_id")) {
      other.replace(other.size() - 2, 2, "index");
    }
    return parts_.whole.states(other) && !parts_.whole.states(field)
               ? other
               : std::string(field);
  }

  void hold_id(std::string_view name,
               std::vector<std::string_view> texts,
               const std::string& role) {
    auto field = spelled(name);
    const auto* value = member(parts_.whole.fields, field);
    if (value == nullptr || !value->is_number_integer()) {
      add(field, fmt::format("the id of {}", fmt::join(texts, " or ")));
      return;
    }
    auto id = value->get<int64_t>();
    // What the files themselves call it comes first.
    std::string named;
    for (const auto* document :
         {&parts_.processor.stored, &model_.tokenizer_config}) {
      auto text = fields::text(*document, role);
      named = named.empty() ? text : named;
    }
    if (!named.empty()) {
      texts = {named};
    }
    if (id < 0 || id >= rows()) {
      add(field, fmt::format("an id below {}, the embedding's rows", rows()));
      return;
    }
    if (!vocabulary_.known) {
      return;
    }
    std::optional<int64_t> own;
    std::string_view shown_text;
    for (auto text : texts) {
      auto found = vocabulary_.id_of(text);
      if (found && !own) {
        own = found;
        shown_text = text;
      }
    }
    if (!own) {
      findings_.push_back(make_finding(
          "vision.token-id",
          named.empty() ? model_.tokenizer_json.string()
                        : parts_.processor.where + role,
          fmt::format("{} among its tokens", fmt::join(texts, " or ")),
          "no such token"));
    } else if (*own != id) {
      add(field, fmt::format("{}, the tokenizer's id of {}", *own, shown_text));
    }
  }

  // What processors read off their tokenizers by name (transformers 5.23:
  // processing_gemma3.py, processing_internvl.py).
  void named_tokens() {
    struct Needs {
      std::string_view type;
      std::vector<std::string_view> roles;
    };
    const std::vector<Needs> all = {
        {"gemma3", {"boi_token", "eoi_token", "image_token"}},
        {"internvl",
         {"start_image_token",
          "end_image_token",
          "context_image_token",
          "video_token"}}};
    const auto& settings = model_.tokenizer_config;
    auto needs = std::ranges::find(all, parts_.whole.type, &Needs::type);
    if (needs == all.end() || !settings.is_object()) {
      return;
    }
    const auto* extra = member(settings, "extra_special_tokens");
    for (auto role : needs->roles) {
      bool inside = extra != nullptr && !content(member(*extra, role)).empty();
      if (content(member(settings, role)).empty() && !inside) {
        findings_.push_back(make_finding(
            "vision.token-id",
            fmt::format("{}: {}",
                        (model_.path / "tokenizer_config.json").string(),
                        role),
            "a token, which the processor asks for by that name",
            "none"));
      }
    }
  }

  void add(const std::string& field, std::string expected) {
    findings_.push_back(field_finding(
        "vision.token-id", parts_.whole, field, std::move(expected)));
  }

  void placeholder() {
    if (model_.chat_template.empty()) {
      return;
    }
    const auto& family = *parts_.family;
    auto texts =
        family.placeholders.empty() ? family.image_texts : family.placeholders;
    auto named = fields::text(parts_.processor.stored, "image_token");
    if (!named.empty()) {
      texts.push_back(named);
    }
    auto part = [](const char* type, const char* content) {
      return Json{{"type", type}, {type, content}};
    };
    auto question = Json::array(
        {Json{{"role", "user"},
              {"content",
               Json::array({part("image", "x.png"), part("text", "Q")})}}});
    SpecialTokens special;
    for (auto [text, role] : {std::pair(&special.bos_text, "bos_token"),
                              std::pair(&special.eos_text, "eos_token")}) {
      *text = content(member(model_.tokenizer_config, role));
    }
    std::string rendered;
    try {
      rendered = render_chat(model_.chat_template, question, special);
    } catch (const Error& error) {
      findings_.push_back(error.finding());
      return;
    }
    bool found = std::ranges::any_of(texts, [&](std::string_view text) {
      return rendered.find(text) != rendered.npos;
    });
    if (!found) {
      findings_.push_back(
          make_finding("vision.placeholder",
                       model_.path.string() + ": chat template",
                       fmt::format("{} for an image", fmt::join(texts, " or ")),
                       "a text without it"));
    }
  }

  const ModelFiles& model_;
  const VisionLanguage& parts_;
  Vocabulary vocabulary_;
  Findings findings_;
};

}  // namespace

Findings vision_tokens(const ModelFiles& model, const VisionLanguage& parts) {
  return TokensLook(model, parts).look();
}

}  // namespace assay::rules
