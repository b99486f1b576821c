#include "assay/check/rules.h"

#include <algorithm>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/formats/quantization_config.h"

namespace assay::rules {
namespace {

bool mlx_has(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::f8_e4m3:
    case DType::f8_e5m2:
    case DType::f8_e8m0:
    case DType::f6_e2m3:
    case DType::f6_e3m2:
    case DType::f4:
      return false;
    default:
      return true;
  }
}

std::optional<double> number(const Json& object, const char* name) {
  auto entry = object.find(name);
  return entry != object.end() && entry->is_number()
             ? std::optional(entry->get<double>())
             : std::nullopt;
}

void require(Findings& findings,
             bool holds,
             const std::string& where,
             std::string expected,
             double actual) {
  if (!holds) {
    findings.push_back(make_finding("rope.inconsistent",
                                    where,
                                    std::move(expected),
                                    fmt::format("{}", actual)));
  }
}

void check_rope(Findings& findings,
                const Json& rope,
                const ModelReport& report,
                const std::string& where) {
  auto field = [&](const char* name) {
    return fmt::format("{}.{}", where, name);
  };
  auto theta = number(rope, "rope_theta");
  if (theta) {
    require(findings, *theta > 1, field("rope_theta"), "more than 1", *theta);
  }
  auto factor = number(rope, "factor");
  if (factor) {
    require(findings, *factor >= 1, field("factor"), "at least 1", *factor);
  }
  auto original = number(rope, "original_max_position_embeddings");
  if (original && report.sizes.context) {
    require(findings,
            *original <= static_cast<double>(*report.sizes.context),
            field("original_max_position_embeddings"),
            fmt::format("at most the context, {}", *report.sizes.context),
            *original);
  }
  auto low = number(rope, "low_freq_factor");
  auto high = number(rope, "high_freq_factor");
  if (low && high) {
    require(findings,
            *low < *high,
            field("low_freq_factor"),
            fmt::format("less than high_freq_factor, {}", *high),
            *low);
  }
}

// Settings that a type does not read were another type's: one of the two was
// edited. As transformers 5.23 reads them, modeling_rope_utils.py.
void check_rope_type(Findings& findings,
                     const Json& rope,
                     const std::string& where) {
  struct ReadBy {
    std::string_view field;
    std::vector<std::string_view> types;
  };
  static const std::vector<ReadBy> all = {
      {"factor",
       {"linear",
        "dynamic",
        "yarn",
        "deepseek_yarn",
        "llama3",
        "longrope",
        "su",
        "proportional"}},
      {"low_freq_factor", {"llama3"}},
      {"high_freq_factor", {"llama3"}},
      {"short_factor", {"longrope", "su"}},
      {"long_factor", {"longrope", "su"}},
      {"beta_fast", {"yarn", "deepseek_yarn"}},
      {"beta_slow", {"yarn", "deepseek_yarn"}},
      {"mscale", {"yarn", "deepseek_yarn"}},
      {"mscale_all_dim", {"yarn", "deepseek_yarn"}},
  };
  auto stated = rope.value("rope_type", rope.value("type", Json("default")));
  auto type = stated.is_string() ? stated.get<std::string>() : "";
  for (const auto& one : all) {
    auto value = rope.find(one.field);
    bool unread = value != rope.end() &&
                  (value->is_number() || value->is_array()) &&
                  std::ranges::find(one.types, type) == one.types.end();
    if (unread) {
      findings.push_back(make_finding(
          "rope.inconsistent",
          fmt::format("{}.rope_type", where),
          fmt::format(
              "{}, since {} is there", fmt::join(one.types, " or "), one.field),
          fmt::format("'{}'", type)));
      return;
    }
  }
}

// The parameter that is the embedding of tokens, as stored.
const Match* embedding_of(const Declared& declared) {
  auto match = std::ranges::find_if(declared.matches, [](const Match& m) {
    return m.spec->role() == nn::Role::embedding && m.shape.size() == 2;
  });
  return match == declared.matches.end() ? nullptr : &*match;
}

// A byte for each value of the declared shape.
bool is_bytes_of_floats(const Declared& declared, const Finding& finding) {
  if (finding.id != "tensor.dtype") {
    return false;
  }
  return std::ranges::any_of(declared.matches, [&](const Match& match) {
    const auto* stored = match.location.tensors.front();
    return stored->name == finding.where && stored->shape.size() == 2 &&
           match.location.scales == nullptr &&
           (stored->dtype == DType::u8 || stored->dtype == DType::i8);
  });
}

bool has_head(const Declared& declared) {
  auto is_head = [](const nn::ParameterSpec* spec) {
    return spec->role() == nn::Role::head;
  };
  return std::ranges::any_of(declared.missing, is_head) ||
         std::ranges::any_of(declared.matches, [&](const Match& match) {
           return is_head(match.spec);
         });
}

}  // namespace

