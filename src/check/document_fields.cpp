#include "assay/check/document_fields.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/formats/json_fields.h"

// The kinds are those that transformers 5.23, diffusers 0.42, PEFT 0.21 and
// sentence-transformers 6.2 declare for the fields of their configs, and what
// their code does with a value of another kind: it stops, or takes it as if it
// were one (a text "false" is true).
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;
namespace fs = std::filesystem;

constexpr uint64_t kMaxDocumentBytes = 64u << 20;
constexpr int kDeepest = 6;  // objects deeper than this are not looked at

bool is_words(const Json& value) {
  return value.is_string() && !value.get_ref<const std::string&>().empty();
}

bool is_flag(const Json& value) {
  return value.is_boolean();
}

bool is_object(const Json& value) {
  return value.is_object();
}

bool is_list(const Json& value) {
  return value.is_array();
}

bool is_above_zero(const Json& value) {
  return value.is_number() && value.get<double>() > 0;
}

bool is_zero_or_more(const Json& value) {
  return value.is_number() && value.get<double>() >= 0;
}

// One for all layers, or one for each.
bool are_whole(const Json& value, double least) {
  auto one = [&](const Json& number) {
    return number.is_number_integer() && number.get<double>() >= least;
  };
  return value.is_array() ? std::ranges::all_of(value, one) : one(value);
}

bool is_count(const Json& value) {
  return are_whole(value, 0);
}

bool is_whole(const Json& value) {
  return are_whole(value, 1) && value != Json::array();
}

// Llama 1 has -1 for a token that is none.
bool is_id(const Json& value) {
  return are_whole(value, -1);
}

bool is_texts(const Json& value) {
  return value.is_array() && std::ranges::all_of(value, [](const Json& one) {
           return one.is_string();
         });
}

bool is_words_or_object(const Json& value) {
  return is_words(value) || value.is_object();
}

bool is_words_or_texts(const Json& value) {
  return is_words(value) || (is_texts(value) && !value.empty());
}

bool is_list_or_object(const Json& value) {
  return value.is_array() || value.is_object();
}

// Gemma's: of all tokens, or of those of pictures.
bool is_direction(const Json& value) {
  return value.is_boolean() || value == "all" || value == "vision";
}

// transformers 5 declares these as floats, and takes no 0 for 0.0.
bool is_float(const Json& value) {
  return value.is_number_float() && value.get<double>() >= 0;
}

bool is_share(const Json& value) {
  return value.is_number() && value.get<double>() >= 0 &&
         value.get<double>() <= 1;
}

// One for all, or one a layer; a switch of it is none.
bool is_dropout(const Json& value) {
  return value.is_boolean() ||
         (value.is_array() ? std::ranges::all_of(value, is_share)
                           : is_share(value));
}

// One layer in so many; EXAONE writes a period as "LLLG".
bool is_pattern(const Json& value) {
  return value.is_string()
             ? is_words(value) && value.get<std::string>().find_first_not_of(
                                      "LG") == std::string::npos
             : is_whole(value);
}

// A token as text, or as transformers writes an AddedToken.
bool is_token(const Json& value) {
  return value.is_object() ? is_words(value.value("content", Json()))
                           : is_words(value);
}

struct ValueKind {
  std::string_view expected;
  bool (*holds)(const Json&);
};

constexpr ValueKind kIsWords{"a text that is not empty", is_words};
constexpr ValueKind kIsFlag{"true or false", is_flag};
constexpr ValueKind kIsDirection{"true, false, all or vision", is_direction};
constexpr ValueKind kIsFloat{"a number with a point (0.0), 0 or more",
                             is_float};
constexpr ValueKind kIsShare{"a number from 0 to 1", is_share};
constexpr ValueKind kIsDropout{"a number from 0 to 1", is_dropout};
constexpr ValueKind kIsPattern{"a whole number above 0, or a text of L and G",
                               is_pattern};
constexpr ValueKind kIsObject{"an object", is_object};
constexpr ValueKind kIsList{"a list", is_list};
constexpr ValueKind kIsAboveZero{"a number above 0", is_above_zero};
constexpr ValueKind kIsZeroOrMore{"a number, 0 or more", is_zero_or_more};
constexpr ValueKind kIsCount{"a whole number, 0 or more", is_count};
constexpr ValueKind kIsSize{"a whole number above 0", is_whole};
constexpr ValueKind kIsId{"an id, or a list of them", is_id};
constexpr ValueKind kIsTexts{"a list of texts", is_texts};
constexpr ValueKind kIsType{"the name of a type", is_words_or_object};
constexpr ValueKind kIsClass{"the name of a class", is_words_or_texts};
constexpr ValueKind kIsMany{"a list or an object", is_list_or_object};
constexpr ValueKind kIsToken{"a token's text, or an object with its content",
                             is_token};

