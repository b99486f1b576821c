// Published models by their size, and what all of a kind have in common. Each
// entry names what it was read from; tools/profiles/read_published.py prints
// the language models' rows.

#include <algorithm>
#include <array>

#include "assay/check/published.h"

namespace assay::rules {
namespace {

constexpr std::string_view kLitgpt = "Lightning-AI/litgpt, litgpt/config.py";
constexpr std::string_view kMlc =
    "mlc-ai/mlc-llm, python/mlc_llm/model/model_preset.py";
constexpr std::string_view kBoth =
    "Lightning-AI/litgpt, litgpt/config.py; mlc-ai/mlc-llm, "
    "python/mlc_llm/model/model_preset.py";
constexpr std::string_view kClass =
    "transformers 5.23.0, the class's own defaults";
constexpr std::string_view kGemma3 =
    "huggingface/transformers, "
    "src/transformers/models/gemma3/convert_gemma3_weights.py";
constexpr std::string_view kInternVl =
    "huggingface/transformers, "
    "src/transformers/models/internvl/convert_internvl_weights_to_hf.py";
constexpr std::string_view kMllama =
    "huggingface/transformers, "
    "src/transformers/models/mllama/convert_mllama_weights_to_hf.py";
constexpr std::string_view kMistral3 =
    "huggingface/transformers, "
    "src/transformers/models/mistral3/convert_mistral3_weights_to_hf.py";

constexpr std::string_view kCandle =
    "huggingface/candle, candle-transformers/src/models/yi.rs";
constexpr std::string_view kCoder =
    "arXiv 2401.14196 (DeepSeek-Coder), table 2 and section 3.6";
constexpr std::string_view kFms =
    "foundation-model-stack/foundation-model-stack, fms/models/granite.py";
constexpr std::string_view kGptOss =
    "NVIDIA/NeMo, nemo/collections/llm/gpt/model/gpt_oss.py; transformers "
    "5.24.0, GptOssConfig";
constexpr std::string_view kNemo =
    "NVIDIA/NeMo, nemo/collections/llm/gpt/model/mistral.py";
constexpr std::string_view kSmol3 =
    "huggingface/transformers, "
    "src/transformers/models/smollm3/configuration_smollm3.py";

// clang-format off
// type, width, layers, inner width; heads, key and value heads, their width
// (0: not read); rope_theta, norm_eps (empty: not read); source, names.
constexpr auto kModels = std::to_array<PublishedModel>({
    {"llama", 2048, 18, 8192, 8, 4, 256, "1000042", "1e-06", kLitgpt,
     "Falcon3-1B"},
    {"llama", 3072, 22, 9216, 12, 4, 256, "1000042", "1e-06", kLitgpt,
     "Falcon3-3B"},
    {"llama", 3072, 28, 23040, 12, 4, 256, "1000042", "1e-06", kLitgpt,
     "Falcon3-7B"},
    {"llama", 3072, 40, 23040, 12, 4, 256, "1000042", "1e-06", kLitgpt,
     "Falcon3-10B"},
    {"llama", 3200, 26, 8640, 32, 32, 100, "10000", "1e-06", kLitgpt,
     "open_llama_3b"},
    {"llama", 4096, 32, 11008, 32, 32, 128, "10000,1000000", "1e-06,1e-05", kBoth,
     "open_llama_7b, Llama-2-7b-hf, CodeLlama-7b-hf..."},
    {"llama", 5120, 40, 13824, 40, 40, 128, "10000,1000000", "1e-06,1e-05", kBoth,
     "open_llama_13b, Llama-2-13b-hf, CodeLlama-13b-hf..."},
    {"llama", 8192, 80, 28672, 64, 8, 128, "10000,500000,1000000", "1e-05", kBoth,
     "Llama-2-70b-hf, Llama-3-70B, Llama-3.1-70B..."},
    {"llama", 4096, 32, 14336, 32, 8, 128, "500000", "1e-05", kBoth,
     "Llama-3-8B, Llama-3.1-8B, R1-Distill-Llama-8B..."},
    {"llama", 16384, 126, 53248, 128, 8, 128, "500000", "", kLitgpt,
     "Llama-3.1-405B"},
    {"llama", 2048, 16, 8192, 32, 8, 64, "500000", "1e-05", kBoth,
     "Llama-3.2-1B, llama3_2_1b"},
    {"llama", 3072, 28, 8192, 24, 8, 128, "500000", "1e-05", kBoth,
     "Llama-3.2-3B, llama3_2_3b"},
    // As large as Llama 2, stretched by a factor of 4.
    {"llama", 4096, 32, 11008, 32, 32, 0, "100000", "", kCoder,
     "DeepSeek-Coder-6.7B"},
    {"llama", 7168, 62, 19200, 56, 0, 0, "100000", "", kCoder,
     "DeepSeek-Coder-33B"},
    // Rotations are left out: they were read of one release of each size.
    {"granite", 4096, 40, 12800, 32, 8, 0, "", "1e-05", kFms,
     "granite-8b"},
    {"granite", 2048, 40, 8192, 32, 8, 0, "", "1e-05", kFms,
     "granite-3.1-2b"},
    {"gpt_oss", 2880, 24, 2880, 64, 8, 64, "150000", "1e-05", kGptOss,
     "gpt-oss-20b"},
    {"gpt_oss", 2880, 36, 2880, 64, 8, 64, "150000", "1e-05", kGptOss,
     "gpt-oss-120b"},
    {"olmo2", 4096, 32, 11008, 32, 32, 128, "500000", "1e-06", kBoth,
     "OLMo-2-1124-7B, olmo2_7b"},
    {"olmo2", 5120, 40, 13824, 40, 40, 128, "500000", "1e-06", kBoth,
     "OLMo-2-1124-13B, olmo2_13b"},
    {"gemma", 2048, 18, 16384, 8, 1, 256, "10000", "1e-06", kBoth,
     "Gemma-2b, gemma_2b"},
    {"gemma", 3072, 28, 24576, 16, 16, 256, "10000", "", kLitgpt,
     "Gemma-7b, CodeGemma-7b-it"},
    {"gemma2", 2304, 26, 9216, 8, 4, 256, "10000", "1e-06", kBoth,
     "Gemma-2-2b, gemma2_2b, gemma2_2b-jpn"},
    {"gemma2", 3584, 42, 14336, 16, 8, 256, "10000", "1e-06", kBoth,
     "Gemma-2-9b, gemma2_9b"},
    {"gemma2", 4608, 46, 36864, 32, 16, 128, "10000", "1e-06", kBoth,
     "Gemma-2-27b, gemma2_27b"},
    {"gemma3_text", 1152, 26, 6912, 4, 1, 256, "1000000", "1e-06", kBoth,
     "Gemma-3-1b-it, gemma3_1b_it"},
    {"gemma3_text", 2560, 34, 10240, 8, 4, 256, "1000000", "", kLitgpt,
     "Gemma-3-4b-it"},
    {"gemma3_text", 3840, 48, 15360, 16, 8, 256, "1000000", "", kLitgpt,
     "Gemma-3-12b-it"},
    {"gemma3_text", 5376, 62, 21504, 32, 16, 128, "1000000", "", kLitgpt,
     "Gemma-3-27b-it"},
    {"llama", 8192, 48, 22016, 64, 8, 128, "1000000", "1e-05", kBoth,
     "CodeLlama-34b-hf, CodeLlama-34b-Python-hf, CodeLlama-34b-Instruct-hf..."},
    {"phi3", 3072, 32, 8192, 32, 32, 96, "10000", "1e-05", kBoth,
     "Phi-3-mini-4k-instruct, Phi-3-mini-128k-instruct, Phi-3.5-mini-instruct..."},
    {"phi3", 5120, 40, 17920, 40, 10, 128, "250000,500000", "", kLitgpt,
     "phi-4, Phi-4-reasoning, Phi-4-reasoning-plus"},
    {"phi3", 3072, 32, 8192, 24, 8, 128, "10000", "1e-05", kBoth,
     "Phi-4-mini-instruct, Phi-4-mini-reasoning, phi-4"},
    {"mistral", 4096, 32, 14336, 32, 8, 128, "10000,1000000", "1e-05", kBoth,
     "Mathstral-7B-v0.1, Mistral-7B-v0.1, Mistral-7B-v0.2..."},
    {"mixtral", 4096, 32, 14336, 32, 8, 128, "1000000", "1e-05", kBoth,
     "Mixtral-8x7B-v0.1"},
    {"mixtral", 6144, 56, 16384, 48, 8, 128, "1000000", "1e-05", kLitgpt,
     "Mixtral-8x22B-v0.1"},
    {"mistral", 12288, 88, 28672, 96, 8, 128, "1000000", "1e-05", kLitgpt,
     "Mistral-Large-Instruct-2407, Mistral-Large-Instruct-2411"},
    {"llama", 2048, 22, 5632, 32, 4, 64, "10000", "1e-05", kBoth,
     "tiny-llama-1.1b, tinyllama_1b_chat_v0.4, tinyllama_1b_chat_v1.0"},
    {"qwen2", 896, 24, 4864, 14, 2, 64, "1000000", "1e-06", kBoth,
     "Qwen2.5-0.5B, Qwen2.5-Coder-0.5B, qwen2_0_5b"},
    {"qwen2", 1536, 28, 8960, 12, 2, 128, "10000,1000000", "1e-06", kBoth,
     "Qwen2.5-1.5B, Qwen2.5-Coder-1.5B, Qwen2.5-Math-1.5B..."},
    {"qwen2", 2048, 36, 11008, 16, 2, 128, "1000000", "1e-06", kBoth,
     "Qwen2.5-3B, Qwen2.5-Coder-3B, qwen2.5_3b"},
    {"qwen2", 3584, 28, 18944, 28, 4, 128, "10000,1000000,10000000", "1e-06,1e-05", kBoth,
     "Qwen2.5-7B, Qwen2.5-Coder-7B, Qwen2.5-Math-7B..."},
    {"qwen2", 5120, 48, 13824, 40, 8, 128, "1000000,10000000", "1e-05", kLitgpt,
     "Qwen2.5-14B, Qwen2.5-Coder-14B, Qwen2.5-14B-Instruct-1M"},
    {"qwen2", 5120, 64, 27648, 40, 8, 128, "1000000", "1e-05", kLitgpt,
     "Qwen2.5-32B, Qwen2.5-Coder-32B, QwQ-32B..."},
    {"qwen2", 8192, 80, 29568, 64, 8, 128, "10000,1000000", "1e-05", kLitgpt,
     "Qwen2.5-72B, Qwen2.5-Math-72B"},
    {"qwen3", 1024, 28, 3072, 16, 8, 128, "1000000", "1e-06", kBoth,
     "Qwen3-0.6B, qwen3_0.6b"},
    {"qwen3", 2048, 28, 6144, 16, 8, 128, "1000000", "1e-06", kBoth,
     "Qwen3-1.7B, qwen3_1.7b"},
    {"qwen3", 2560, 36, 9728, 32, 8, 128, "1000000,5000000", "1e-06", kLitgpt,
     "Qwen3-4B, Qwen3-4B-2507"},
    {"qwen3", 4096, 36, 12288, 32, 8, 128, "1000000", "1e-06", kLitgpt,
     "Qwen3-8B"},
    {"qwen3", 5120, 40, 17408, 40, 8, 128, "1000000", "1e-06", kLitgpt,
     "Qwen3-14B"},
    {"qwen3", 5120, 64, 25600, 64, 8, 128, "1000000", "1e-06", kLitgpt,
     "Qwen3-32B"},
    {"qwen3_moe", 2048, 48, 6144, 32, 4, 128, "1000000,10000000", "1e-06", kLitgpt,
     "Qwen3-30B-A3B, Qwen3-30B-A3B-Base, Qwen3-30B-A3B-2507"},
    {"qwen3_moe", 4096, 94, 12288, 64, 4, 128, "1000000,5000000", "1e-06", kLitgpt,
     "Qwen3-235B-A22B, Qwen3-235B-A22B-2507"},
    {"llama", 576, 30, 1536, 9, 3, 64, "10000,100000", "1e-05", kBoth,
     "SmolLM2-135M, smollm_135m, smollm2_135m"},
    {"llama", 960, 32, 2560, 15, 5, 64, "10000,100000", "1e-05", kBoth,
     "SmolLM2-360M, smollm_360m, smollm2_360m"},
    {"llama", 2048, 24, 8192, 32, 32, 64, "10000,130000", "1e-05", kBoth,
     "SmolLM2-1.7B, smollm_1_7b"},
    {"llama", 4096, 32, 11008, 32, 4, 128, "5000000", "1e-05", kCandle,
     "Yi-6B"},
    {"llama", 7168, 60, 20480, 56, 8, 128, "5000000", "1e-05", kCandle,
     "Yi-34B"},
    {"mistral", 5120, 40, 14336, 32, 8, 128, "1000000", "1e-05", kNemo,
     "Mistral-Nemo-2407"},
    {"ministral3", 3072, 26, 9216, 32, 8, 128, "1000000", "1e-05", kMlc,
     "Ministral-3-3B-2512"},
    {"smollm3", 2048, 36, 11008, 16, 4, 0, "2000000", "1e-06", kSmol3,
     "SmolLM3-3B"},
    {"internlm2", 4096, 32, 14336, 32, 8, 0, "1000000", "1e-05", kMlc,
     "internlm2, internlm2_5_7b"},
    {"deepseek_v2", 2048, 27, 10944, 16, 16, 0, "10000", "1e-06", kMlc,
     "deepseek_v2_lite"},
    {"qwen2", 2048, 24, 5504, 16, 16, 0, "1000000", "1e-06", kMlc,
     "qwen2"},
    {"olmo2", 5120, 64, 27648, 40, 8, 0, "500000", "1e-06", kMlc,
     "olmo2_32b"},
    {"mistral", 0, 0, 0, 0, 0, 0, "1000000000", "1e-05",
     "huggingface/diffusers, tests/pipelines/flux2/test_pipeline_flux2.py",
     "Mistral Small 3.1, as FLUX.2's text encoder"},
    {"clip_vision_model", 1024, 24, 4096, 16, 0, 0, "", "1e-05", kMlc,
     "CLIP ViT-L/14 of LLaVA 1.5"},
    {"siglip_vision_model", 1152, 27, 4304, 16, 0, 0, "", "1e-06", kGemma3,
     "SigLIP of Gemma 3"},
    {"siglip_vision_model", 768, 12, 3072, 12, 0, 0, "", "1e-06", kClass,
     "SigLIP base"},
    {"qwen2_vl_vision", 1280, 32, 0, 16, 0, 0, "10000", "", kClass,
     "tower of Qwen2-VL"},
    {"qwen2_5_vl_vision", 1280, 32, 3420, 16, 0, 0, "10000", "", kClass,
     "tower of Qwen2.5-VL"},
    {"qwen3_vl_vision", 1152, 27, 4304, 16, 0, 0, "10000", "", kClass,
     "tower of Qwen3-VL"},
    {"pixtral", 1024, 24, 4096, 16, 0, 64, "10000", "", kMlc,
     "Pixtral"},
    {"internvl_vision", 1024, 24, 4096, 16, 0, 0, "", "1e-06", kClass,
     "InternViT 300M"},
    {"mllama_vision_model", 1280, 32, 5120, 16, 0, 0, "", "1e-05", kClass,
     "tower of Llama 3.2 Vision"},
    {"mllama_text_model", 4096, 40, 14336, 32, 8, 128, "500000", "1e-05", kClass,
     "Llama 3.2 11B Vision"},
});

// What a class fixes, whatever the size. null: left out.
constexpr auto kClasses = std::to_array<PublishedClass>({
    {"llama", kClass, R"({"hidden_act":["silu"]})"},
    {"mistral", kClass, R"({"hidden_act":["silu"]})"},
    {"qwen2", kClass, R"({"hidden_act":["silu"]})"},
    {"qwen3", kClass, R"({"hidden_act":["silu"]})"},
    {"qwen2_vl_text", kClass,
     R"({"hidden_act":["silu"],"rope_theta":[null,1000000],)"
     R"("rope_parameters.rope_theta":[null,1000000]})"},
    {"qwen2_5_vl_text", kClass,
     R"({"hidden_act":["silu"],"rope_theta":[null,1000000],)"
     R"("rope_parameters.rope_theta":[null,1000000]})"},
    {"qwen3_vl_text", kClass, R"({"hidden_act":["silu"]})"},
    {"mllama_text_model", kClass, R"({"hidden_act":["silu"]})"},
    {"mllama_text_model", kLitgpt,  // its language model is Llama 3.1
     R"({"rope_parameters.rope_type":[null,"llama3"],)"
     R"("rope_parameters.factor":[null,8.0],)"
     R"("rope_parameters.low_freq_factor":[null,1.0],)"
     R"("rope_parameters.high_freq_factor":[null,4.0],)"
     R"("rope_scaling.rope_type":[null,"llama3"],)"
     R"("rope_scaling.factor":[null,8.0],)"
     R"("rope_scaling.low_freq_factor":[null,1.0],)"
     R"("rope_scaling.high_freq_factor":[null,4.0]})"},
    {"phi3", kClass, R"({"hidden_act":["silu"]})"},
    {"mixtral", kMlc, R"({"hidden_act":["silu"]})"},
    {"olmo2", kMlc, R"({"hidden_act":["silu"]})"},
    {"granite", kClass, R"({"hidden_act":["silu",null]})"},
    {"qwen3_moe", kClass, R"({"hidden_act":["silu",null]})"},
    {"smollm3", kClass, R"({"hidden_act":["silu",null]})"},
    {"gpt_oss", kClass,
     R"({"hidden_act":["silu",null],"swiglu_alpha":[1.702,null],)"
     R"("swiglu_limit":[7.0,null]})"},
    {"deepseek_v3", kClass,
     R"({"hidden_act":["silu",null],"rope_interleave":[true,null],)"
     R"("rope_parameters.rope_type":["yarn","default",null]})"},
    {"gpt2", kClass,  // the second and third: later models of its class
     R"({"activation_function":["gelu_new","gelu","gelu_pytorch_tanh",null],)"
     R"("scale_attn_weights":[true,null]})"},
    {"gemma", kMlc,
     R"({"hidden_act":["gelu_pytorch_tanh","gelu"],)"
     R"("hidden_activation":["gelu_pytorch_tanh",null],)"
     R"("rope_parameters.rope_type":[null,"default"]})"},
    {"gemma2", kMlc,
     R"({"hidden_activation":["gelu_pytorch_tanh"],)"
     R"("attn_logit_softcapping":[50.0],"final_logit_softcapping":[30.0]})"},
    {"gemma3_text", kGemma3,
     R"({"hidden_activation":["gelu_pytorch_tanh"],)"
     R"("attn_logit_softcapping":[null],"final_logit_softcapping":[null],)"
     R"("rope_local_base_freq":[null,10000],)"
     R"("rope_parameters.full_attention.factor":[null,8.0],)"
     R"("rope_scaling.factor":[null,8.0],)"
     R"("rope_parameters.sliding_attention.rope_theta":[null,10000],)"
     R"("use_bidirectional_attention":[null,false]})"},

    {"clip_vision_model", kClass, R"({"hidden_act":["quick_gelu"]})"},
    {"siglip_vision_model", kGemma3, R"({"hidden_act":["gelu_pytorch_tanh"]})"},
    {"idefics3_vision", kClass,
     R"({"hidden_act":["gelu_pytorch_tanh"],"layer_norm_eps":[1e-6]})"},
    {"smolvlm_vision", kClass,
     R"({"hidden_act":["gelu_pytorch_tanh"],"layer_norm_eps":[1e-6]})"},
    {"pixtral", kMlc, R"({"hidden_act":["gelu","silu"],)"
     R"("rope_parameters.rope_type":[null,"axial","default"]})"},
    {"qwen2_vl_vision", kClass, R"({"hidden_act":["quick_gelu"],)"
     R"("rope_parameters.rope_type":[null,"axial","default"]})"},
    {"qwen2_5_vl_vision", kClass,
     R"({"hidden_act":["silu"],)"
     R"("rope_parameters.rope_type":[null,"axial","default"]})"},
    {"qwen3_vl_vision", kClass, R"({"hidden_act":["gelu_pytorch_tanh"],)"
     R"("rope_parameters.rope_type":[null,"axial","default"]})"},
    {"internvl_vision", kClass,
     R"({"hidden_act":["gelu"],"use_absolute_position_embeddings":[true],)"
     R"("use_mean_pooling":[true]})"},
    {"mllama_vision_model", kClass,
     R"({"hidden_act":["gelu"],"supported_aspect_ratios":)"
     R"([[[1,1],[1,2],[1,3],[1,4],[2,1],[2,2],[3,1],[4,1]]]})"},

    {"llava", kMlc, R"({"projector_hidden_act":["gelu"]})"},
    {"llava clip_vision_model", kMlc,
     R"({"vision_feature_layer":[-2],)"
     R"("vision_feature_select_strategy":["default"]})"},
    {"llava_next", kClass,
     R"({"projector_hidden_act":["gelu"],"vision_feature_layer":[-2],)"
     R"("vision_feature_select_strategy":["default"]})"},
    {"internvl", kClass,
     R"({"projector_hidden_act":["gelu"],"vision_feature_layer":[-1],)"
     R"("vision_feature_select_strategy":["default"]})"},
    {"mistral3", kMistral3,
     R"({"projector_hidden_act":["gelu"],"vision_feature_layer":[-1]})"},

    {"mllama image processor", kMllama,
     R"({"image_mean":[[0.48145466,0.4578275,0.40821073]],)"
     R"("image_std":[[0.26862954,0.26130258,0.27577711]]})"},
    {"internvl image processor", kInternVl,
     R"({"image_mean":[[0.485,0.456,0.406]],"image_std":[[0.229,0.224,0.225]],)"
     R"("crop_to_patches":[true,false]})"},
    {"internvl video processor", kInternVl,
     R"({"image_mean":[[0.485,0.456,0.406]],"image_std":[[0.229,0.224,0.225]]})"},
    {"qwen3_vl image processor",
     "transformers 5.23.0, Qwen3VLVideoProcessor",
     R"({"image_mean":[[0.5,0.5,0.5]],"image_std":[[0.5,0.5,0.5]]})"},
    {"phi3_v image processor",
     "Blaizzy/mlx-vlm, mlx_vlm/models/phi3_v/processing_phi3_v.py",
     R"({"image_mean":[[0.48145466,0.4578275,0.40821073]],)"
     R"("image_std":[[0.26862954,0.26130258,0.27577711]]})"},
    {"gemma3 image processor", kGemma3, R"({"do_pan_and_scan":[null,false]})"},
});

// 0.08333 is the x4 upscaler's. The first name that a class begins with counts.
constexpr std::string_view kLdm =
    "huggingface/diffusers, src/diffusers/loaders/single_file_utils.py";
constexpr std::string_view kXl =
    "huggingface/diffusers, docs/source/en/hybrid_inference/overview.md";
constexpr auto kScaling = std::to_array<PublishedScaling>({
    {"StableDiffusionXL", 4, 0.13025, 0, kXl},
    {"StableDiffusion3", 16, 1.5305, 0.0609,
     "huggingface/diffusers, scripts/convert_sd3_to_diffusers.py"},
    {"StableDiffusion", 4, 0.18215, 0, kLdm},
    {"Flux", 16, 0.3611, 0.1159,
     "huggingface/diffusers, scripts/convert_flux_to_diffusers.py"},
    {"PixArtSigma", 4, 0.13025, 0,
     "huggingface/diffusers, scripts/convert_pixart_sigma_to_diffusers.py: "
     "Stable Diffusion XL's VAE"},
    {"PixArtAlpha", 4, 0.18215, 0,
     "huggingface/diffusers, scripts/convert_pixart_alpha_to_diffusers.py: "
     "sd-vae-ft-ema"},
    {"", 4, 0.08333, 0,
     "huggingface/diffusers, src/diffusers/pipelines/stable_diffusion/"
     "pipeline_stable_diffusion_upscale.py"},
});

constexpr auto kBetas = std::to_array<PublishedBetas>({
    {"PixArt", 0.0001, 0.02,
     "huggingface/diffusers, scripts/convert_pixart_alpha_to_diffusers.py"},
    {"StableDiffusion", 0.00085, 0.012, kLdm},
});
// clang-format on

}  // namespace

std::span<const PublishedScaling> published_scaling() {
  return kScaling;
}

std::span<const PublishedBetas> published_betas() {
  return kBetas;
}

const PublishedBetas* published_betas(std::string_view pipeline) {
  auto found = std::ranges::find_if(kBetas, [&](const auto& one) {
    return pipeline.starts_with(one.pipeline);
  });
  return found == kBetas.end() ? nullptr : &*found;
}

std::span<const PublishedModel> published_models() {
  return kModels;
}

std::span<const PublishedClass> published_classes() {
  return kClasses;
}

}  // namespace assay::rules