Findings mlx_types(const ModelFiles& model) {
  std::map<DType, std::vector<const TensorInfo*>> found;
  for (const auto& tensor : model.tensors) {
    // Scaled block by block, such weights are read.
    bool scaled = tensor.dtype == DType::f8_e4m3 &&
                  model.find(tensor.name + "_scale_inv") != nullptr;
    if (!mlx_has(tensor.dtype) && !scaled) {
      found[tensor.dtype].push_back(&tensor);
    }
  }
  Findings findings;
  for (const auto& [dtype, tensors] : found) {
    findings.push_back(
        make_finding("mlx.no-type",
                     tensors.front()->name,
                     "a type that MLX has (F32, F16, BF16, integers)",
                     fmt::format("{} in {} tensor{}",
                                 name(dtype),
                                 tensors.size(),
                                 tensors.size() == 1 ? "" : "s")));
  }
  constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();
  for (const auto& tensor : model.tensors) {
    if (std::ranges::any_of(tensor.shape,
                            [](int64_t size) { return size > kLargest; })) {
      findings.push_back(
          make_finding("mlx.dimension",
                       tensor.name,
                       fmt::format("dimensions of at most {}", kLargest),
                       to_string(tensor.shape)));
    }
  }
  return findings;
}

Findings rope(const ModelReport& report, const std::string& where) {
  Findings findings;
  if (!report.rope.is_object()) {
    return findings;
  }
  check_rope(findings, report.rope, report, where + ": rope");
  check_rope_type(findings, report.rope, where + ": rope");
  for (const auto& [kind, settings] : report.rope.items()) {
    if (settings.is_object()) {
      auto place = fmt::format("{}: rope.{}", where, kind);
      check_rope(findings, settings, report, place);
      check_rope_type(findings, settings, place);
    }
  }
  return findings;
}

