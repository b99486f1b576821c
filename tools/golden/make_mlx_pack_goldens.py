"""Makes test/golden/ggml/mlx_quantize.safetensors and mlx_pack.safetensors with
mlx, on its CPU back end, and with gguf.

mlx_quantize: input.TYPE [8, 256] (f32, f16, bf16); for each mode, group and
number of bits what mlx.core.quantize makes of it (NAME.packed, NAME.scales,
NAME.biases) and, for float32, what mlx.core.dequantize makes of that
(NAME.values).

mlx_pack: the blocks of ggml_types.safetensors rewritten as MLX's weights
(TYPE.packed, TYPE.scales, TYPE.biases). The integers and scales come from the
block layouts in numpy; it is asserted here that mlx.core.dequantize gives the
values of gguf.quants.dequantize.
"""

import pathlib

import mlx.core as mx
import numpy as np
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/ggml"
TYPES = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}


def weights():
    rng = np.random.default_rng(20)
    x = rng.normal(size=(8, 256)).astype(np.float32)
    x[1] *= 0.02
    x[2] = np.abs(x[2])  # one-sided ranges
    x[3] = -np.abs(x[3]) - 3
    x[4] = 0
    x[4, 64:128] = 0.37  # constant groups
    x[4, 128:] = -1e-9  # below the smallest scale
    x[5] = np.round(x[5] * 4) / 4  # many ties
    x[6] = rng.standard_t(2, size=256) * 10.0 ** rng.integers(-4, 3, size=256)
    x[7] = np.ldexp(rng.choice([-1.0, 1.0], 256), rng.integers(-12, 12, 256))
    return mx.array(x)


def quantize_goldens():
    out, x = {}, weights()
    for type_name, dtype in TYPES.items():
        w = x.astype(dtype)
        out[f"input.{type_name}"] = w
        forms = [("affine", g, b) for b in (2, 3, 4, 5, 6, 8) for g in (32, 64, 128)]
        forms += [("mxfp4", 32, 4), ("mxfp8", 32, 8), ("nvfp4", 16, 4)]
        for mode, group, bits in forms:
            name = f"{mode}.g{group}.b{bits}.{type_name}"
            parts = mx.quantize(w, group_size=group, bits=bits, mode=mode)
            for part, what in zip(parts, ("packed", "scales", "biases")):
                out[f"{name}.{what}"] = part
            if type_name == "f32" and group in (16, 32):
                out[f"{name}.values"] = mx.dequantize(
                    *parts, group_size=group, bits=bits, mode=mode, dtype=mx.float32
                )
    mx.save_safetensors(str(ROOT / "mlx_quantize.safetensors"), out)


def bit_stream(quants, bits):
    """[n, group] small integers to little-endian uint32 words, low bits first."""
    b = np.unpackbits(quants.astype(np.uint8)[..., None], axis=-1, bitorder="little")
    b = b[..., :bits].reshape(quants.shape[0], -1)
    return np.packbits(b, axis=-1, bitorder="little").view("<u4")


def nibbles(bytes_):
    return np.concatenate([bytes_ & 15, bytes_ >> 4], axis=-1)


def half(bytes_):
    return np.ascontiguousarray(bytes_).view("<f2")


def six_bits(p):
    """The eight scales and eight minimums of Q4_K and Q5_K, written in full."""
    p = p.astype(np.uint32)
    low = [p[:, i] & 63 for i in range(4)], [p[:, i + 4] & 63 for i in range(4)]
    high = (
        [(p[:, i + 8] & 15) + 16 * (p[:, i] >> 6) for i in range(4)],
        [(p[:, i + 8] >> 4) + 16 * (p[:, i + 4] >> 6) for i in range(4)],
    )
    return (np.stack(low[i] + high[i], 1).astype(np.float32) for i in (0, 1))


def affine_parts(name, raw):
    """Integers [groups, 32], scales and biases [groups]."""
    if name == "Q8_0":
        b = raw.reshape(-1, 34)
        d = half(b[:, :2])
        return b[:, 2:] ^ 128, d, d * np.float16(-128)
    if name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        b = raw.reshape(-1, {"Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24}[name])
        d, at = half(b[:, :2]), 2
        bias = d * np.float16(-8 if name == "Q4_0" else -16)
        if name.endswith("1"):
            bias, at = half(b[:, 2:4]), 4
        quants = nibbles(b[:, -16:])
        if name.startswith("Q5"):
            quants = quants + 16 * np.unpackbits(
                b[:, at : at + 4], axis=1, bitorder="little"
            )
        return quants, d, bias
    b = raw.reshape(-1, {"Q4_K": 144, "Q5_K": 176}[name])
    scales, minimums = six_bits(b[:, 4:16])
    d = half(b[:, :2]).astype(np.float32) * scales
    m = half(b[:, 2:4]).astype(np.float32) * minimums
    quants = nibbles(b[:, -128:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    if name == "Q5_K":
        high = b[:, 16:48]
        quants = quants + np.stack([(high >> i & 1) * 16 for i in range(8)], axis=1)
    return quants.reshape(-1, 32), d.ravel(), -m.ravel()


def same(values, golden, name):
    # == takes 0 for -0
    assert (np.array(values).ravel() == golden).all(), name


def pack_goldens():
    golden, out = load_file(ROOT / "ggml_types.safetensors"), {}
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K"):
        quants, d, bias = affine_parts(name, golden[f"{name}.bytes"])
        bits = {"4": 4, "5": 5, "8": 8}[name[1]]
        words = mx.array(bit_stream(quants, bits))
        scales, biases = (mx.array(a.reshape(-1, 1)) for a in (d, bias))
        values = mx.dequantize(
            words,
            scales.astype(mx.float32),
            biases.astype(mx.float32),
            group_size=32,
            bits=bits,
        )
        same(values, golden[f"{name}.values"], name)
        out |= {f"{name}.packed": words, f"{name}.scales": scales}
        out |= {f"{name}.biases": biases}
    for name, group, in_block in (("MXFP4", 32, 1), ("NVFP4", 16, 4)):
        size = in_block + in_block * group // 2
        b = golden[f"{name}.bytes"].reshape(-1, size)
        codes = nibbles(b[:, in_block:].reshape(-1, group // 2))
        codes = np.where(codes == 8, 0, codes)
        scales = b[:, :in_block].reshape(-1, 1)
        scales = np.where(scales == 127, 0, scales) if name == "NVFP4" else scales
        words, scales = mx.array(bit_stream(codes, 4)), mx.array(scales)
        mode = name.lower()
        values = mx.dequantize(
            words, scales, group_size=group, bits=4, mode=mode, dtype=mx.float32
        )
        same(values, golden[f"{name}.values"], name)
        out |= {f"{name}.packed": words, f"{name}.scales": scales}
    mx.save_safetensors(str(ROOT / "mlx_pack.safetensors"), out)


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    quantize_goldens()
    pack_goldens()
