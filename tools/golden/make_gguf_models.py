"""Makes test/golden/arch/*/model.gguf: the tiny models as llama.cpp's converter would write them, in their own type.

Names, layouts and metadata follow the conventions of llama.cpp (the tables of tensor names come from the package gguf); the
tokenizer is "none". Where GGUF has no place for a setting, the file describes another model than config.json; then
golden.gguf.safetensors beside it holds what transformers computes for the model which the file describes.

    python make_gguf_models.py            # write all
    python make_gguf_models.py --check    # load them again with transformers, where it can read the architecture
    python make_gguf_models.py --with-vocabulary FOLDER    # for check_with_llamacpp.py
"""
import argparse
import json
import os
import pathlib
import re
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/arch"
ARCH = {
    "llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2",
    "gemma3_text": "gemma3", "phi3": "phi3", "olmo2": "olmo2", "smollm3": "smollm3", "granite": "granite",
    "gpt2": "gpt2", "qwen3_moe": "qwen3moe", "deepseek_v3": "deepseek2", "gpt_oss": "gpt-oss",
}  # fmt: skip
PERMUTED = ("llama", "mistral", "mixtral", "smollm3", "granite")
NAMES = [*ARCH, "gpt_oss-mxfp4", "llama-rope-llama3", "llama-rope-yarn", "phi3-longrope-long"]


