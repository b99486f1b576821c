"""Makes test/golden/ggml and test/golden/gguf with the PyPI package gguf.

ggml/ggml_types.safetensors, for every tensor type of ggml:
    TYPE.bytes uint8             random valid blocks (scales finite and moderate; also zero, negative and subnormal ones)
    TYPE.values float32          what gguf.quants.dequantize makes of them; for the plain types and for Q1_0 and Q8_K, which the
                                 package cannot dequantize, the definition in ggml (metadata `by_definition` names these)
    TYPE.quantized_from float32, TYPE.quantized uint8      where the package can quantize: its input and its result

gguf/*.gguf with a .json beside each: what gguf.GGUFReader reads in it (for a split file, one JSON for each part).
"""
import hashlib
import json
import pathlib
import struct

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
BLOCKS = 8
# where the float16 scales lie in a block
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q1_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
    "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
}  # fmt: skip
PLAIN = {"F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}


def scale(rng, block, which):
    """Moderate, but one block each has a negative, a zero and a subnormal scale."""
    s = np.float16(rng.uniform(0.005, 0.05))
    if which == 0:
        s = {1: -s, 2: np.float16(0), 3: np.float16(6e-8)}.get(block, s)
    return np.array([s], dtype="<f2").view(np.uint8)


def random_blocks(name, rng):
    block, size = gguf.GGML_QUANT_SIZES[T[name]]
    if name in PLAIN or name in ("F32", "F16", "BF16"):
        n = 256
        if name == "F64":
            return rng.normal(size=n).astype("<f8").view(np.uint8)
        if name == "F32":
            v = rng.normal(size=n).astype("<f4")
            v[:4] = [0.0, -0.0, 1e-42, 3.4e38]
            return v.view(np.uint8)
        if name == "F16":
            v = rng.normal(size=n).astype("<f2")
            v[:5] = [0.0, -0.0, 6e-8, 65504, -6.1e-5]
            return v.view(np.uint8)
        if name == "BF16":
            return np.ascontiguousarray(rng.normal(size=n).astype("<f4").view(np.uint8).reshape(-1, 4)[:, 2:]).ravel()
        return np.frombuffer(rng.bytes(n * np.dtype(PLAIN[name]).itemsize), dtype=np.uint8).copy()
    raw = np.frombuffer(rng.bytes(BLOCKS * size), dtype=np.uint8).reshape(BLOCKS, size).copy()
    for b in range(BLOCKS):
        for i, at in enumerate(SCALES.get(name, [])):
            raw[b, at : at + 2] = scale(rng, b, i)
        if name == "MXFP4":
            raw[b, 0] = [120, 0, 1, 2, 127, 130, 118, 200][b]
        if name == "NVFP4":
            raw[b, :4] = [rng.integers(0x20, 0x60) for _ in range(4)]
            if b == 1:
                raw[b, :4] = [0x00, 0x01, 0x07, 0x7F]
            if b == 2:
                raw[b, :4] = [0x08, 0x7E, 0x40, 0x38]
        if name == "IQ1_M":  # the scale is spread over the high nibbles of the last four words
            bits = int(scale(rng, b, 0).view("<u2")[0])
            words = raw[b, 48:56].view("<u2")
            for k in range(4):
                words[k] = (int(words[k]) & 0x0FFF) | (((bits >> (4 * k)) & 0xF) << 12)
        if name == "Q8_K":
            raw[b, :4] = np.array([rng.uniform(-0.05, 0.05)], dtype="<f4").view(np.uint8)
    return raw.ravel()


def values_of(name, raw):
    if name in PLAIN:
        return raw.view(PLAIN[name]).astype(np.float32), True
    if name == "Q1_0":
        b = raw.reshape(-1, 18)
        d = np.ascontiguousarray(b[:, :2]).view("<f2").astype(np.float32)
        bits = np.unpackbits(np.ascontiguousarray(b[:, 2:]), axis=1, bitorder="little")
        return np.where(bits == 1, d, -d).ravel().astype(np.float32), True
    if name == "Q8_K":
        b = raw.reshape(-1, 4 + 256 + 32)
        d = np.ascontiguousarray(b[:, :4]).view("<f4")
        return (d * np.ascontiguousarray(b[:, 4:260]).view(np.int8).astype(np.float32)).ravel(), True
    return np.asarray(gguf.quants.dequantize(raw, T[name]), dtype=np.float32).ravel(), False


def ggml_types():
    out, by_definition, quantizable, skipped = {}, [], [], []
    for t in T:
        rng = np.random.default_rng(1000 + int(t))
        if t.name == "Q8_1":  # never stored in files
            skipped.append(t.name)
            continue
        try:
            raw = random_blocks(t.name, rng)
            values, own = values_of(t.name, raw)
        except NotImplementedError:
            skipped.append(t.name)
            continue
        assert np.isfinite(values).all(), t.name
        out[f"{t.name}.bytes"], out[f"{t.name}.values"] = raw, values
        if own:
            by_definition.append(t.name)
            continue
        try:
            n = max(256, 8 * gguf.GGML_QUANT_SIZES[t][0])
            x = rng.normal(size=n).astype(np.float32)
            x[: gguf.GGML_QUANT_SIZES[t][0]] = 0  # all +0: which of two zeros numpy's min takes is not fixed
            q = gguf.quants.quantize(x.reshape(1, -1), t)
            out[f"{t.name}.quantized_from"] = x
            out[f"{t.name}.quantized"] = np.ascontiguousarray(q).view(np.uint8).ravel()
            quantizable.append(t.name)
        except NotImplementedError:
            pass
    (ROOT / "ggml").mkdir(parents=True, exist_ok=True)
    save_file(out, ROOT / "ggml/ggml_types.safetensors",
              {"by_definition": " ".join(by_definition), "gguf": "0.19.0"})  # fmt: skip
    print("types:", len(out), "tensors; by definition", by_definition, "; quantized", quantizable, "; left out", skipped)
    return out


KV = [
    ("test.uint8", 255, "UINT8"), ("test.int8", -128, "INT8"), ("test.uint16", 65535, "UINT16"),
    ("test.int16", -32768, "INT16"), ("test.uint32", 2**32 - 1, "UINT32"), ("test.int32", -(2**31), "INT32"),
    ("test.uint64", 2**64 - 1, "UINT64"), ("test.int64", -(2**63), "INT64"), ("test.float32", 0.1, "FLOAT32"),
    ("test.float64", 1.2345678901234567e300, "FLOAT64"), ("test.true", True, "BOOL"), ("test.false", False, "BOOL"),
    ("test.string", "naïve café 日本語 🦙", "STRING"), ("test.string.quotes", "a \"b\"\n\t\\ c\0d", "STRING"),
    ("test.string.long", "x" * 3000, "STRING"), ("test.ключ", "a key that is not ASCII", "STRING"),
]  # fmt: skip
ARRAYS = [
    ("test.array.string", ["", "a", "bc", "日本", "\n"], "STRING"), ("test.array.bool", [True, False, True], "BOOL"),
    ("test.array.uint8", [0, 1, 255], "UINT8"), ("test.array.int8", [-128, 0, 127], "INT8"),
    ("test.array.uint16", [0, 65535], "UINT16"), ("test.array.int16", [-32768, 32767], "INT16"),
    ("test.array.uint32", [0, 2**32 - 1], "UINT32"), ("test.array.int32", list(range(-50, 50)), "INT32"),
    ("test.array.uint64", [0, 2**64 - 1], "UINT64"), ("test.array.int64", [-(2**63), 2**63 - 1], "INT64"),
    ("test.array.float32", [0.5, -0.25, 3.4e38], "FLOAT32"), ("test.array.float64", [1e-300, 0.1, -2.5], "FLOAT64"),
    ("test.array.one", ["alone"], "STRING"),
]  # fmt: skip


def add_all_kv(w, nested):
    for k, v, t in KV:
        if k == "test.string.quotes" or v:
            w.add_key_value(k, v, GGUFValueType[t])
        else:
            w.kv_data[0][k] = gguf.gguf_writer.GGUFValue(value=v, type=GGUFValueType[t], sub_type=None)
    for k, v, t in ARRAYS:
        w.add_key_value(k, v, GGUFValueType.ARRAY, GGUFValueType[t])
    w.kv_data[0]["test.string.empty"] = gguf.gguf_writer.GGUFValue(value="", type=GGUFValueType.STRING, sub_type=None)
    if nested:
        w.add_key_value("test.array.nested", [[1, 2, 3], [4]], GGUFValueType.ARRAY)
        w.add_key_value("test.array.nested.strings", [["a", "b"], ["c"]], GGUFValueType.ARRAY)


def add_tensors(w, types, rng):
    w.add_tensor("scalar", np.array([1.5], dtype=np.float32))
    w.add_tensor("one.f32", rng.normal(size=7).astype(np.float32))
    w.add_tensor("two.f16", rng.normal(size=(3, 5)).astype(np.float16))
    w.add_tensor("three.f32", rng.normal(size=(2, 3, 4)).astype(np.float32))
    w.add_tensor("four.f32", rng.normal(size=(2, 3, 1, 5)).astype(np.float32))
    w.add_tensor("two.f64", rng.normal(size=(2, 3)))
    w.add_tensor("i8", np.arange(-3, 4, dtype=np.int8))
    w.add_tensor("i16", np.arange(-300, 301, 100, dtype=np.int16))
    w.add_tensor("i32", np.array([[-(2**31), 2**31 - 1]], dtype=np.int32))
    w.add_tensor("i64", np.array([-(2**63), 2**63 - 1], dtype=np.int64))
    if types is None:
        return
    for name in types:
        block, size = gguf.GGML_QUANT_SIZES[T[name]]
        raw = random_blocks(name, rng)
        rows = 2 if (len(raw) // size) % 2 == 0 else 1
        w.add_tensor(f"type.{name}", raw.reshape(rows, -1), raw_dtype=T[name])


def plain(v):
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    return v.item() if isinstance(v, np.generic) else v


def describe(path, nested=None):
    """What the package reads; nested arrays, which it reads flat, as they were given."""
    r = GGUFReader(path)
    kv = []
    for k, f in r.fields.items():
        if k.startswith("GGUF."):
            continue
        value = f.contents()
        if f.types[0] == GGUFValueType.ARRAY and nested and k in nested:
            value = nested[k]
        kv.append({"key": k, "types": [t.name for t in f.types], "value": plain(value)})
    big = r.endianess == GGUFEndian.BIG
    tensors = []
    for t in r.tensors:
        raw = path.read_bytes()[int(t.data_offset) : int(t.data_offset) + int(t.n_bytes)]
        item = {
            "name": t.name, "type": t.tensor_type.name, "type_id": int(t.tensor_type), "dims": [int(d) for d in t.shape],
            "offset": int(t.data_offset), "bytes": int(t.n_bytes), "sha256": hashlib.sha256(raw).hexdigest(),
        }  # fmt: skip
        if t.tensor_type.name in ("F32", "F16", "F64", "I8", "I16", "I32", "I64"):
            item["values"] = plain(np.asarray(t.data).ravel().tolist())[:16]
        tensors.append(item)
    info = {
        "version": int(r.fields["GGUF.version"].contents()), "big_endian": big, "alignment": int(r.alignment),
        "data_offset": int(r.data_offset), "metadata": kv, "tensors": tensors,
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(info, indent=1, ensure_ascii=False) + "\n")
    print(f"{path.name}: {len(kv)} keys, {len(tensors)} tensors, {path.stat().st_size} bytes")


def write(path, endian=GGUFEndian.LITTLE, alignment=None, kv=True, tensors=True, types=None, nested=False):
    w = GGUFWriter(None, "llama", endianess=endian)
    if alignment:
        w.add_custom_alignment(alignment)
    if kv:
        add_all_kv(w, nested)
    if tensors:
        add_tensors(w, types, np.random.default_rng(7))
    w.write_header_to_file(path)
    w.write_kv_data_to_file()
    w.write_tensors_to_file() if tensors else w.write_ti_data_to_file()
    w.close()


def gguf_files():
    out = ROOT / "gguf"
    out.mkdir(parents=True, exist_ok=True)
    small = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "Q4_K", "Q6_K", "MXFP4"]
    write(out / "v3.gguf", types=small)
    write(out / "v3-align64.gguf", alignment=64, types=small)
    write(out / "v3-nested.gguf", tensors=False, nested=True)
    write(out / "v3-no-tensors.gguf", kv=False, tensors=False)
    every = [t.name for t in T if t.name not in ("Q8_1", "F32", "F16", "F64", "I8", "I16", "I32", "I64")]
    write(out / "v3-every-type.gguf", kv=False, types=every)
    write(out / "v3-big-endian.gguf", endian=GGUFEndian.BIG)
    write(out / "v2.gguf", types=["Q4_0", "Q8_0"])
    raw = bytearray((out / "v2.gguf").read_bytes())  # version 2 has the layout of 3
    struct.pack_into("<I", raw, 4, 2)
    (out / "v2.gguf").write_bytes(raw)
    nested = {"test.array.nested": [[1, 2, 3], [4]], "test.array.nested.strings": [["a", "b"], ["c"]]}
    for p in sorted(out.glob("v*.gguf")):
        describe(p, nested)

    w = GGUFWriter(out / "split.gguf", "llama", split_max_tensors=3)
    w.add_string("general.name", "split")
    w.add_uint32("llama.block_count", 2)
    rng = np.random.default_rng(9)
    for i in range(5):
        w.add_tensor(f"blk.{i}.weight", rng.normal(size=(4, 8)).astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    for p in sorted(out.glob("split-*.gguf")):
        describe(p)


ggml_types()
gguf_files()
