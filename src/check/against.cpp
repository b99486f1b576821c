#include "assay/check/against.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "assay/formats/json_fields.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

namespace assay {
namespace {

using fields::shown;
using Fields = std::map<std::string, Json>;

// Sizes that the stored tensors follow: another value loads wrong or not.
constexpr auto kSizes =
    std::to_array<std::string_view>({"hidden_size",
                                     "intermediate_size",
                                     "num_hidden_layers",
                                     "num_attention_heads",
                                     "num_key_value_heads",
                                     "head_dim",
                                     "vocab_size",
                                     "moe_intermediate_size",
                                     "num_experts",
                                     "n_routed_experts",
                                     "n_embd",
                                     "n_layer",
                                     "n_head",
                                     "d_model",
                                     "d_ff",
                                     "num_layers",
                                     "num_heads",
                                     "depth",
                                     "embed_dim",
                                     "patch_size",
                                     "in_channels",
                                     "out_channels",
                                     "latent_channels",
                                     "block_out_channels",
                                     "cross_attention_dim",
                                     "attention_head_dim",
                                     "projection_dim",
                                     "kv_lora_rank",
                                     "q_lora_rank",
                                     "r"});

constexpr auto kIdentity =
    std::to_array<std::string_view>({"model_type", "_class_name", "peft_type"});

// Their difference shows in tensors or in tokens, where it is reported.
constexpr auto kElsewhere = std::to_array<std::string_view>(
    {"dtype", "quantization", "quantization_config", "tokenizer_file"});

template <typename Names>
bool among(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view last_of(std::string_view path) {
  auto dot = path.rfind('.');
  return dot == path.npos ? path : path.substr(dot + 1);
}

bool elsewhere(std::string_view path) {
  return among(kElsewhere, path.substr(0, path.find('.')));
}

// Sets of names (target_modules, special tokens) have no order; GGUF keeps
// numbers in float32.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    return a == b || a.get<float>() == b.get<float>();
  }
  if (!a.is_array() || !b.is_array()) {
    return a == b;
  }
  auto is_text = [](const Json& item) { return item.is_string(); };
  if (std::ranges::all_of(a, is_text) && std::ranges::all_of(b, is_text)) {
    return a.get<std::multiset<std::string>>() ==
           b.get<std::multiset<std::string>>();
  }
  return std::ranges::equal(a, b, same);
}

bool newer_dialect(const Json& config) {
  return config.is_object() &&
         (config.contains("rope_parameters") || config.contains("dtype"));
}

class Comparison {
 public:
  Comparison(const Profile& model, const Profile& good)
      : model_(model), good_(good) {}

  std::vector<Finding> run() {
    documents();
    processors();
    tokenizers();
    chat_template();
    tensors();
    return shorten(std::move(findings_), 8);
  }

 private:
  // Safetensors and PyTorch's files have the same documents beside them, and
  // the same names and shapes in them; a GGUF has its own.
  bool same_layout() const {
    auto layout = [](const std::string& container) {
      return container == "PyTorch" ? std::string_view("safetensors")
                                    : std::string_view(container);
    };
    return layout(model_.container) == layout(good_.container);
  }

  void add(std::string_view id,
           const std::string& where,
           std::string expected,
           std::string actual,
           std::optional<Severity> severity = {}) {
    findings_.push_back(
        make_finding(id, where, std::move(expected), std::move(actual)));
    if (severity) {
      findings_.back().severity = *severity;
    }
  }

  void documents() {
    for (const auto& [path, good] : good_.documents) {
      if (is_processor(path) || path.ends_with("special_tokens_map.json")) {
        continue;
      }
      auto own = model_.documents.find(path);
      if (own == model_.documents.end()) {
        missing_document(path);
      } else if (path.ends_with("generation_config.json")) {
        generation(path, own->second, good);
      } else {
        config(path, own->second, good);
      }
    }
  }

  void missing_document(const std::string& path) {
    // A GGUF has no documents beside it, and lone weights none at all.
    if (model_.documents.empty() || !same_layout()) {
      return;
    }
    bool needed =
        path.ends_with("config.json") || path.ends_with("model_index.json");
    bool minor = path.ends_with("generation_config.json") ||
                 path.ends_with("config_sentence_transformers.json");
    if (needed || minor) {
      add("against.file-missing",
          path,
          "the file, as beside the good model",
          "no such file");
    }
  }

