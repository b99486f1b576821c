"""Writes test/golden/arch/*/config.v4.json: each tiny model's config as transformers 4 spells it.

Run by an interpreter that has a transformers 4 (no torch needed); models newer than it are passed over and named, so
that a second run with a later 4.x can write those:

    venv-4.52/bin/python tools/golden/make_v4_configs.py     # no layer_types yet
    venv-4.55/bin/python tools/golden/make_v4_configs.py --only smollm3 gpt_oss gpt_oss-mxfp4
"""
import argparse
import json
import pathlib

import transformers
from arch_specs import SPECS
from transformers import AutoConfig

OUT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/arch"
CLASSES = {
    "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM", "gemma2": "Gemma2ForCausalLM", "gemma3_text": "Gemma3ForCausalLM",
    "phi3": "Phi3ForCausalLM", "olmo2": "Olmo2ForCausalLM", "smollm3": "SmolLM3ForCausalLM",
    "granite": "GraniteForCausalLM", "gpt2": "GPT2LMHeadModel", "mixtral": "MixtralForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM", "deepseek_v3": "DeepseekV3ForCausalLM", "gpt_oss": "GptOssForCausalLM",
}  # fmt: skip


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", nargs="*")
    args = ap.parse_args()
    for name, s in SPECS.items():
        if args.only and name not in args.only:
            continue
        kw = {**s["kw"], **s["v4"]}
        if s.get("v4_rope_key") == "type" and kw.get("rope_scaling"):
            scaling = dict(kw["rope_scaling"])  # published DeepSeek configs say `type`
            kw["rope_scaling"] = {**scaling, "type": scaling["rope_type"]}
            del kw["rope_scaling"]["rope_type"]
        try:
            cfg = AutoConfig.for_model(s["model_type"], **kw)
        except ValueError as e:
            print("passed over", name, str(e)[:80])
            continue
        cfg.architectures = [CLASSES[s["model_type"]]]
        cfg.torch_dtype = s["dtype"]
        out = cfg.to_diff_dict()
        if s.get("v4_rope_key") == "type" and out.get("rope_scaling"):
            out["rope_scaling"].pop("rope_type", None)
        out["transformers_version"] = transformers.__version__
        if "quantization_config" in s:
            out["quantization_config"] = s["quantization_config"]
        (OUT / name / "config.v4.json").write_text(json.dumps(out, indent=2, sort_keys=True) + "\n")
        print("wrote", name)


main()
