"""Writes src/inspect/class_defaults.cpp: what transformers takes for a field that a config leaves out.

    make_class_defaults.py [--print]

Read from the classes themselves (their constructors without arguments). A field whose default follows from other fields
(head_dim from width and heads) is left out: two instances of other sizes tell.
"""
import json
import pathlib
import sys

import transformers
from transformers import AutoConfig, PreTrainedConfig

OUT = pathlib.Path(__file__).resolve().parents[2] / "src/inspect/class_defaults.cpp"
CONFIGS = [
    # vision-language models
    "gemma3", "idefics3", "internvl", "llava", "llava_next", "mistral3", "mllama", "paligemma", "qwen2_5_vl", "qwen2_vl",
    "qwen3_vl", "smolvlm",
    # vision towers
    "clip_vision_model", "idefics3_vision", "internvl_vision", "mllama_vision_model", "pixtral", "siglip_vision_model",
    "smolvlm_vision",
    # language models
    "gemma", "gemma2", "gemma3_text", "llama", "mistral", "mllama_text_model", "phi3", "qwen2", "qwen3",
]  # fmt: skip
NESTED = {"qwen2_vl": "qwen2_vl", "qwen2_5_vl": "qwen2_5_vl", "qwen3_vl": "qwen3_vl"}
PROCESSORS = [
    "CLIPImageProcessor", "Gemma3ImageProcessor", "GotOcr2ImageProcessor", "Idefics3ImageProcessor", "LlavaImageProcessor",
    "LlavaNextImageProcessor", "MllamaImageProcessor", "PixtralImageProcessor", "Qwen2VLImageProcessor",
    "SiglipImageProcessor", "SmolVLMImageProcessor", "InternVLVideoProcessor", "Qwen2VLVideoProcessor",
    "Qwen3VLVideoProcessor", "SmolVLMVideoProcessor",
]  # fmt: skip
# of no weight for what is computed, or about training
DROP = {"id2label", "label2id", "initializer_range", "initializer_factor", "use_cache", "attention_dropout", "dropout",
        "hidden_dropout_prob", "projection_dropout", "pretraining_tp", "image_processor_type", "video_processor_type",
        "data_format", "input_data_format", "return_metadata", "device", "disable_grouping", "layer_types",
        "is_decoder", "add_cross_attention", "_attn_implementation_internal", "chunk_size_feed_forward"}  # fmt: skip


def plain(config, base):
    return {k: v for k, v in config.to_dict().items() if k not in base and k not in DROP and not k.endswith("_config")}


def of_config(cls):
    base = set(PreTrainedConfig().to_dict()) - {"bos_token_id"}
    first = plain(cls(), base)
    sizes = {"hidden_size": 96, "num_attention_heads": 6, "num_hidden_layers": 3, "embed_dim": 96, "num_heads": 6}
    given = {k: v for k, v in sizes.items() if k in first}
    second = plain(cls(**given), base)
    return {k: v for k, v in first.items() if v is not None and (k in given or second.get(k) == v)}


def of_processor(cls):
    return {k: v for k, v in sorted(cls().to_dict().items()) if k not in DROP and v is not None and not k.startswith("_")}


def entries():
    for name in CONFIGS:
        config = AutoConfig.for_model(name)
        yield name, of_config(type(config))
        if name in NESTED:
            yield name + "_vision", of_config(type(config.vision_config))
            yield name + "_text", of_config(type(config.text_config))
    for name in PROCESSORS:
        yield name, of_processor(getattr(transformers, name))


def main():
    lines = [
        "// Written by tools/profiles/make_class_defaults.py from the classes of",
        f"// transformers {transformers.__version__} (PyPI): what each takes for a field that a file leaves",
        "// out. Not to be edited by hand.", "", '#include "assay/inspect/class_defaults.h"', "", "#include <array>", "",
        "namespace assay {", "namespace {", "", "struct ClassDefaults {", "  std::string_view name;",
        "  std::string_view fields;  ///< a JSON object", "};", "", "// clang-format off",
        "constexpr auto kDefaults = std::to_array<ClassDefaults>({",
    ]  # fmt: skip
    for name, fields in sorted(entries()):
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        lines.append(f'    {{"{name}",')
        while text:
            cut = len(text) if len(text) <= 70 else text.rfind(",", 0, 70) + 1
            lines.append(f'     R"({text[:cut]})"')
            text = text[cut:]
        lines[-1] += "},"
    lines += ["});", "// clang-format on", "", "}  // namespace", "",
              "std::string_view class_defaults_text(std::string_view name) {",
              "  for (const auto& entry : kDefaults) {", "    if (entry.name == name) {",
              "      return entry.fields;", "    }", "  }", '  return "";', "}", "",
              "}  // namespace assay", ""]  # fmt: skip
    text = "\n".join(lines)
    if "--print" in sys.argv:
        print(text)
    else:
        OUT.write_text(text)


main()