struct KnownField {
  std::string_view name;
  ValueKind kind;
};

constexpr auto kConfigFields = std::to_array<KnownField>({
    {"_class_name", kIsClass},
    {"_load_in_4bit", kIsFlag},
    {"_load_in_8bit", kIsFlag},
    {"_sliding_window_pattern", kIsPattern},
    {"act_fn", kIsWords},
    {"activation_function", kIsWords},
    {"activation_scheme", kIsWords},
    {"add_cross_attention", kIsFlag},
    {"architectures", kIsTexts},
    {"attention_bias", kIsFlag},
    {"attention_heads", kIsSize},
    {"attn_logit_softcapping", kIsFloat},
    {"beta_fast", kIsAboveZero},
    {"beta_slow", kIsAboveZero},
    {"bits", kIsAboveZero},
    {"bnb_4bit_compute_dtype", kIsWords},
    {"bnb_4bit_quant_storage", kIsWords},
    {"bnb_4bit_quant_type", kIsWords},
    {"bnb_4bit_use_double_quant", kIsFlag},
    {"bos_token_id", kIsId},
    {"config_groups", kIsObject},
    {"cross_attention_layers", kIsList},
    {"damp_percent", kIsShare},
    {"decoder_start_token_id", kIsId},
    {"desc_act", kIsFlag},
    {"dtype", kIsType},
    {"dual_attention_layers", kIsList},
    {"eos_token_id", kIsId},
    {"final_logit_softcapping", kIsFloat},
    {"force_upcast", kIsFlag},
    {"format", kIsWords},
    {"group_0", kIsObject},
    {"head_dim", kIsSize},
    {"hidden_act", kIsWords},
    {"hidden_activation", kIsWords},
    {"hidden_size", kIsSize},
    {"high_freq_factor", kIsAboveZero},
    {"ignore", kIsTexts},
    {"include_prompt", kIsFlag},
    {"intermediate_size", kIsSize},
    {"interpolation_scale", kIsAboveZero},
    {"is_decoder", kIsFlag},
    {"is_encoder_decoder", kIsFlag},
    {"layer_norm_eps", kIsAboveZero},
    {"layer_scale_init_value", kIsFloat},
    {"llm_int8_enable_fp32_cpu_offload", kIsFlag},
    {"llm_int8_has_fp16_weight", kIsFlag},
    {"llm_int8_skip_modules", kIsTexts},
    {"llm_int8_threshold", kIsFloat},
    {"load_in_4bit", kIsFlag},
    {"load_in_8bit", kIsFlag},
    {"low_freq_factor", kIsAboveZero},
    {"max_position_embeddings", kIsSize},
    {"max_window_layers", kIsCount},
    {"mlp_bias", kIsFlag},
    {"model_type", kIsWords},
    {"module_input_name", kIsWords},
    {"module_output_name", kIsWords},
    {"modules_to_not_convert", kIsTexts},
    {"mrope_interleaved", kIsFlag},
    {"mscale", kIsZeroOrMore},
    {"mscale_all_dim", kIsZeroOrMore},
    {"multimodal_projector_bias", kIsFlag},
    {"no_rope_layer_interval", kIsSize},
    {"norm_topk_prob", kIsFlag},
    {"num_attention_heads", kIsSize},
    {"num_decoder_layers", kIsSize},
    {"num_heads", kIsSize},
    {"num_hidden_layers", kIsSize},
    {"num_key_value_heads", kIsSize},
    {"num_layers", kIsCount},
    {"num_nextn_predict_layers", kIsCount},
    {"num_single_layers", kIsCount},
    {"original_max_position_embeddings", kIsSize},
    {"out_hidden_size", kIsSize},
    {"output_router_logits", kIsFlag},
    {"pad_token_id", kIsId},
    {"projection_dim", kIsCount},
    {"qk_head_dim", kIsSize},
    {"quant_method", kIsWords},
    {"quantization", kIsObject},
    {"quantization_config", kIsObject},
    {"quantization_status", kIsWords},
    {"rope_parameters", kIsObject},
    {"rope_scaling", kIsObject},
    {"router_jitter_noise", kIsFloat},
    {"scale_attn_weights", kIsFlag},
    {"scale_decoder_outputs", kIsFlag},
    {"sliding_window_pattern", kIsPattern},
    {"swiglu_alpha", kIsAboveZero},
    {"swiglu_limit", kIsAboveZero},
    {"sym", kIsFlag},
    {"targets", kIsTexts},
    {"text_config", kIsObject},
    {"tie_word_embeddings", kIsFlag},
    {"tokens_per_second", kIsAboveZero},
    {"torch_dtype", kIsType},
    {"type_vocab_size", kIsCount},
    {"use_additional_conditions", kIsFlag},
    {"use_bidirectional_attention", kIsDirection},
    {"use_mask_token", kIsFlag},
    {"use_qk_norm", kIsFlag},
    {"use_sliding_window", kIsFlag},
    {"vision_config", kIsObject},
    {"vision_use_head", kIsFlag},
    {"vocab_size", kIsSize},
    {"window_size", kIsCount},
    {"zero_point", kIsFlag},
});

