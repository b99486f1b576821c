"""Tiny folders written by mlx_lm.convert, with the logits that mlx-lm computes.

For each: the folder's own files and golden.safetensors with `input_ids` and
float32 `logits`. mlx-lm runs with quantized layers dequantized to float32, so
that the logits are those of the stored values.

  python make_mlx_lm_goldens.py test/golden [CASE...]
"""

import json
import shutil
import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm import convert as mlx_convert
from mlx_lm import utils

CASES = {
    "llama-4bit-g32": dict(quantize=True, q_bits=4, q_group_size=32),
    "llama-4bit-g64": dict(quantize=True, q_bits=4, q_group_size=64),
    "llama-mixed_3_6": dict(quantize=True, q_bits=3, q_group_size=32,
                            quant_predicate="mixed_3_6"),
    "llama-mxfp4": dict(quantize=True, q_mode="mxfp4"),
}
SOURCE = "arch/llama"
KEPT = ("config.json", "model.safetensors")
TOKENS = 16


class NoTokenizer:
    """The tiny models have none; mlx_lm.convert asks for one to save."""

    def save_pretrained(self, path):
        pass


def older_spelling(source, target):
    """mlx-lm reads the config of transformers 4."""
    shutil.copytree(source, target)
    shutil.copy(source / "config.v4.json", target / "config.json")
    for name in ("config.v4.json", "golden.safetensors", "model.gguf"):
        (target / name).unlink(missing_ok=True)


def logits(folder, ids):
    model, _ = utils.load_model(folder)
    model = utils.dequantize_model(model)
    model.update(tree_map(lambda x: x.astype(mx.float32), model.parameters()))
    return model(ids[None])[0].astype(mx.float32)


def make(golden, name, options):
    source = golden / SOURCE
    ids = mx.load(str(source / "golden.safetensors"))["input_ids"][:TOKENS]
    out = golden / "mlx_lm" / name
    work = out.with_name(name + ".work")
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    older_spelling(source, work / "source")
    mlx_convert(str(work / "source"), str(work / "mlx"), **options)
    out.mkdir(parents=True)
    for kept in KEPT:
        shutil.copy(work / "mlx" / kept, out / kept)
    mx.save_safetensors(str(out / "golden.safetensors"),
                        {"input_ids": ids, "logits": logits(out, ids)})
    shutil.rmtree(work)
    block = json.loads((out / "config.json").read_text())["quantization"]
    print(name, {k: v for k, v in block.items() if not isinstance(v, dict)})


def main():
    golden = Path(sys.argv[1])
    load_tokenizer = lambda *args, **kwargs: NoTokenizer()
    utils.load_tokenizer = load_tokenizer
    for name in sys.argv[2:] or CASES:
        make(golden, name, CASES[name])


if __name__ == "__main__":
    main()
