"""Loads converted folders in mlx-lm and compares float32 logits.

  python check_mlx_lm.py [--as-stored] [--corrected] FOLDER LOGITS [FOLDER LOGITS...]

LOGITS is a safetensors file with `input_ids` and `logits` ([length, vocab]), as
the golden files and `assay logits` have them. Scales are widened and
quantized layers dequantized to float32 first, since MLX's CPU back end computes
in the type of the scales; --as-stored leaves them. --corrected undoes what
mlx-lm is known to compute differently (mlx_lm_corrections.py) in folders that
differ, and prints the difference that is left and what was undone. Prints the largest and the mean difference;
exits 1 if any (with --corrected: any that is left) is above 1e-3.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm import utils

import mlx_lm_corrections as corrections

TOLERANCE = 1e-3


def load(folder, as_stored, overrides=None):
    model, _ = utils.load_model(Path(folder), model_config=overrides)
    if as_stored:
        return model

    def widen(x):
        return x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x

    # Scales first: MLX dequantizes in their type, and float16 would round.
    model.update(tree_map(widen, model.parameters()))
    model = utils.dequantize_model(model)
    model.update(tree_map(widen, model.parameters()))
    return model


def error_of(model, ids, expected):
    got = model(ids[None])[0].astype(mx.float32)
    error = mx.abs(got - expected)
    return mx.max(error).item(), mx.mean(error).item()


def corrected(folder, as_stored, ids, expected):
    """The difference with mlx-lm's own ways undone, and their names."""
    config = json.loads((Path(folder) / "config.json").read_text())
    overrides = corrections.config_overrides(config)
    fields = {k: v for f in overrides.values() for k, v in f.items()}
    model = load(folder, as_stored, fields or None)
    names = list(overrides) + corrections.apply(model, config, len(ids))
    return error_of(model, ids, expected), names


def compare(folder, file, as_stored, correct):
    """Prints one folder's lines; whether it agrees in the end."""
    tensors = mx.load(file)
    name = "input_ids" if "input_ids" in tensors else "tokens"
    ids, expected = tensors[name], tensors["logits"]
    agrees = False
    try:
        largest, mean = error_of(load(folder, as_stored), ids, expected)
        agrees = largest <= TOLERANCE
        verdict = "ok" if agrees else "DIFFERS"
        print(f"{verdict:8} {largest:.2e} max {mean:.2e} mean  {folder}")
    except Exception as error:  # mlx-lm fails in many ways
        print(f"failed   {type(error).__name__}: {error}  {folder}"[:300])
    if agrees or not correct:
        return agrees
    try:
        (largest, mean), names = corrected(folder, as_stored, ids, expected)
    except Exception as error:
        print(f"  failed {type(error).__name__}: {error}"[:300])
        return False
    agrees = largest <= TOLERANCE
    verdict = "then ok" if agrees else "STILL"
    print(f"  {verdict} {largest:.2e} max {mean:.2e} mean  {', '.join(names)}")
    return agrees


def main():
    flags = {a for a in sys.argv[1:] if a.startswith("--")}
    files = [a for a in sys.argv[1:] if a not in flags]
    if len(files) % 2 or flags - {"--as-stored", "--corrected"}:
        sys.exit(__doc__)
    failed = 0
    for folder, file in zip(files[::2], files[1::2]):
        failed += not compare(
            folder, file, "--as-stored" in flags, "--corrected" in flags
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
