"""Defects of adapters, sentence-transformers folders and ONNX."""
import math

from planting import (
    all_of, as_type, dropped, edit, gguf, key, no_key, put, raw, removed, replaced, reshaped, setting, text, values, weights, without,
)  # fmt: skip

A, PW, MW = "adapter_config.json", "adapter_model.safetensors", "adapters.safetensors"
P, M = "peft-lora", "mlx-lora"


def without_all(part, file):
    return weights(lambda m: [m.drop(n) for n in list(m.header) if part in n], file)


ADAPTERS = [
    ("rank of the config", P, setting(A, "r", 8), ["adapter.rank-config"]),
    ("rank missing", P, without(A, "r"), ["adapter.rank-config", "adapter.invalid-value"]),
    ("rank zero", P, setting(A, "r", 0), ["adapter.rank-config", "adapter.invalid-value"]),
    ("rank a text", P, setting(A, "r", "4"), ["adapter.invalid-value"]),
    ("alpha zero", P, setting(A, "lora_alpha", 0), ["adapter.alpha"]),
    ("alpha missing", P, without(A, "lora_alpha"), ["adapter.scale-missing"]),
    ("targets too few", P, setting(A, "target_modules", ["q_proj", "v_proj"]), ["adapter.target-unlisted"]),
    ("targets too many", P, setting(A, "target_modules", ["q_proj", "v_proj", "down_proj", "up_proj"]), ["adapter.target-unused"]),
    ("target misspelt", P, setting(A, "target_modules", ["q_porj", "v_proj", "down_proj"]), ["adapter.target-unlisted"]),
    ("targets missing", P, without(A, "target_modules"), ["adapter.target-unlisted", "adapter.invalid-value"]),
    ("targets missing beside the base", P, without(A, "target_modules"), ["adapter.target-unlisted", "adapter.invalid-value"], "base"),
    ("DoRA wanted", P, setting(A, "use_dora", True), ["adapter.dora"]),
    ("DoRA denied", "peft-dora", setting(A, "use_dora", False), ["adapter.dora"]),
    ("ranks of modules lost", "peft-dora", setting(A, "rank_pattern", {}), ["adapter.rank-config"]),
    ("modules saved whole not named", "peft-dora", setting(A, "modules_to_save", None), ["adapter.other-tensors", "adapter.target-unlisted"]),
    ("method unknown", P, setting(A, "peft_type", "LORRA"), ["adapter.invalid-value"]),
    ("bias unknown", P, setting(A, "bias", "some"), ["adapter.invalid-value"]),
    ("settings missing", P, removed(A), ["adapter.config-missing"]),
    ("weights missing", P, removed(PW), ["adapter.no-weights"]),
    ("half of a pair missing", P, weights(dropped("q_proj.lora_B"), PW), ["adapter.incomplete"]),
    ("ranks of a pair differ", P, weights(reshaped("q_proj.lora_B", [32, 8]), PW), ["adapter.rank-mismatch"]),
    ("factor empty", P, weights(reshaped("q_proj.lora_B", [0]), PW), ["adapter.shape"]),
    ("width of another base", P, weights(lambda m: [m.resize(n, [4, 48]) for n in m.header if n.endswith("q_proj.lora_A.weight")], PW),
     ["adapter.base-shape"], "base"),
    ("layer that the base lacks", P, weights(lambda m: [m.rename(n, n.replace("layers.1.", "layers.7.")) for n in list(m.header)], PW),
     ["adapter.base-target"], "base"),
    ("module that the base lacks", P, all_of(weights(lambda m: [m.rename(n, n.replace("q_proj", "query")) for n in list(m.header)], PW),
     setting(A, "target_modules", ["query", "v_proj", "down_proj"])), ["adapter.base-target"], "base"),
    ("names of nothing", P, weights(lambda m: [m.rename(n, f"tensor{i}") for i, n in enumerate(list(m.header))], PW), ["adapter.unrecognized"]),
    ("integers", P, weights(as_type("q_proj.lora_A", "I32"), PW), ["adapter.dtype"]),
    ("never trained", P, weights(lambda m: [m.set_floats(n, [0.0] * len(m.floats(n))) for n in m.header if "lora_B" in n], PW),
     ["adapter.untrained"], "values"),
    ("NaN in an adapter", P, values("lora_A", lambda v: put(v, 0, math.nan), PW), ["tensor.not-finite"], "values"),
    ("weights cut short", P, raw(lambda d: d[:-20], PW), ["safetensors.truncated", "safetensors.offsets"]),
    ("settings no JSON", P, text(A, "{"), ["json.malformed"]),
    ("scale missing", M, without(A, "lora_parameters.scale"), ["adapter.scale-missing"]),
    ("scale zero", M, setting(A, "lora_parameters.scale", 0.0), ["adapter.alpha"]),
    ("rank of mlx-lm", M, setting(A, "lora_parameters.rank", 16), ["adapter.rank-config"]),
    ("layers too few", M, setting(A, "num_layers", 1), ["adapter.target-unlisted"]),
    ("kind of tuning unknown", M, setting(A, "fine_tune_type", "lorra"), ["adapter.invalid-value"]),
    ("keys too few", "mlx-dora", setting(A, "lora_parameters.keys", ["self_attn.q_proj"]), ["adapter.target-unlisted"]),
    ("magnitudes missing", "mlx-dora", weights(lambda m: [m.drop(n) for n in list(m.header) if n.endswith(".m")], MW), ["adapter.dora"]),
    ("alpha not a number", "kohya-lora", values("alpha", lambda v: [math.nan], "tiny_style.safetensors"), ["adapter.alpha", "tensor.not-finite"], "values"),
    ("alphas missing", "kohya-lora", without_all(".alpha", "tiny_style.safetensors"), ["adapter.alpha-absent", "adapter.metadata"]),
    ("rank of the metadata", "kohya-lora", weights(lambda m: put(m.metadata, "ss_network_dim", "64"), "tiny_style.safetensors"), ["adapter.metadata"]),
    ("half of a kohya pair", "kohya-lora", weights(dropped("lora_up"), "tiny_style.safetensors"), ["adapter.incomplete"]),
    ("half of an XLabs pair", "xlabs-lora", weights(dropped("qkv_lora1.up"), "lora.safetensors"), ["adapter.incomplete"]),
    ("half of a diffusers pair", "diffusers-lora", weights(dropped("lora_B"), "pytorch_lora_weights.safetensors"), ["adapter.incomplete"]),
    ("half of a GGUF pair", "gguf-lora", gguf(lambda m: m.tensors.pop("blk.0.attn_q.weight.lora_b") and None, "lora.gguf"), ["adapter.incomplete"]),
    ("alpha of a GGUF missing", "gguf-lora", no_key("adapter.lora.alpha", "lora.gguf"), ["adapter.scale-missing", "adapter.alpha-absent"]),
    ("alpha of a GGUF zero", "gguf-lora", key("adapter.lora.alpha", 0.0, "lora.gguf"), ["adapter.alpha"]),
    ("kind of a GGUF unknown", "gguf-lora", key("adapter.type", "lorra", "lora.gguf"), ["adapter.invalid-value"]),
]  # fmt: skip