  void config(const std::string& path, const Json& own, const Json& good) {
    if (!own.is_object() || !good.is_object()) {
      if (own != good) {
        add("against.value", path, shown(good), shown(own));
      }
      return;
    }
    auto mine = plain_fields(own);
    auto theirs = plain_fields(good);
    bool one_writer =
        newer_dialect(own) == newer_dialect(good) && same_layout();
    auto all = theirs;
    all.insert(mine.begin(), mine.end());
    for (const auto& [field, unused] : all) {
      if (elsewhere(field)) {
        continue;
      }
      auto x = value_of(mine, field);
      auto y = value_of(theirs, field);
      auto where = fmt::format("{}: {}", path, field);
      if (x.is_null() || y.is_null()) {
        one_sided(where, field, x, y, one_writer);
      } else if (!same(x, y)) {
        add(id_of(path, field), where, shown(y), shown(x));
      }
    }
  }

  static Json value_of(const Fields& fields, const std::string& field) {
    auto entry = fields.find(field);
    return entry == fields.end() ? Json() : entry->second;
  }

  static std::string_view id_of(std::string_view path, std::string_view field) {
    auto last = last_of(field);
    if (among(kIdentity, last)) {
      return "against.architecture";
    }
    if (path.ends_with("tokenizer_config.json")) {
      return "against.tokenizer";
    }
    if (last.ends_with("_token_id")) {
      return "against.token";
    }
    return among(kSizes, last) ? "against.size" : "against.value";
  }

  // Absent means a library's default; two writers leave out different fields.
  void one_sided(const std::string& where,
                 const std::string& field,
                 const Json& own,
                 const Json& good,
                 bool one_writer) {
    bool rope = field.find("rope_parameters") != field.npos;
    bool plain = own == "default" || good == "default";
    if (plain || (!one_writer && !rope)) {
      return;
    }
    if (own.is_null()) {
      add("against.field-missing", where, shown(good), "no such field");
    } else if (rope || among(kSizes, last_of(field))) {
      add("against.value", where, "no such field", shown(own));
    } else {
      add("against.field-extra", where, "no such field", shown(own));
    }
  }

  void generation(const std::string& path, const Json& own, const Json& good) {
    if (!own.is_object() || !good.is_object()) {
      return;
    }
    for (const auto& [field, value] : good.items()) {
      auto mine = own.value(field, Json());
      bool token = field.ends_with("_token_id");
      bool sampling = field == "temperature" || field == "top_p" ||
                      field == "top_k" || field == "do_sample" ||
                      field == "repetition_penalty";
      if ((token || sampling) && !value.is_null() &&
          !same(listed(mine), listed(value))) {
        add(token ? "against.token" : "against.generation",
            fmt::format("{}: {}", path, field),
            shown(value),
            mine.is_null() ? "no such field" : shown(mine));
      }
    }
  }

  // 2 and [2] are one set of ids.
  static Json listed(const Json& value) {
    return value.is_array() && value.size() == 1 ? value[0] : value;
  }

  static bool is_processor(std::string_view path) {
    return path.ends_with("preprocessor_config.json") ||
           path.ends_with("processor_config.json");
  }

  // transformers 5 keeps what was preprocessor_config.json inside
  // processor_config.json.
  static Fields processor_of(const Profile& profile) {
    Fields fields;
    auto take = [&](const char* path, const char* inside) {
      auto document = profile.documents.find(path);
      if (document == profile.documents.end() ||
          !document->second.is_object()) {
        return;
      }
      auto source = inside == nullptr ? document->second
                                      : document->second.value(inside, Json());
      fields.merge(plain_fields(source));
    };
    take("processor_config.json", "image_processor");
    take("processor_config.json", "feature_extractor");
    take("preprocessor_config.json", nullptr);
    take("feature_extractor/preprocessor_config.json", nullptr);
    auto own = profile.documents.find("processor_config.json");
    if (own != profile.documents.end() && own->second.is_object()) {
      auto rest = own->second;
      rest.erase("image_processor");
      rest.erase("feature_extractor");
      rest.erase("video_processor");
      fields.merge(plain_fields(rest));
    }
    return fields;
  }

  void processors() {
    auto own = processor_of(model_);
    auto good = processor_of(good_);
    if (own.empty() && !good.empty() && !model_.documents.empty() &&
        same_layout()) {
      add("against.file-missing",
          "processor",
          "preprocessor_config.json or processor_config.json",
          "neither");
      return;
    }
    for (const auto& [field, value] : good) {
      auto mine = value_of(own, field);
      bool number = value.is_number() || value.is_array();
      if (!mine.is_null() ? !same(mine, value) : (number && !own.empty())) {
        add("against.processor",
            "processor: " + field,
            shown(value),
            mine.is_null() ? "no such field" : shown(mine));
      }
    }
  }