constexpr auto kTokenizerFields = std::to_array<KnownField>({
    {"add_prefix_space", kIsFlag},
    {"added_tokens_decoder", kIsObject},
    {"additional_special_tokens", kIsList},
    {"clean_up_tokenization_spaces", kIsFlag},
    {"do_lower_case", kIsFlag},
    {"extra_ids", kIsCount},
    {"extra_special_tokens", kIsMany},
    {"lstrip", kIsFlag},
    {"model_max_length", kIsAboveZero},
    {"normalized", kIsFlag},
    {"rstrip", kIsFlag},
    {"single_word", kIsFlag},
    {"special", kIsFlag},
    {"strip_accents", kIsFlag},
    {"tokenize_chinese_chars", kIsFlag},
    {"tokenizer_class", kIsWords},
});

constexpr auto kGenerationFields = std::to_array<KnownField>({
    {"bos_token_id", kIsId},
    {"cache_implementation", kIsWords},
    {"do_sample", kIsFlag},
    {"eos_token_id", kIsId},
    {"output_attentions", kIsFlag},
    {"output_hidden_states", kIsFlag},
    {"pad_token_id", kIsId},
});

constexpr auto kProcessorFields = std::to_array<KnownField>({
    {"crop_size", kIsMany},
    {"data_format", kIsWords},
    {"default_to_square", kIsFlag},
    {"device", kIsWords},
    {"do_center_crop", kIsFlag},
    {"fps", kIsAboveZero},
    {"input_data_format", kIsWords},
    {"longest_edge", kIsSize},
    {"max_frames", kIsSize},
    {"max_pixels", kIsSize},
    {"min_pixels", kIsSize},
    {"num_frames", kIsSize},
    {"processor_class", kIsWords},
    {"return_metadata", kIsFlag},
    {"shortest_edge", kIsSize},
    {"video_metadata", kIsMany},
    {"video_sampling", kIsObject},
    {"video_size", kIsObject},
});

constexpr auto kAdapterFields = std::to_array<KnownField>({
    {"alora_invocation_tokens", kIsList},
    {"alpha_pattern", kIsObject},
    {"arrow_config", kIsObject},
    {"auto_mapping", kIsObject},
    {"base_model_name_or_path", kIsWords},
    {"corda_config", kIsObject},
    {"ensure_weight_tying", kIsFlag},
    {"eva_config", kIsObject},
    {"exclude_modules", kIsClass},
    {"fan_in_fan_out", kIsFlag},
    {"kasa_config", kIsObject},
    {"keys", kIsTexts},
    {"layer_replication", kIsList},
    {"layers_pattern", kIsClass},
    {"loftq_config", kIsObject},
    {"lora_bias", kIsFlag},
    {"lora_ga_config", kIsObject},
    {"model", kIsWords},
    {"modules_to_save", kIsTexts},
    {"monteclora_config", kIsObject},
    {"qalora_group_size", kIsSize},
    {"rank_pattern", kIsObject},
    {"revision", kIsWords},
    {"target_parameters", kIsTexts},
    {"task_type", kIsWords},
    {"trainable_token_indices", kIsMany},
    {"trust_remote_code", kIsFlag},
    {"use_bdlora", kIsObject},
    {"use_dora", kIsFlag},
    {"use_qalora", kIsFlag},
    {"use_rslora", kIsFlag},
    {"velora_config", kIsObject},
});

