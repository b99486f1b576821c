"""Makes test/sound: a tiny sound model of every kind, written by the libraries that write the real ones.

    make_sound_models.py [NAME...]     make these groups (all of them without a name), then the manifest
    make_sound_models.py --verify      load every folder in its own library: no missing, no unexpected key
    make_sound_models.py --manifest    only write test/sound/MANIFEST.json

Run under transformers 4 (see README.md) only the older dialect is written: `NAME-v4` for the groups in DIALECT.
"""
import importlib
import json
import sys
import traceback

import transformers
from common import OUT, write_json

V5 = transformers.__version__.startswith("5")
DIALECT = ["llava", "qwen2_vl", "gemma3"]
MODULES = ["language", "vlm"] + (["diffusion", "adapters", "checkpoints", "gguf_kinds", "onnx_models", "quantized"] if V5 else [])


def kinds():
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        found |= {k: (f, module) for k, f in module.KINDS.items()}
    return found


NOTES = {
    "llama-sharded": ("text", "three shards and an index"),
    "llama-bin": ("torch", "pytorch_model.bin, zip format"),
    "llama-bin-legacy": ("torch", "pytorch_model.bin, the format before torch 1.6"),
    "llama-bin-sharded": ("torch", "two .bin shards and an index"),
    "torch-training": ("torch", "weights, optimizer and plain numbers in one .pth"),
    "peft-lora": ("adapter", "rank 4 on q_proj, v_proj, down_proj of ../llama"),
    "mlx-lora": ("adapter", "as mlx_lm.lora saves it, of ../llama"),
    "mmproj": ("gguf", "CLIP and LLaVA's projector, as llama.cpp names them"),
    "imatrix": ("gguf", "an importance matrix"),
    "onnx": ("onnx", "two layers in one file"), "onnx-external": ("onnx", "the same with its data beside it"),
    "checkpoint-sd1": ("checkpoint", "sd1 in one file, CompVis' names"),
    "checkpoint-vae": ("checkpoint", "a VAE in one file, CompVis' names"),
    "checkpoint-flux": ("checkpoint", "the transformer of flux, Black Forest Labs' names"),
    "peft-dora": ("adapter", "DoRA of ../llama, a rank of its own for one module, the head saved whole"),
    "diffusers-lora": ("adapter", "UNet (convolutions too) and text encoder of ../sd1"),
    "kohya-lora": ("adapter", "the same in kohya's names, with alphas and ss_ metadata"),
    "xlabs-lora": ("adapter", "XLabs' processors of ../flux"), "mlx-dora": ("adapter", "one layer, two keys, of ../llama"),
    "gguf-lora": ("adapter", "as llama.cpp's converter names it, of ../llama"),
    "llama-gptq": ("quantized", "GPTQ, 4 bits, groups of 32"), "llama-awq": ("quantized", "AWQ, 4 bits, groups of 32"),
    "llama-fp8": ("quantized", "F8_E4M3 with a scale a block of 16 by 16"),
    "llama-bnb-4bit": ("quantized", "bitsandbytes, NF4"), "llama-bnb-8bit": ("quantized", "bitsandbytes, int8"),
    "llama-compressed": ("quantized", "compressed-tensors, 4 bits, groups of 32"),
    "llama-mlx-4bit": ("quantized", "affine, 4 bits, groups of 32"),
    "llama-mlx-mxfp4": ("quantized", "mxfp4"),
    "bert": ("encoder", ""), "t5": ("encoder-decoder", ""), "llama": ("text", "the base of adapters and quantized copies"),
    "sentence-transformers": ("embedding", "bert, mean pooling, normalized"),
    "sd1": ("diffusers", "Stable Diffusion 1: epsilon, PNDM"), "sd2": ("diffusers", "Stable Diffusion 2: v_prediction"),
    "sdxl": ("diffusers", "two text encoders, pooled text and time ids"),
    "sd3": ("diffusers", "three text encoders, flow matching"), "flux": ("diffusers", "CLIP and T5, guidance embedded"),
    "sd1-inpaint": ("diffusers", "nine channels in"), "pixart": ("diffusers", "PixArt Sigma"),
    "vae": ("component", "AutoencoderKL alone"), "vae-tiny": ("component", "AutoencoderTiny alone"),
    "controlnet": ("component", "a ControlNet alone"),
}  # fmt: skip


