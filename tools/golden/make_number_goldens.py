"""Makes test/golden/ggml/numbers.safetensors.

e4m3, e5m2, e8m0, e2m1: the float32 values of all codes, by ml_dtypes.
to_e4m3.in, to_e4m3.out; to_half.*; to_bfloat.*: roundings of float32, by
ml_dtypes and numpy (within range: what lies beyond is a choice).
IQ*: the grids of ggml's IQ types, by gguf.
"""

import pathlib

import ml_dtypes
import numpy as np
from gguf import quants
from gguf.constants import GGMLQuantizationType
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/ggml"


def edge_values(bits_in_mantissa, smallest, largest):
    """Values, midpoints of neighbours and their float32 neighbours."""
    rng = np.random.default_rng(5)
    x = np.ldexp(rng.normal(size=500), rng.integers(smallest, largest, 500))
    step = np.ldexp(1.0, -bits_in_mantissa - 1)
    ties = 1 + step * (2 * rng.integers(0, 2**bits_in_mantissa, 200) + 1)
    ties = np.ldexp(ties, rng.integers(smallest, largest, 200)).astype(np.float32)
    tiny = np.ldexp(rng.integers(0, 64, 100).astype(float), smallest - 4)
    x = np.concatenate([x, ties, np.nextafter(ties, 0), np.nextafter(ties, 1e9), tiny])
    x = np.concatenate([x, -x, [0.0, -0.0]]).astype(np.float32)
    return x[np.abs(x) < 2.0**largest]


def main():
    out, codes = {}, np.arange(256, dtype=np.uint8)
    for name, dtype in (
        ("e4m3", ml_dtypes.float8_e4m3fn),
        ("e5m2", ml_dtypes.float8_e5m2),
        ("e8m0", ml_dtypes.float8_e8m0fnu),
    ):
        out[name] = codes.view(dtype).astype(np.float32)
    out["e2m1"] = codes[:16].view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    for name, dtype, mantissa, smallest, largest in (
        ("to_e4m3", ml_dtypes.float8_e4m3fn, 3, -9, 8),
        ("to_half", np.float16, 10, -24, 15),
        ("to_bfloat", ml_dtypes.bfloat16, 7, -126, 126),
    ):
        x = edge_values(mantissa, smallest, largest)
        out[f"{name}.in"] = x
        stored = x.astype(dtype)
        out[f"{name}.out"] = stored.view(f"u{stored.itemsize}")
    for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"):
        kind = quants._type_traits[GGMLQuantizationType[name]]
        kind.init_grid()
        out[name] = kind.grid.reshape(kind.grid_shape).astype(np.int8)
    save_file(out, ROOT / "numbers.safetensors")


if __name__ == "__main__":
    main()