  void tokenizers() {
    for (const auto& [path, good] : good_.tokenizers) {
      auto own = model_.tokenizers.find(path);
      if (own != model_.tokenizers.end()) {
        tokenizer(path, own->second, good);
      } else if (!model_.documents.empty()) {
        add("against.file-missing", path, "the good model's tokenizer", "none");
      }
    }
  }

  void tokenizer(const std::string& path, const Json& own, const Json& good) {
    if (!own.is_object() || !good.is_object()) {
      return;
    }
    auto mine = own.value("model", Json::object());
    auto theirs = good.value("model", Json::object());
    for (const auto* part : {"type", "vocab", "merges"}) {
      auto x = mine.value(part, Json());
      auto y = theirs.value(part, Json());
      if (x != y) {
        add("against.vocabulary",
            fmt::format("{}: {}", path, part),
            shown(y),
            shown(x));
      }
    }
    added_tokens(path, own, good);
    if (!same_layout()) {
      return;  // made from a GGUF: the same work, said otherwise
    }
    for (const auto* part :
         {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
      auto x = own.value(part, Json());
      auto y = good.value(part, Json());
      if (x != y) {
        add("against.tokenizer",
            fmt::format("{}: {}", path, part),
            shown(y),
            shown(x));
      }
    }
  }

  void added_tokens(const std::string& path,
                    const Json& own,
                    const Json& good) {
    auto mine = own.value("added_tokens", Json::object());
    auto theirs = good.value("added_tokens", Json::object());
    for (const auto& [token, facts] : theirs.items()) {
      auto found = mine.value(token, Json());
      if (found.is_null() ||
          found.value("id", Json()) != facts.value("id", Json())) {
        add("against.token",
            fmt::format("{}: {}", path, quote(token)),
            shown(facts.value("id", Json())),
            found.is_null() ? "no such token"
                            : shown(found.value("id", Json())));
      }
    }
  }

  void chat_template() {
    auto own = trimmed(model_.chat_template);
    auto good = trimmed(good_.chat_template);
    if (good.empty() || own == good) {
      return;
    }
    if (own.empty()) {
      if (!model_.documents.empty() || model_.container == "gguf") {
        add("against.template",
            "chat template",
            fmt::format("{} characters", good.size()),
            "none");
      }
      return;
    }
    auto [x, y] = std::ranges::mismatch(own, good);
    auto line = 1 + std::count(own.begin(), x, '\n');
    auto near = [](std::string_view text, size_t at) {
      constexpr size_t kShown = 60;
      return text.empty() ? std::string() : quote(text.substr(at, kShown));
    };
    auto at = static_cast<size_t>(x - own.begin());
    add("against.template",
        fmt::format("chat template: line {}", line),
        near(good, at),
        at < own.size() ? near(own, at) : std::string("its end"));
  }

  static std::string_view trimmed(std::string_view text) {
    auto end = text.find_last_not_of(" \r\n\t");
    return text.substr(0, end == text.npos ? 0 : end + 1);
  }

  using Tensors = std::map<std::string, ProfileTensor>;

  void tensors() {
    for (const auto& [prefix, good] : good_.tensors) {
      auto own = model_.tensors.find(prefix);
      if (own == model_.tensors.end()) {
        if (!good.empty() && !model_.tensors.empty()) {
          add("against.tensor-missing",
              prefix,
              fmt::format("{} tensors", good.size()),
              "none");
        }
      } else if (same_layout()) {
        folder(prefix, own->second, good);
      }
    }
  }

  // A weight with scales beside it is packed: its shape says how, not what.
  static bool packed(const Tensors& tensors, const std::string& tensor) {
    auto dot = tensor.rfind('.');
    auto module = tensor.substr(0, dot);
    for (const auto* beside : {".scales",
                               ".qweight",
                               ".weight_packed",
                               ".weight_scale_inv",
                               ".weight.absmax"}) {
      if (tensors.contains(module + beside)) {
        return true;
      }
    }
    return false;
  }

  void folder(const std::string& prefix,
              const Tensors& own,
              const Tensors& good) {
    size_t packed_otherwise = 0;
    size_t common = 0;
    std::map<std::pair<DType, DType>, std::vector<std::string>> types;
    std::vector<std::string> missing;
    for (const auto& [tensor, facts] : good) {
      auto mine = own.find(tensor);
      bool own_packed = packed(own, tensor);
      bool good_packed = packed(good, tensor);
      bool quantized = own_packed || good_packed;
      if (mine == own.end()) {
        (quantized && own_packed != good_packed ? ++packed_otherwise : 0);
        if (!quantized || own_packed == good_packed) {
          missing.push_back(tensor);
        }
        continue;
      }
      ++common;
      if (mine->second.shape != facts.shape) {
        if (quantized) {
          ++packed_otherwise;
        } else {
          add("against.tensor-shape",
              prefix + tensor,
              to_string(facts.shape),
              to_string(mine->second.shape));
        }
      } else if (mine->second.dtype != facts.dtype) {
        types[{facts.dtype, mine->second.dtype}].push_back(tensor);
      }
    }
    if (packed_otherwise > 0) {
      add("against.quantization",
          prefix.empty() ? "tensors" : prefix,
          "weights stored as in the good model",
          fmt::format("{} tensors packed otherwise", packed_otherwise));
    }
    dtypes(prefix, types);
    if (common == 0 && !own.empty() && !good.empty()) {
      add("against.tensor-missing",
          prefix + good.begin()->first,
          fmt::format("{} tensors of these names", good.size()),
          fmt::format("none of them, but {} others ({}...)",
                      own.size(),
                      quote(own.begin()->first)));
      return;
    }
    absent(prefix, own, good, missing);
    extra(prefix, own, good);
  }

  // Groups of names of the same bytes of which the others have one.
  static std::set<std::string> shared(const Tensors& all,
                                      const Tensors& others) {
    std::set<std::string> groups;
    for (const auto& [tensor, facts] : all) {
      if (!facts.same_as.empty() && others.contains(tensor)) {
        groups.insert(facts.same_as);
      }
    }
    return groups;
  }

  void absent(const std::string& prefix,
              const Tensors& own,
              const Tensors& good,
              const std::vector<std::string>& missing) {
    auto groups = shared(good, own);
    for (const auto& tensor : missing) {
      bool tied = (tensor.ends_with("lm_head.weight") && ties(model_)) ||
                  groups.contains(good.at(tensor).same_as);
      if (!tied && !derived(tensor)) {
        add("against.tensor-missing",
            prefix + tensor,
            "the tensor, as in the good model",
            fmt::format("{} tensors without it", own.size()));
      }
    }
  }

  void extra(const std::string& prefix,
             const Tensors& own,
             const Tensors& good) {
    auto groups = shared(own, good);
    for (const auto& [tensor, facts] : own) {
      bool tied = (tensor.ends_with("lm_head.weight") && ties(good_)) ||
                  groups.contains(facts.same_as);
      if (!good.contains(tensor) && !tied && !derived(tensor) &&
          packed(own, tensor) == packed(good, tensor)) {
        add("against.tensor-extra",
            prefix + tensor,
            "no such tensor",
            to_string(facts.shape));
      }
    }
  }

  // Computed from the config; some writers store them.
  static bool derived(std::string_view tensor) {
    return tensor.ends_with("inv_freq") || tensor.ends_with("position_ids") ||
           tensor.ends_with(".attn.bias") ||
           tensor.ends_with(".attn.masked_bias");
  }

  static bool ties(const Profile& profile) {
    auto config = profile.documents.find("config.json");
    return config != profile.documents.end() && config->second.is_object() &&
           config->second.value("tie_word_embeddings", Json()) == true;
  }

  void dtypes(const std::string& prefix,
              const std::map<std::pair<DType, DType>, std::vector<std::string>>&
                  types) {
    for (const auto& [pair, tensors] : types) {
      auto [good, own] = pair;
      bool kin = is_floating(good) == is_floating(own) ||
                 is_block_quantized(good) || is_block_quantized(own);
      add("against.dtype",
          prefix + tensors.front(),
          std::string(name(good)),
          fmt::format("{} in {} tensor{}",
                      name(own),
                      tensors.size(),
                      tensors.size() == 1 ? "" : "s"),
          kin ? Severity::note : Severity::error);
    }
  }

  const Profile& model_;
  const Profile& good_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> compare_with(const Profile& model, const Profile& good) {
  return Comparison(model, good).run();
}

ExtraStep against_step(Profile good) {
  auto shared = std::make_shared<const Profile>(std::move(good));
  return {"against",
          [shared](const std::filesystem::path& path, CheckStep& step) {
            auto model = profile_of(path);
            size_t tensors = 0;
            for (const auto& [prefix, list] : model.tensors) {
              tensors += list.size();
            }
            step.detail = fmt::format("{} documents and {} tensors beside {}",
                                      model.documents.size(),
                                      tensors,
                                      shared->source);
            auto findings = compare_with(model, *shared);
            // What could not be read there was not compared.
            for (auto finding : shared->findings) {
              finding.where = "known good: " + finding.where;
              findings.push_back(std::move(finding));
            }
            return findings;
          }};
}

}  // namespace assay