def maker(path):
    import diffusers
    import mlx_lm
    import peft
    import sentence_transformers
    import torch

    name = path.name
    if name.endswith("-v4"):
        config = json.loads((path / "config.json").read_text())
        return "transformers " + config["transformers_version"]
    if name in ("kohya-lora", "diffusers-lora"):
        return f"diffusers {diffusers.__version__}"
    for prefix, made in (("gguf", "gguf-py"), ("mmproj", "gguf-py"), ("imatrix", "gguf-py"), ("onnx", "onnx"), ("mlx-dora", f"mlx-lm {mlx_lm.__version__}"), ("xlabs", "safetensors"), ("checkpoint", "safetensors"),
                         ("llama-mlx", f"mlx-lm {mlx_lm.__version__}"), ("mlx-lora", f"mlx-lm {mlx_lm.__version__}"),
                         ("llama-gptq", "torch, the codes packed here"), ("llama-awq", "torch, the codes packed here"),
                         ("llama-fp8", "torch"), ("llama-bnb", "bitsandbytes"), ("llama-compressed", "compressed-tensors"),
                         ("peft", f"peft {peft.__version__}"), ("torch", f"torch {torch.__version__.split('+')[0]}"),
                         ("llama-bin", f"torch {torch.__version__.split('+')[0]}"),
                         ("sentence", f"sentence-transformers {sentence_transformers.__version__}")):  # fmt: skip
        if name.startswith(prefix):
            return made
    if NOTES.get(name, ("", ""))[0] in ("diffusers", "component") or name.startswith("scheduler-"):
        return f"diffusers {diffusers.__version__}"
    return f"transformers {transformers.__version__}"


def manifest():
    entries = []
    for path in sorted(p for p in OUT.iterdir() if p.is_dir()):
        name = path.name
        default = ("component", "a scheduler alone") if name.startswith("scheduler-") else ("vlm", "")
        kind, note = NOTES.get(name, default)
        made = maker(path)
        if name.endswith("-v4"):
            note = "the same family as transformers 4 spells it"
        entries.append({"name": name, "path": f"test/sound/{name}", "kind": kind, "made_by": made, "note": note})
    write_json(OUT / "MANIFEST.json", entries)


def verify():
    import adapters
    import checkpoints
    import diffusers
    import diffusion
    import gguf_kinds
    import language
    import onnx_models
    import quantized
    import vlm

    bad = 0
    for e in json.loads((OUT / "MANIFEST.json").read_text()):
        path = OUT / e["name"]
        try:
            if e["kind"] == "vlm":
                vlm.verify(path)
            elif e["kind"] == "diffusers":
                diffusion.verify(path)
            elif e["kind"] == "component":
                cls = json.loads(next(iter(path.glob("*config.json"))).read_text())["_class_name"]
                getattr(diffusers, cls).from_pretrained(path)
            elif e["kind"] == "gguf":
                gguf_kinds.verify(path)
            elif e["kind"] == "onnx":
                onnx_models.verify(path)
            elif e["kind"] == "checkpoint":
                checkpoints.verify(path)
            elif e["name"].removesuffix("-4bit").removesuffix("-8bit") in quantized.KINDS:
                quantized.verify(path)
            elif e["name"] in adapters.KINDS:
                adapters.verify(path)
            else:
                language.verify(path)
            print("loads", e["name"], flush=True)
        except Exception as error:
            bad += 1
            print("DOES NOT LOAD", e["name"], type(error).__name__, str(error)[:300], flush=True)
            traceback.print_exc(limit=3)
    return bad


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--verify" in sys.argv:
        sys.exit(1 if verify() else 0)
    if "--manifest" not in sys.argv:
        found = kinds()
        for name in names or (list(found) if V5 else DIALECT):
            found[name][0]()
            print("made", name, flush=True)
    if V5:
        manifest()


main()