def permute(w, heads):
    """Rows of each head from (first half, second half) to interleaved pairs, which RoPE in llama.cpp rotates."""
    head = w.shape[0] // heads
    return w.reshape(heads, 2, head // 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape)


def stack_experts(tensors):
    """One 3-D tensor for each projection instead of one tensor an expert."""
    out, groups = {}, {}
    for name, t in tensors.items():
        m = re.match(r"(.*\.experts\.)(\d+)\.(w1|w2|w3|gate_proj|up_proj|down_proj)\.weight$", name)
        if m:
            groups.setdefault((m[1], m[3]), {})[int(m[2])] = t
        else:
            out[name] = t
    for (prefix, which), parts in groups.items():
        out[f"{prefix}{which}.weight"] = torch.stack([parts[i] for i in range(len(parts))])
    return out


def rewrite(model_type, c, tensors):
    """Yields names that the package's table knows, with the data in GGUF's layout."""
    heads, kv = c.get("num_attention_heads"), c.get("num_key_value_heads")
    for name, t in stack_experts(tensors).items():
        if name == "lm_head.weight" and c.get("tie_word_embeddings"):
            continue
        if model_type in PERMUTED:
            if re.search(r"q_proj\.(weight|bias)$", name):
                t = permute(t, heads)
            if re.search(r"k_proj\.(weight|bias)$", name):
                t = permute(t, kv)
        if model_type.startswith("gemma") and name.endswith("norm.weight"):
            t = t + 1
        if model_type == "gpt2" and re.search(r"(c_attn|c_proj|c_fc)\.weight$", name):
            t = t.t()
        if model_type == "mixtral":
            name = re.sub(r"model\.layers\.(\d+)\.block_sparse_moe\.experts\.", r"layers.\1.feed_forward.experts.", name)
        if model_type == "deepseek_v3" and name.endswith("kv_b_proj.weight"):
            # split for attention that works on the compressed keys and values; k_b is stored transposed
            both = t.view(heads, c["qk_nope_head_dim"] + c["v_head_dim"], -1)
            k_b, v_b = both.split([c["qk_nope_head_dim"], c["v_head_dim"]], dim=1)
            yield name.replace("kv_b_proj", "k_b_proj"), k_b.transpose(1, 2)
            yield name.replace("kv_b_proj", "v_b_proj"), v_b
            continue
        name = name.replace("e_score_correction_bias", "e_score_correction.bias")
        if model_type == "gpt_oss":
            if name.endswith("sinks"):
                name += ".weight"
            elif name.endswith("gate_up_proj"):  # [experts, in, 2 * out], gate and up in turns
                t = t.transpose(1, 2)
                yield name.replace("gate_up_proj", "gate_proj.weight"), t[:, ::2]
                yield name.replace("gate_up_proj", "up_proj.weight"), t[:, 1::2]
                continue
            elif name.endswith("gate_up_proj_bias"):
                yield name.replace("gate_up_proj_bias", "gate_proj.bias"), t[:, ::2]
                yield name.replace("gate_up_proj_bias", "up_proj.bias"), t[:, 1::2]
                continue
            elif name.endswith("down_proj"):
                name, t = name + ".weight", t.transpose(1, 2)
            elif name.endswith("down_proj_bias"):
                name = name.replace("down_proj_bias", "down_proj.bias")
        yield name, t


def mxfp4_rows(blocks, scales):
    """From neighbours in one byte to ggml's blocks: the scale, then 16 bytes with value i and value i + 16."""
    blocks, scales = blocks.numpy(), scales.numpy()
    values = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
    packed = values[..., :16] | (values[..., 16:] << 4)
    out = np.concatenate([scales[..., None], packed], axis=-1)
    return np.ascontiguousarray(out.reshape(*out.shape[:-2], -1))


def mxfp4_experts(tensors):
    for name, t in tensors.items():
        if name.endswith("_blocks"):
            scales = tensors[name.replace("_blocks", "_scales")]
            m = re.match(r"model\.layers\.(\d+)\..*(gate_up|down)_proj_blocks$", name)
            if m[2] == "down":
                yield f"blk.{m[1]}.ffn_down_exps.weight", mxfp4_rows(t, scales)
            else:
                yield f"blk.{m[1]}.ffn_gate_exps.weight", mxfp4_rows(t[:, ::2], scales[:, ::2])
                yield f"blk.{m[1]}.ffn_up_exps.weight", mxfp4_rows(t[:, 1::2], scales[:, 1::2])


def rope_metadata(w, c):
    rope = c.get("rope_parameters") or {}
    local = rope.get("sliding_attention")
    rope = rope.get("full_attention", rope)
    kind = rope.get("rope_type")
    if kind == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "beta_fast" in rope:
            w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        if "beta_slow" in rope:
            w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    if "rope_theta" in rope:
        w.add_rope_freq_base(rope["rope_theta"])
    if local:
        w.add_rope_freq_base_swa(local["rope_theta"])
    return rope


def gpt2_metadata(w, c):
    w.add_block_count(c["n_layer"])
    w.add_context_length(c["n_positions"])
    w.add_embedding_length(c["n_embd"])
    w.add_feed_forward_length(4 * c["n_embd"])
    w.add_head_count(c["n_head"])
    w.add_layer_norm_eps(c["layer_norm_epsilon"])


def llama3_factors(c, rope):
    dim = c["head_dim"]
    freqs = 1.0 / (rope["rope_theta"] ** (np.arange(0, dim, 2, dtype=np.float32) / dim))
    original, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    out = []
    for wavelength in 2 * np.pi / freqs:
        if wavelength < original / high:
            out.append(1.0)
        elif wavelength > original / low:
            out.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            out.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def metadata(w, model_type, c):
    """Returns the extra tensors that stand for settings."""
    if model_type == "gpt2":
        gpt2_metadata(w, c)
        return {}
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(1 if model_type == "deepseek_v3" else c["num_key_value_heads"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    rope = rope_metadata(w, c)
    head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    if c.get("head_dim") and model_type not in ("deepseek_v3", "phi3", "granite"):
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
    if model_type in PERMUTED:
        w.add_vocab_size(c["vocab_size"])
        w.add_rope_dimension_count(head)
    experts = c.get("num_local_experts") or c.get("num_experts")
    if experts and model_type != "deepseek_v3":
        w.add_expert_count(experts)
        w.add_expert_used_count(c["num_experts_per_tok"])
    if model_type == "granite":
        w.add_attention_scale(c["attention_multiplier"])
        w.add_embedding_scale(c["embedding_multiplier"])
        w.add_residual_scale(c["residual_multiplier"])
        w.add_logit_scale(c["logits_scaling"])
    if model_type == "gemma2":
        w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
        w.add_final_logit_softcapping(c["final_logit_softcapping"])
    if model_type in ("gemma2", "gemma3_text", "gpt_oss"):
        w.add_sliding_window(c["sliding_window"])
    if model_type == "gpt_oss":
        w.add_expert_feed_forward_length(c["intermediate_size"])
    if model_type == "qwen3_moe":
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    if model_type == "deepseek_v3":
        w.add_vocab_size(c["vocab_size"])
        w.add_expert_count(c["n_routed_experts"])
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_expert_group_count(c["n_group"])
        w.add_expert_group_used_count(c["topk_group"])
        w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        w.add_leading_dense_block_count(c["first_k_dense_replace"])
        if c["q_lora_rank"]:
            w.add_q_lora_rank(c["q_lora_rank"])
        w.add_kv_lora_rank(c["kv_lora_rank"])
        w.add_key_length(c["kv_lora_rank"] + c["qk_rope_head_dim"])
        w.add_value_length(c["kv_lora_rank"])
        w.add_key_length_mla(c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
        w.add_value_length_mla(c["v_head_dim"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
        w.add_expert_shared_count(c["n_shared_experts"])
        w.add_expert_weights_scale(c["routed_scaling_factor"])
        if c["norm_topk_prob"]:
            w.add_expert_weights_norm(True)
        w.add_rope_dimension_count(c["qk_rope_head_dim"])
        if "mscale_all_dim" in rope:
            w.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
    if model_type == "phi3":
        original = rope.get("original_max_position_embeddings") or c["original_max_position_embeddings"]
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_dimension_count(int(rope.get("partial_rotary_factor", 1.0) * head))
        w.add_sliding_window(c.get("sliding_window") or 0)
        if "long_factor" in rope:
            scale = c["max_position_embeddings"] / original
            w.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(scale) / np.log(original))))
            return {
                "rope_factors_long.weight": np.array(rope["long_factor"], dtype=np.float32),
                "rope_factors_short.weight": np.array(rope["short_factor"], dtype=np.float32),
            }
    if rope.get("rope_type") == "llama3":
        return {"rope_freqs.weight": llama3_factors(c, rope)}
    return {}


def write(name, to=None, tokens=False):
    folder = ROOT / name
    c = json.loads((folder / "config.json").read_text())
    model_type = c["model_type"]
    arch = ARCH[model_type]
    kind = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[arch]
    names = gguf.get_tensor_name_map(kind, c.get("num_hidden_layers") or c["n_layer"])
    to = to or folder / "model.gguf"
    w = GGUFWriter(to, arch)
    w.add_type("model")
    w.add_name("tiny" if tokens else name)  # llama.cpp looks for the tokens of Phi-3 by that name
    extra = metadata(w, model_type, c)
    bf16 = c["dtype"] == "bfloat16"
    F = gguf.LlamaFileType
    w.add_file_type(F.MOSTLY_MXFP4_MOE if "quantization_config" in c else F.MOSTLY_BF16 if bf16 else F.ALL_F32)
    if tokens:  # for programs that want a vocabulary: whole characters, so that each token can be printed
        ascii = [chr(i) for i in range(33, 127)]
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("gpt-2")
        w.add_token_list([*ascii, "\u010a", "\u0120", *(a + "z" for a in ascii), *(a + "y" for a in ascii)][:256])
        w.add_token_types([gguf.TokenType.NORMAL] * 256)
        w.add_token_merges(["a b"])
    else:
        w.add_tokenizer_model("none")
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for k, v in extra.items():
        w.add_tensor(k, v)
    tensors = load_file(folder / "model.safetensors")
    for out, data in mxfp4_experts(tensors):
        w.add_tensor(out, data, raw_dtype=GGMLQuantizationType.MXFP4)
    tensors = {k: t for k, t in tensors.items() if not k.endswith(("_blocks", "_scales"))}
    for hf, t in rewrite(model_type, c, tensors):
        out = names.get_name(hf, try_suffixes=(".weight", ".bias"))
        assert out, hf
        data = t.float().contiguous().numpy()
        # vectors, and the router, stay in float32 as the converter keeps them; with bfloat16 weights llama.cpp would
        # round the activations, too, so that the copies for it are float32
        if bf16 and not tokens and data.ndim > 1 and "ffn_gate_inp" not in out and not out.endswith(".bias"):
            w.add_tensor(out, gguf.quants.quantize(data, GGMLQuantizationType.BF16), raw_dtype=GGMLQuantizationType.BF16)
        else:
            w.add_tensor(out, data)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    size = to.stat().st_size
    print(f"{name}: {arch}, {len(w.tensors[0])} tensors, {size // 1024} KiB")


def without_window(name):
    """llama.cpp's `llama` has no sliding window: what the file describes is the model with full attention."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = ROOT / name
    cfg = AutoConfig.from_pretrained(folder)
    cfg.sliding_window = None
    model = AutoModelForCausalLM.from_pretrained(folder, config=cfg, dtype=torch.float32, attn_implementation="eager").eval()
    ids = load_file(folder / "golden.safetensors")["input_ids"]
    x = ids[None].long()
    model.generation_config.eos_token_id = None
    with torch.no_grad():
        logits = model(x, use_cache=False).logits[0]
        out = model.generate(x, attention_mask=torch.ones_like(x), do_sample=False, max_new_tokens=16,
                             return_dict_in_generate=True, output_logits=True)  # fmt: skip
    greedy_logits = torch.stack([g[0] for g in out.logits])
    top = greedy_logits.topk(2, dim=-1).values
    print(name, "as its GGUF has it, margin", (top[:, 0] - top[:, 1]).min().item())
    save_file(
        {"input_ids": ids, "logits": logits.contiguous(), "greedy": out.sequences[0, len(ids) :].int(),
         "greedy_logits": greedy_logits.contiguous()},
        folder / "golden.gguf.safetensors",
    )  # fmt: skip


def check(name):
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = ROOT / name
    other = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"golden-gguf-{os.getpid()}"
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    write(name, other / "model.gguf", tokens=True)
    golden = folder / "golden.gguf.safetensors"
    want = load_file(golden if golden.exists() else folder / "golden.safetensors")
    try:
        m = AutoModelForCausalLM.from_pretrained(other, gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            got = m.eval()(want["input_ids"][None].long(), use_cache=False).logits[0]
        print(f"{name}: transformers reads the GGUF, logits within {(got - want['logits']).abs().max().item():.1e}")
    except Exception as e:
        print(f"{name}: transformers cannot: {type(e).__name__} {str(e)[:110]!r}")
    shutil.rmtree(other)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("names", nargs="*")
    ap.add_argument("--check", action="store_true")
    ap.add_argument("--with-vocabulary", metavar="FOLDER", help="write NAME.gguf there, with a vocabulary of 256 tokens")
    args = ap.parse_args()
    for name in args.names or NAMES:
        if args.with_vocabulary:
            write(name, pathlib.Path(args.with_vocabulary) / f"{name}.gguf", tokens=True)
        elif args.check:
            check(name)
        else:
            write(name)
            if name == "mistral":
                without_window(name)


main()