constexpr auto kSentenceFields = std::to_array<KnownField>({
    {"default_prompt_name", kIsWords},
    {"do_lower_case", kIsFlag},
    {"max_seq_length", kIsSize},
    {"modality_config", kIsObject},
    {"model_type", kIsWords},
    {"module_input_name", kIsWords},
    {"module_output_name", kIsWords},
    {"prompts", kIsObject},
    {"similarity_fn_name", kIsWords},
    {"transformer_task", kIsWords},
});

struct KnownDocument {
  std::string_view file;
  std::string_view id;  ///< empty: that of a config
  std::span<const KnownField> fields;
  bool tokens = false;    ///< what ends in "_token" is one
  bool dropouts = false;  ///< what has "dropout" in its name is a share
};

constexpr auto kKnownDocuments = std::to_array<KnownDocument>({
    {"config.json", "", kConfigFields, false, true},
    {"generation_config.json", "generation.invalid-value", kGenerationFields},
    {"tokenizer_config.json",
     "tokenizer.invalid-value",
     kTokenizerFields,
     true},
    {"special_tokens_map.json",
     "tokenizer.invalid-value",
     kTokenizerFields,
     true},
    {"preprocessor_config.json", "", kProcessorFields},
    {"video_preprocessor_config.json", "", kProcessorFields},
    {"processor_config.json", "", kProcessorFields, true},
    {"adapter_config.json", "adapter.invalid-value", kAdapterFields},
    {"sentence_bert_config.json", "embedding.invalid-value", kSentenceFields},
    {"config_sentence_transformers.json",
     "embedding.invalid-value",
     kSentenceFields},
});

const KnownDocument* known_document(const fs::path& file) {
  auto name = file.filename().string();
  const auto* found =
      std::ranges::find(kKnownDocuments, name, &KnownDocument::file);
  return found == kKnownDocuments.end() ? nullptr : &*found;
}

class FieldsWalk {
 public:
  FieldsWalk(const KnownDocument& document,
             std::string where,
             std::string_view id)
      : document_(document), where_(std::move(where)), id_(id) {}

  Findings look(const Json& object) {
    walk(object, "", 0);
    return std::move(findings_);
  }

 private:
  const ValueKind* kind_of(std::string_view name) const {
    for (const auto& field : document_.fields) {
      if (field.name == name) {
        return &field.kind;
      }
    }
    if (document_.dropouts && name.find("dropout") != name.npos) {
      return &kIsDropout;
    }
    // add_bos_token is a flag.
    bool token = document_.tokens && name.ends_with("_token") &&
                 !name.starts_with("add_");
    return token ? &kIsToken : nullptr;
  }

  void walk(const Json& object, const std::string& path, int depth) {
    for (const auto& [name, value] : object.items()) {
      if (value.is_null()) {
        continue;
      }
      const auto* kind = kind_of(name);
      if (kind != nullptr && !kind->holds(value)) {
        findings_.push_back(
            make_finding(id_,
                         fmt::format("{}: {}{}", where_, path, name),
                         std::string(kind->expected),
                         fields::shown(value)));
      } else if (value.is_object() && depth < kDeepest) {
        walk(value, fmt::format("{}{}.", path, name), depth + 1);
      }
    }
  }

  const KnownDocument& document_;
  std::string where_;
  std::string_view id_;
  Findings findings_;
};

}  // namespace

Findings document_fields(const Json& document,
                         const fs::path& file,
                         std::string_view config_id) {
  const auto* known = known_document(file);
  if (known == nullptr || !document.is_object()) {
    return {};
  }
  auto id = known->id.empty() ? config_id : known->id;
  return FieldsWalk(*known, file.string(), id).look(document);
}

Json document_at(const fs::path& file, uint64_t most) {
  std::error_code error;
  return fs::is_regular_file(file, error)
             ? parse_json(read_text(file, most), file.string())
             : Json();
}

Findings folder_fields(const fs::path& folder, std::string_view config_id) {
  Findings findings;
  for (const auto& known : kKnownDocuments) {
    auto file = folder / known.file;
    std::error_code error;
    if (!fs::is_regular_file(file, error)) {
      continue;
    }
    try {
      auto document =
          parse_json(read_text(file, kMaxDocumentBytes), file.string());
      std::ranges::move(document_fields(document, file, config_id),
                        std::back_inserter(findings));
    } catch (const Error& error) {
      findings.push_back(error.finding());
    }
  }
  return findings;
}

void add_fields(Findings& findings, Findings more) {
  for (auto& finding : more) {
    bool named = std::ranges::any_of(findings, [&](const Finding& one) {
      return one.where == finding.where;
    });
    if (!named) {
      findings.push_back(std::move(finding));
    }
  }
}

}  // namespace assay::rules