L, Q = "modules.json", "1_Pooling/config.json"
EMBEDDING = [
    ("pooling of another width", "sentence-transformers", setting(Q, "embedding_dimension", 32), ["embedding.width-mismatch"]),
    ("pooling unknown", "sentence-transformers", setting(Q, "pooling_mode", "avg"), ["embedding.invalid-value"]),
    ("pooling missing", "sentence-transformers", removed(Q), ["embedding.module-missing"]),
    ("modules no list", "sentence-transformers", text(L, "{}"), ["embedding.malformed"]),
    ("modules no JSON", "sentence-transformers", text(L, "["), ["json.malformed", "embedding.malformed"]),
    ("module leads elsewhere", "sentence-transformers", setting(L, "1.path", "../../pooling"), ["embedding.unsafe-path"]),
    ("module of foreign code", "sentence-transformers", setting(L, "1.type", "custom.Pooling"), ["embedding.foreign-code"]),
    ("module without a type", "sentence-transformers", edit(L, lambda m: m[1].pop("type") and None), ["embedding.malformed"]),
    ("texts beyond the positions", "sentence-transformers", setting("sentence_bert_config.json", "max_seq_length", 512), ["embedding.too-long"]),
    ("tokens beyond the positions", "sentence-transformers", setting("tokenizer_config.json", "model_max_length", 512), ["embedding.too-long", "tokenizer.context"]),
    ("similarity unknown", "sentence-transformers", setting("config_sentence_transformers.json", "similarity_fn_name", "cosin"), ["embedding.invalid-value"]),
    ("weights missing", "sentence-transformers", removed("model.safetensors"), ["model.no-weights"]),
    ("width of the encoder", "sentence-transformers", setting("config.json", "hidden_size", 32), ["embedding.width-mismatch", "shape.mismatch", "component.shape-mismatch"]),
    ("layers of the encoder", "sentence-transformers", setting("config.json", "num_hidden_layers", 3), ["component.shape-mismatch", "component.tensor-missing"]),
    ("vocabulary of the encoder", "sentence-transformers", setting("config.json", "vocab_size", 200), ["component.shape-mismatch", "shape.mismatch"]),
    ("positions of the encoder", "sentence-transformers", setting("config.json", "max_position_embeddings", 128), ["component.shape-mismatch", "shape.mismatch"]),
    ("heads of the encoder", "sentence-transformers", setting("config.json", "num_attention_heads", 3), ["component.invalid-value", "config.contradiction"]),
]  # fmt: skip

O = "model.onnx"
ONNX = [
    ("cut short", "onnx", raw(lambda d: d[:-30], O), ["onnx.malformed"]),
    ("empty", "onnx", raw(lambda d: b"", O), ["onnx.malformed", "onnx.version"]),
    ("another format", "onnx", raw(lambda d: b"\xff" * 200, O), ["onnx.malformed"]),
    ("version missing", "onnx", raw(lambda d: d[2:], O), ["onnx.version"]),
    ("external data missing", "onnx-external", removed("model.onnx_data"), ["onnx.external-missing"]),
    ("external data cut short", "onnx-external", raw(lambda d: d[: len(d) // 2], "model.onnx_data"), ["onnx.external-range"]),
    ("external data elsewhere", "onnx-external", raw(lambda d: d.replace(b"model.onnx_data", b"../../etc/passw"), O), ["onnx.unsafe-path"]),
    ("external data at an absolute path", "onnx-external", raw(lambda d: d.replace(b"model.onnx_data", b"/etc/passwd.bin"), O), ["onnx.unsafe-path"]),
]  # fmt: skip

KINDS = {"adapters": ADAPTERS, "sentence-transformers": EMBEDDING, "ONNX": ONNX}
