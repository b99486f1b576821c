"""Defects of weights that other programs quantized."""
import math

from planting import as_type, dropped, edit, put, reshaped, setting, values, weights, without

C, Q = "config.json", "quantization_config"
G, A, F, B4, B8, T = "llama-gptq", "llama-awq", "llama-fp8", "llama-bnb-4bit", "llama-bnb-8bit", "llama-compressed"
UP = "model.layers.0.mlp.up_proj.weight"
W = Q + ".config_groups.group_0.weights"


def all_dropped(end):
    return weights(lambda m: [m.drop(n) for n in list(m.header) if n.endswith(end)])


def reordered(model):
    """The inputs of one module, in the order of their weight."""
    name = model.find("up_proj.g_idx")
    words = [model.data[name][i : i + 4] for i in range(0, len(model.data[name]), 4)]
    model.data[name] = b"".join(words[1::2] + words[::2])


OTHERS = [
    ("GPTQ bits", G, setting(C, Q + ".bits", 8), ["quantization.wrong-bits"]),
    ("GPTQ group", G, setting(C, Q + ".group_size", 128), ["quantization.wrong-group"]),
    ("GPTQ named AWQ", G, setting(C, Q + ".quant_method", "awq"), ["quantization.wrong-method"]),
    ("GPTQ block missing", G, without(C, Q), ["quantization.undeclared"]),
    ("GPTQ method missing", G, without(C, Q + ".quant_method"), ["quantization.undeclared", "config.missing-field"]),
    ("GPTQ scales missing", G, weights(dropped("up_proj.scales")), ["quantization.part-missing"]),
    ("GPTQ zeros missing", G, weights(dropped("up_proj.qzeros")), ["quantization.part-missing"]),
    ("GPTQ zeros of another group", G, weights(reshaped("up_proj.qzeros", [4, 16])), ["quantization.parts-mismatch"]),
    ("GPTQ order too short", G, weights(reshaped("up_proj.g_idx", [32])), ["quantization.parts-mismatch"]),
    ("GPTQ codes as floats", G, weights(as_type("up_proj.qweight", "F32")), ["tensor.dtype"]),
    ("GPTQ scales as integers", G, weights(as_type("up_proj.scales", "I16")), ["tensor.dtype"]),
    ("GPTQ of another width", G, weights(reshaped("down_proj.qweight", [8, 64])), ["shape.mismatch", "quantization.parts-mismatch"]),
    ("GPTQ scales not finite", G, values("up_proj.scales", lambda v: put(v, 0, math.nan)), ["tensor.not-finite"], "values"),
    ("GPTQ codes missing", G, weights(dropped("up_proj.qweight")), ["quantization.part-missing", "tensor.missing"]),
    ("GPTQ symmetric by its block alone", G, setting(C, Q + ".sym", True), ["quantization.wrong-setting"]),
    ("GPTQ symmetry left to a default", G, without(C, Q + ".sym"), ["quantization.wrong-setting"]),
    ("GPTQ inputs reordered, unsaid", G, weights(reordered), ["quantization.wrong-setting"]),
    ("AWQ zeros denied", A, setting(C, Q + ".zero_point", False), ["quantization.wrong-setting"]),
    ("AWQ bits", A, setting(C, Q + ".bits", 8), ["quantization.wrong-bits"]),
    ("AWQ group", A, setting(C, Q + ".group_size", 128), ["quantization.wrong-group"]),
    ("AWQ named GPTQ", A, setting(C, Q + ".quant_method", "gptq"), ["quantization.wrong-method"]),
    ("AWQ block missing", A, without(C, Q), ["quantization.undeclared"]),
    ("AWQ zeros missing", A, weights(dropped("up_proj.qzeros")), ["quantization.part-missing"]),
    ("AWQ scales missing", A, all_dropped(".scales"), ["quantization.part-missing"]),
    ("FP8 beside another type", F, setting(C, "dtype", "bfloat16"), ["quantization.other-type"]),
    ("FP8 block size", F, setting(C, Q + ".weight_block_size", [32, 32]), ["quantization.wrong-group"]),
    ("FP8 block size a number", F, setting(C, Q + ".weight_block_size", 16), ["config.invalid-value"]),
    ("FP8 block missing", F, without(C, Q), ["quantization.undeclared", "mlx.no-type", "tensor.dtype"]),
    ("FP8 scales missing", F, all_dropped("_scale_inv"), ["quantization.unused", "quantization.part-missing", "tensor.missing"]),
    ("FP8 scale missing", F, weights(dropped("up_proj.weight_scale_inv")), ["quantization.part-missing", "tensor.missing", "quantization.undeclared"]),
    ("FP8 scale of another shape", F, weights(reshaped("up_proj.weight_scale_inv", [1, 1])), ["quantization.parts-mismatch", "shape.mismatch"]),
    ("FP8 as bytes", F, weights(lambda m: put(m.header[UP], 0, "U8")), ["tensor.f8-as-bytes", "tensor.dtype"]),
    ("FP8 of the other kind", F, weights(lambda m: put(m.header[UP], 0, "F8_E5M2")), ["tensor.dtype", "mlx.no-type"]),
    ("bitsandbytes 8 for 4 bits", B4, edit(C, lambda c: c[Q].update(load_in_4bit=False, _load_in_4bit=False, load_in_8bit=True, _load_in_8bit=True)), ["quantization.wrong-bits"]),
    ("bitsandbytes FP4 for NF4", B4, setting(C, Q + ".bnb_4bit_quant_type", "fp4"), ["quantization.wrong-method"]),
    ("bitsandbytes maxima missing", B4, weights(dropped("up_proj.weight.absmax")), ["quantization.part-missing"]),
    ("bitsandbytes table missing", B4, weights(dropped("up_proj.weight.quant_map")), ["quantization.part-missing"]),
    ("bitsandbytes block missing", B4, without(C, Q), ["quantization.undeclared"]),
    ("bitsandbytes codes cut", B4, weights(lambda m: m.resize(UP, [1024, 1])), ["shape.mismatch", "quantization.parts-mismatch"]),
    ("bitsandbytes 4 for 8 bits", B8, edit(C, lambda c: c[Q].update(load_in_4bit=True, _load_in_4bit=True, load_in_8bit=False, _load_in_8bit=False)), ["quantization.wrong-bits"]),
    ("bitsandbytes rows' scales missing", B8, weights(dropped("up_proj.SCB")), ["quantization.part-missing"]),
    ("bitsandbytes rows' scales cut", B8, weights(reshaped("up_proj.SCB", [32])), ["quantization.parts-mismatch"]),
    ("compressed-tensors bits", T, setting(C, W + ".num_bits", 8), ["quantization.wrong-bits"]),
    ("compressed-tensors group", T, setting(C, W + ".group_size", 128), ["quantization.wrong-group"]),
    ("compressed-tensors scale missing", T, weights(dropped("up_proj.weight_scale")), ["quantization.part-missing"]),
    ("compressed-tensors codes missing", T, weights(dropped("up_proj.weight_packed")), ["quantization.part-missing"]),
    ("compressed-tensors block missing", T, without(C, Q), ["quantization.undeclared"]),
    ("compressed-tensors rows cut", T, weights(reshaped("up_proj.weight_scale", [64, 2])), ["quantization.parts-mismatch"]),
    ("method unknown", G, setting(C, Q + ".quant_method", "gptqq"), ["quantization.unsupported", "quantization.wrong-method"]),
]  # fmt: skip

KINDS = {"quantized by others": OTHERS}