namespace {

// mlx-lm writes the block under both names and reads the first; transformers
// reads the second.
void two_blocks(Findings& findings,
                const Json& config,
                const std::string& where) {
  auto first = config.value("quantization", Json());
  auto second = config.value("quantization_config", Json());
  bool both = first.is_object() && second.is_object() &&
              !second.contains("quant_method");
  if (!both || first == second) {
    return;
  }
  std::string differs;
  for (const auto& [key, value] : first.items()) {
    if (differs.empty() && second.value(key, Json()) != value) {
      differs = key;
    }
  }
  findings.push_back(make_finding(
      "quantization.contradiction",
      fmt::format("{}: quantization, quantization_config", where),
      "the same in both",
      differs.empty() ? "more in one of them" : differs + " differs"));
}

// MLX writes its block twice, and mlx-lm reads the second as another
// quantizer's, as transformers does.
bool lacks_own_block(const Json& config) {
  auto second =
      config.is_object() ? config.value("quantization_config", Json()) : Json();
  return second.is_object() && !second.contains("quant_method") &&
         config.value("quantization", Json()).is_null() &&
         second.value("load_in_4bit", Json()) != true &&
         second.value("load_in_8bit", Json()) != true;
}

// What stands beside codes, by mode: scales in floating point and biases, or
// scales in bytes alone.
void parts_of_mode(Findings& findings, const Declared& declared) {
  for (const auto& match : declared.matches) {
    const auto& place = match.location;
    if (place.scales == nullptr || !place.quantization ||
        match.spec->role() == nn::Role::other) {
      continue;
    }
    bool affine = place.quantization->mode == "affine";
    if (!affine && place.biases != nullptr) {
      findings.push_back(
          make_finding("quantization.wrong-method",
                       place.biases->name,
                       "affine, since biases stand beside the scales",
                       std::string(place.quantization->mode)));
    } else if (affine && !is_floating(place.scales->dtype)) {
      findings.push_back(make_finding("tensor.dtype",
                                      place.scales->name,
                                      "scales in floating point",
                                      std::string(name(place.scales->dtype))));
    }
  }
}

// gpt-oss's experts are known by their names; transformers goes by the block.
void undeclared_blocks(Findings& findings,
                       const arch::Tree& tree,
                       const Declared& declared,
                       const std::string& where) {
  if (!tree.config.is_object() || tree.config.contains("quantization_config") ||
      tree.config.contains("quantization")) {
    return;
  }
  for (const auto& match : declared.matches) {
    const auto& name = match.location.tensors.empty()
                           ? match.spec->name
                           : match.location.tensors.front()->name;
    const auto* scales = match.location.scales;
    bool fp8 = scales != nullptr && scales->name.ends_with("_scale_inv");
    if (name.ends_with("_blocks") || fp8) {
      findings.push_back(make_finding(
          "quantization.undeclared",
          where,
          fmt::format("a quantization_config ({})", fp8 ? "fp8" : "mxfp4"),
          fmt::format("none, beside {}", name)));
      return;
    }
  }
}

}  // namespace

Findings quantization(const arch::Tree& tree,
                      const Declared& declared,
                      const std::string& where) {
  Findings findings;
  if (tree.config.is_object()) {
    two_blocks(findings, tree.config, where);
  }
  parts_of_mode(findings, declared);
  undeclared_blocks(findings, tree, declared, where);
  if (!findings.empty()) {
    return shorten(std::move(findings));
  }
  if (lacks_own_block(tree.config)) {
    return {make_finding("quantization.undeclared",
                         where,
                         "quant_method, or MLX's own block as quantization",
                         "quantization_config without quant_method")};
  }
  auto block = quantization_config(tree.config, where);
  bool any = std::ranges::any_of(declared.matches, [](const Match& match) {
    return match.location.scales != nullptr;
  });
  if (!block || any || declared.matches.empty()) {
    return {};
  }
  return {make_finding("quantization.unused",
                       where,
                       fmt::format("weights in {} bits, groups of {}",
                                   block->standard.bits,
                                   block->standard.group_size),
                       "no scales beside any weight")};
}

namespace {

// Codes whose scales or biases are not there: the rest of them is left over.
bool lacks_part(const Declared& declared, const Finding& finding) {
  if (finding.id != "tensor.dtype" && finding.id != "shape.mismatch") {
    return false;
  }
  return std::ranges::any_of(declared.unexpected, [&](const auto* tensor) {
    auto dot = tensor->name.rfind('.');
    auto leaf = tensor->name.substr(dot + 1);
    return dot != std::string::npos && (leaf == "scales" || leaf == "biases") &&
           finding.where == tensor->name.substr(0, dot) + ".weight";
  });
}

}  // namespace

std::vector<const TensorInfo*> head_copies(const Declared& declared) {
  std::vector<const TensorInfo*> copies;
  const auto* embedding = embedding_of(declared);
  if (embedding == nullptr || has_head(declared)) {
    return copies;
  }
  const auto& stored = *embedding->location.tensors.front();
  for (const auto* list : {&declared.unexpected, &declared.ignored}) {
    for (const auto* tensor : *list) {
      if (tensor->shape == stored.shape) {
        copies.push_back(tensor);
      }
    }
  }
  return copies;
}

