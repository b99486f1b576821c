"""A llama twice as wide (two groups a row) as other quantizers store it: GPTQ, AWQ, FP8 with block scales, bitsandbytes (NF4, int8), compressed-tensors.

bitsandbytes and compressed-tensors are written by their own libraries; for GPTQ, AWQ and FP8, whose programs want a GPU,
the codes are packed here and read back by mlx-lm (AWQ), transformers (FP8) or by unpacking (GPTQ).
"""
import functools
import json
import pathlib
import tempfile

import torch
from common import folder, write_json
from language import tiny_llama
from safetensors.torch import load_file, save_file

GROUP, BITS = 32, 4
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which output stands at which place of an int32


@functools.cache
def base():
    """The model before it is quantized, in a folder for this run."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="llama-"))
    model, tok = tiny_llama(64, 128)
    model.save_pretrained(path)
    tok.save_pretrained(path)
    return path


def plain():
    return load_file(base() / "model.safetensors")


def texts(path):
    for f in base().iterdir():
        if f.suffix != ".safetensors":
            (path / f.name).write_bytes(f.read_bytes())


def is_linear(name):
    return "_proj.weight" in name


def rounded(weight):
    """Codes, zeros and scales in groups along the inputs: [out, groups, GROUP], [out, groups]."""
    grouped = weight.float().reshape(weight.shape[0], -1, GROUP)
    low, high = grouped.amin(-1), grouped.amax(-1)
    scales = ((high - low) / 15).clamp(min=1e-8).half()
    zeros = (-low / scales.float()).round().clamp(0, 15)
    codes = (grouped / scales.float()[..., None] + zeros[..., None]).round().clamp(0, 15)
    return codes.reshape(weight.shape).int(), zeros.int(), scales


def packed(codes, order=range(8)):
    """Along the last dimension, eight to an int32."""
    eight = codes.reshape(*codes.shape[:-1], -1, 8)[..., list(order)].to(torch.int64)
    word = sum(eight[..., i] << (4 * i) for i in range(8))
    return torch.where(word >= 2**31, word - 2**32, word).to(torch.int32).contiguous()


def unpacked(words, order=range(8)):
    codes = torch.stack([(words.to(torch.int64) >> (4 * i)) & 15 for i in range(8)], -1)
    out = torch.empty_like(codes)
    for place, which in enumerate(order):
        out[..., which] = codes[..., place]
    return out.flatten(-2)


def save(name, state, block):
    path = folder(name)
    texts(path)
    config = json.loads((path / "config.json").read_text())
    write_json(path / "config.json", config | {"quantization_config": block})
    save_file({n: t.contiguous() for n, t in state.items()}, path / "model.safetensors", metadata={"format": "pt"})


def gptq_or_awq(method):
    state = {}
    for name, weight in plain().items():
        if not is_linear(name):
            state[name] = weight
            continue
        path = name.removesuffix(".weight")
        codes, zeros, scales = rounded(weight)
        state[path + ".scales"] = scales.T
        if method == "awq":
            state[path + ".qweight"] = packed(codes.T, AWQ_ORDER)
            state[path + ".qzeros"] = packed(zeros.T, AWQ_ORDER)
        else:
            state[path + ".qweight"] = packed(codes).T
            state[path + ".qzeros"] = packed((zeros.T - 1) & 15)  # GPTQ stores one less
            state[path + ".g_idx"] = torch.arange(weight.shape[1], dtype=torch.int32) // GROUP
    block = {"quant_method": method, "bits": BITS, "group_size": GROUP}
    block |= {"zero_point": True, "version": "gemm"} if method == "awq" else {"desc_act": False, "sym": False, "damp_percent": 0.01}
    save("llama-" + method, state, block)


def fp8():
    state, block = {}, 16
    for name, weight in plain().items():
        state[name] = weight
        if is_linear(name):
            rows, columns = weight.shape
            tiles = weight.float().reshape(rows // block, block, columns // block, block)
            scale = tiles.abs().amax((1, 3)) / 448
            state[name] = (tiles / scale[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn)
            state[name + "_scale_inv"] = scale
    save("llama-fp8", state, {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [block, block]})


def bitsandbytes():
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    for name, how in (("llama-bnb-4bit", dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float16)),
                      ("llama-bnb-8bit", dict(load_in_8bit=True))):  # fmt: skip
        model = AutoModelForCausalLM.from_pretrained(base(), dtype=torch.float16, device_map="cpu",
                                                     quantization_config=BitsAndBytesConfig(**how))  # fmt: skip
        path = folder(name)
        texts(path)
        model.save_pretrained(path)


def compressed():
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    state = {}
    for name, weight in plain().items():
        if not is_linear(name):
            state[name] = weight
            continue
        path = name.removesuffix(".weight")
        grouped = weight.float().reshape(weight.shape[0], -1, GROUP)
        scale = (grouped.abs().amax(-1) / 7.5).half()
        codes = (grouped / scale.float()[..., None]).round().clamp(-8, 7).to(torch.int8).reshape(weight.shape)
        state[path + ".weight_packed"] = pack_to_int32(codes, BITS)
        state[path + ".weight_scale"] = scale
        state[path + ".weight_shape"] = torch.tensor(weight.shape, dtype=torch.int64)
    weights = {"num_bits": BITS, "type": "int", "symmetric": True, "group_size": GROUP, "strategy": "group", "dynamic": False}
    save("llama-compressed", state, {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}})  # fmt: skip


KINDS = {"llama-gptq": lambda: gptq_or_awq("gptq"), "llama-awq": lambda: gptq_or_awq("awq"), "llama-fp8": fp8,
         "llama-bnb": bitsandbytes, "llama-compressed": compressed}  # fmt: skip


def verify(path):
    """What is read back is llama within the rounding."""
    whole = plain()
    stored = load_file(path / "model.safetensors")
    for name, weight in whole.items():
        if not is_linear(name):
            assert torch.equal(stored[name], weight), name
            continue
        back = read_back(path.name, name.removesuffix(".weight"), stored, weight.shape)
        # half of the widest step: NF4 has nothing between -1 and -0.696
        assert (back - weight.float()).abs().max() < 0.155 * weight.float().abs().max(), (path.name, name)
    if path.name == "llama-awq":
        from mlx_lm import load

        load(str(path))
    elif path.name == "llama-fp8":
        from transformers import AutoModelForCausalLM, FineGrainedFP8Config

        AutoModelForCausalLM.from_pretrained(path, quantization_config=FineGrainedFP8Config(
            dequantize=True, weight_block_size=(16, 16)), device_map="cpu")  # fmt: skip


def read_back(kind, path, stored, shape):
    def grouped(codes, zeros, scales):
        return ((codes.reshape(shape[0], -1, GROUP) - zeros[..., None]) * scales.float()[..., None]).reshape(shape)

    if kind == "llama-awq":
        return grouped(unpacked(stored[path + ".qweight"], AWQ_ORDER).T, unpacked(stored[path + ".qzeros"], AWQ_ORDER).T,
                       stored[path + ".scales"].T)  # fmt: skip
    if kind == "llama-gptq":
        return grouped(unpacked(stored[path + ".qweight"].T), (unpacked(stored[path + ".qzeros"]).T + 1) & 15,
                       stored[path + ".scales"].T)  # fmt: skip
    if kind == "llama-fp8":
        scale = stored[path + ".weight_scale_inv"].repeat_interleave(16, 0).repeat_interleave(16, 1)
        return stored[path + ".weight"].float() * scale
    if kind == "llama-bnb-8bit":
        return stored[path + ".weight"].float() * stored[path + ".SCB"].float()[:, None] / 127
    if kind == "llama-bnb-4bit":
        table = stored[path + ".weight.quant_map"].float()
        codes = stored[path + ".weight"].flatten()
        values = table[torch.stack([codes >> 4, codes & 15], -1).flatten().long()]
        return (values.reshape(-1, 64) * stored[path + ".weight.absmax"].float()[:, None]).reshape(shape)
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32

    codes = unpack_from_int32(stored[path + ".weight_packed"], BITS, torch.Size(shape)).float()
    return (codes.reshape(shape[0], -1, GROUP) * stored[path + ".weight_scale"].float()[..., None]).reshape(shape)
