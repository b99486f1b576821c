"""Loads converted folders in mlx-lm and compares float32 logits.

  python check_mlx_lm.py [--as-stored] FOLDER LOGITS [FOLDER LOGITS...]

LOGITS is a safetensors file with `input_ids` and `logits` ([length, vocab]), as
the golden files and `assay logits` have them. Scales are widened and
quantized layers dequantized to float32 first, since MLX's CPU back end computes
in the type of the scales; --as-stored leaves them. Prints the largest and the mean difference;
exits 1 if any is above 1e-3.
"""

import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm import utils

TOLERANCE = 1e-3


def load(folder, as_stored):
    model, _ = utils.load_model(Path(folder))
    if as_stored:
        return model

    def widen(x):
        return x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x

    # Scales first: MLX dequantizes in their type, and float16 would round.
    model.update(tree_map(widen, model.parameters()))
    model = utils.dequantize_model(model)
    model.update(tree_map(widen, model.parameters()))
    return model


def difference(folder, file, as_stored):
    tensors = mx.load(file)
    name = "input_ids" if "input_ids" in tensors else "tokens"
    ids, expected = tensors[name], tensors["logits"]
    got = load(folder, as_stored)(ids[None])[0].astype(mx.float32)
    error = mx.abs(got - expected)
    return mx.max(error).item(), mx.mean(error).item()


def main():
    arguments = [a for a in sys.argv[1:] if a != "--as-stored"]
    as_stored = len(arguments) < len(sys.argv) - 1
    failed = 0
    for folder, file in zip(arguments[::2], arguments[1::2]):
        try:
            largest, mean = difference(folder, file, as_stored)
            verdict = "ok" if largest <= TOLERANCE else "DIFFERS"
            print(f"{verdict:8} {largest:.2e} max {mean:.2e} mean  {folder}")
        except Exception as error:  # mlx-lm fails in many ways
            verdict = "failed"
            print(f"{verdict:8} {type(error).__name__}: {error}  {folder}"[:300])
        failed += verdict != "ok"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