Findings tensors(const Declared& declared) {
  auto copies = head_copies(declared);
  Findings findings;
  for (auto finding : declared.findings) {
    auto named = [&](const auto* one) { return one->name == finding.where; };
    auto missing = std::ranges::find_if(declared.missing, named);
    if (finding.id == "tensor.missing" && missing != declared.missing.end() &&
        (*missing)->role() == nn::Role::head) {
      finding = make_finding("head.missing",
                             finding.where,
                             finding.expected,
                             "none, and tie_word_embeddings false");
    } else if (finding.id == "tensor.unexpected" &&
               std::ranges::any_of(copies, named)) {
      finding = make_finding("head.tied-copy",
                             finding.where,
                             "no output head beside a tied embedding",
                             finding.actual);
    } else if (lacks_part(declared, finding)) {
      finding = make_finding("quantization.part-missing",
                             finding.where,
                             "scales, and biases where the mode is affine",
                             "one of them alone");
    } else if (is_bytes_of_floats(declared, finding)) {
      finding = make_finding("tensor.f8-as-bytes",
                             finding.where,
                             "F8_E4M3, or a floating-point type",
                             finding.actual);
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

namespace {

Findings vocabulary(const ModelReport& report, const std::string& where) {
  auto ids = static_cast<int64_t>(report.tokenizer.vocabulary);
  auto rows = report.sizes.vocabulary.value_or(ids);
  if (ids == rows) {
    return {};
  }
  return {make_finding(ids > rows ? "tokenizer.vocab-exceeds-embedding"
                                  : "tokenizer.vocab-padding",
                       where,
                       fmt::format("{} rows in the embedding", ids),
                       fmt::format("{}", rows))};
}

// transformers' classes without a language model's head (BertModel,
// BertForMaskedLM...) never end a text. Where no class is named, it may be one.
bool generates(const ModelReport& report) {
  const auto& name = report.class_name;
  auto has = [&](std::string_view part) {
    return name.find(part) != std::string::npos;
  };
  return name.empty() || has("ForCausalLM") || has("LMHead") ||
         has("ForConditionalGeneration");
}

Findings special_tokens(const ModelReport& report, const std::string& where) {
  Findings findings;
  bool ends = false;
  for (const auto& special : report.tokenizer.special) {
    ends = ends || special.name == "eos";
    auto rows = report.sizes.vocabulary;
    if (special.id && rows && *special.id >= *rows) {
      findings.push_back(
          make_finding("special-token.out-of-range",
                       fmt::format("{}: {}_token_id", where, special.name),
                       fmt::format("an id below {}", *rows),
                       fmt::format("{}", *special.id)));
      if (special.name == "pad") {  // only training would look it up
        findings.back().severity = Severity::warning;
      }
    }
  }
  if (!ends && generates(report)) {
    findings.push_back(make_finding("special-token.no-eos",
                                    where,
                                    "a token that ends a generation",
                                    "none"));
  }
  return findings;
}

}  // namespace

Findings tokenizer(const ModelFiles& model, const ModelReport& report) {
  auto where = model.path.string();
  const auto& summary = report.tokenizer;
  if (!summary.present) {
    auto finding = make_finding("tokenizer.missing",
                                where,
                                "tokenizer.json, or a vocabulary in the GGUF",
                                "neither");
    finding.severity = Severity::warning;  // the model itself can be run
    return {finding};
  }
  auto findings = vocabulary(report, where);
  std::ranges::move(special_tokens(report, where),
                    std::back_inserter(findings));
  const auto& config = model.tokenizer_config;
  auto length =
      config.is_object() ? number(config, "model_max_length") : std::nullopt;
  constexpr double kNoLimit = 1e15;  // transformers writes 1e30 for "none"
  if (length && report.sizes.context && *length < kNoLimit &&
      *length > static_cast<double>(*report.sizes.context)) {
    findings.push_back(make_finding(
        "tokenizer.context",
        where + "/tokenizer_config.json: model_max_length",
        fmt::format("at most the context, {}", *report.sizes.context),
        fmt::format("{}", *length)));
  }
  return findings;
}

}  // namespace assay::rules
