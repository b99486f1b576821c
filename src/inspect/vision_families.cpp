#include <algorithm>

#include "assay/inspect/vision_language.h"

// The families of vision-language models that are known.
namespace assay {
namespace {

std::vector<VisionFamily> make_families() {
  const std::pair<std::string_view, std::string_view> qwen_tokens[] = {
      {"video_token_id", "<|video_pad|>"},
      {"vision_start_token_id", "<|vision_start|>"},
      {"vision_end_token_id", "<|vision_end|>"}};
  const std::vector<std::pair<std::string_view, std::string_view>> qwen(
      std::begin(qwen_tokens), std::end(qwen_tokens));
  auto qwen_family = [&](std::string_view type,
                         std::string_view name,
                         std::string_view vision,
                         std::string_view text,
                         std::string_view processor,
                         std::string_view video) {
    return VisionFamily{type,
                        name,
                        vision,
                        text,
                        processor,
                        {"Qwen2VLImageProcessor"},
                        video,
                        "image_token_id",
                        {"<|image_pad|>"},
                        {},
                        qwen};
  };
  return {
      {"llava",
       "LlavaForConditionalGeneration",
       "clip_vision_model",
       "llama",
       "LlavaProcessor",
       {"CLIPImageProcessor",
        "LlavaImageProcessor",
        "SiglipImageProcessor",
        "PixtralImageProcessor"},
       "",
       "image_token_index",
       {"<image>", "[IMG]"},
       {},
       {}},
      {"llava_next",
       "LlavaNextForConditionalGeneration",
       "clip_vision_model",
       "llama",
       "LlavaNextProcessor",
       {"LlavaNextImageProcessor"},
       "",
       "image_token_index",
       {"<image>"},
       {},
       {}},
      qwen_family("qwen2_vl",
                  "Qwen2VLForConditionalGeneration",
                  "qwen2_vl_vision",
                  "qwen2_vl_text",
                  "Qwen2VLProcessor",
                  "Qwen2VLVideoProcessor"),
      qwen_family("qwen2_5_vl",
                  "Qwen2_5_VLForConditionalGeneration",
                  "qwen2_5_vl_vision",
                  "qwen2_5_vl_text",
                  "Qwen2_5_VLProcessor",
                  "Qwen2VLVideoProcessor"),
      qwen_family("qwen3_vl",
                  "Qwen3VLForConditionalGeneration",
                  "qwen3_vl_vision",
                  "qwen3_vl_text",
                  "Qwen3VLProcessor",
                  "Qwen3VLVideoProcessor"),
      {"idefics3",
       "Idefics3ForConditionalGeneration",
       "idefics3_vision",
       "llama",
       "Idefics3Processor",
       {"Idefics3ImageProcessor"},
       "",
       "image_token_id",
       {"<image>"},
       {},
       {}},
      {"smolvlm",
       "SmolVLMForConditionalGeneration",
       "smolvlm_vision",
       "llama",
       "SmolVLMProcessor",
       {"SmolVLMImageProcessor", "Idefics3ImageProcessor"},
       "SmolVLMVideoProcessor",
       "image_token_id",
       {"<image>"},
       {},
       {}},
      {"paligemma",
       "PaliGemmaForConditionalGeneration",
       "siglip_vision_model",
       "gemma",
       "PaliGemmaProcessor",
       {"SiglipImageProcessor"},
       "",
       "image_token_index",
       {"<image>"},
       {},
       {}},
      {"gemma3",
       "Gemma3ForConditionalGeneration",
       "siglip_vision_model",
       "gemma3_text",
       "Gemma3Processor",
       {"Gemma3ImageProcessor"},
       "",
       "image_token_index",
       {"<image_soft_token>"},
       {"<start_of_image>"},
       {{"boi_token_index", "<start_of_image>"},
        {"eoi_token_index", "<end_of_image>"}}},
      {"mllama",
       "MllamaForConditionalGeneration",
       "mllama_vision_model",
       "mllama_text_model",
       "MllamaProcessor",
       {"MllamaImageProcessor"},
       "",
       "image_token_index",
       {"<|image|>"},
       {},
       {}},
      {"internvl",
       "InternVLForConditionalGeneration",
       "internvl_vision",
       "qwen2",
       "InternVLProcessor",
       {"GotOcr2ImageProcessor"},
       "InternVLVideoProcessor",
       "image_token_id",
       {"<IMG_CONTEXT>"},
       {"<image>", "<IMG_CONTEXT>"},
       {}},
      {"mistral3",
       "Mistral3ForConditionalGeneration",
       "pixtral",
       "mistral",
       "PixtralProcessor",
       {"PixtralImageProcessor"},
       "",
       "image_token_index",
       {"[IMG]"},
       {},
       {}},
      {"phi3_v",
       "Phi3VForCausalLM",
       "clip_vision_model",
       "phi3",
       "Phi3VProcessor",
       {"Phi3VImageProcessor"},
       "",
       "",
       {},
       {},
       {}},
      {"phi4mm",
       "Phi4MMForCausalLM",
       "siglip_vision_model",
       "phi3",
       "Phi4MMProcessor",
       {"Phi4MMImageProcessor"},
       "",
       "",
       {},
       {},
       {}},
  };
}

const std::vector<VisionFamily>& families() {
  static const auto list = make_families();
  return list;
}

}  // namespace

const VisionFamily* find_vision_family(std::string_view model_type) {
  auto found =
      std::ranges::find(families(), model_type, &VisionFamily::model_type);
  return found == families().end() ? nullptr : &*found;
}

const VisionFamily* find_vision_family_by_class(std::string_view class_name) {
  auto found =
      std::ranges::find(families(), class_name, &VisionFamily::class_name);
  return found == families().end() ? nullptr : &*found;
}

}  // namespace assay
