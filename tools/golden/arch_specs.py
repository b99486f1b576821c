"""The tiny models behind test/golden/arch: one entry a folder, plain data shared by the scripts beside this file.

`kw` is what both generations of transformers call a field by the same name; `v5` and `v4` are the fields where they
differ. `init` scales the random weights (see make_arch_goldens.py). `prompt` is the prompt's length.
"""


def default(theta):
    return {"v5": {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}, "v4": {"rope_theta": theta}}


def scaled(theta, **scaling):
    """A scaled RoPE in both spellings; transformers 4 has `rope_scaling` beside `rope_theta`."""
    return {
        "v5": {"rope_parameters": {**scaling, "rope_theta": theta}},
        "v4": {"rope_theta": theta, "rope_scaling": scaling},
    }


H32 = dict(
    vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-3,
    bos_token_id=1, eos_token_id=2, pad_token_id=0,
)  # fmt: skip

SPECS = {}


def spec(name, model_type, kw, rope=None, v5=None, v4=None, **more):
    rope = rope or {"v5": {}, "v4": {}}
    SPECS[name] = {
        "model_type": model_type, "kw": kw,
        "v5": {**rope["v5"], **(v5 or {})}, "v4": {**rope["v4"], **(v4 or {})},
        "prompt": 24, "dtype": "float32", "init": {}, **more,
    }  # fmt: skip


# --- one of each architecture -------------------------------------------------------------------------------------
spec("llama", "llama",
     {**H32, "hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "tie_word_embeddings": False,
      "attention_bias": False, "mlp_bias": False}, default(5000.0))  # fmt: skip
spec("mistral", "mistral", {**H32, "head_dim": 16, "sliding_window": 8, "tie_word_embeddings": False,
                            "num_hidden_layers": 3}, default(20000.0))  # fmt: skip
spec("qwen2", "qwen2", {**H32, "num_hidden_layers": 3, "tie_word_embeddings": True,
                        "use_sliding_window": False}, default(1000000.0))  # fmt: skip
spec("qwen3", "qwen3", {**H32, "num_hidden_layers": 3, "head_dim": 16,
                        "tie_word_embeddings": True, "attention_bias": False, "use_sliding_window": False},
     default(1000000.0))  # fmt: skip
GEMMA = {**H32, "head_dim": 16, "tie_word_embeddings": True, "bos_token_id": 2, "eos_token_id": 1}
GEMMA2 = {**GEMMA, "num_hidden_layers": 4, "sliding_window": 8, "query_pre_attn_scalar": 16,
          "attn_logit_softcapping": 8.0, "final_logit_softcapping": 15.0}  # fmt: skip
spec("gemma2", "gemma2", GEMMA2, default(10000.0))
GEMMA3 = {**GEMMA, "num_hidden_layers": 6, "intermediate_size": 32, "sliding_window": 8, "query_pre_attn_scalar": 16,
          "attn_logit_softcapping": None, "final_logit_softcapping": None}  # fmt: skip


def gemma3_rope(theta, local, **scaling):
    full = {"rope_type": "default", **scaling, "rope_theta": theta}
    both = {"full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta": local}}
    v4 = {"rope_theta": theta, "rope_local_base_freq": local}
    if scaling:
        v4["rope_scaling"] = scaling
    return {"v5": {"rope_parameters": both}, "v4": v4}


spec("gemma3_text", "gemma3_text", GEMMA3, gemma3_rope(1000000.0, 10000.0), v4={"sliding_window_pattern": 6})
PHI3 = {**H32, "tie_word_embeddings": False, "num_hidden_layers": 3, "sliding_window": 10}
spec("phi3", "phi3", {**PHI3, "original_max_position_embeddings": 128}, default(10000.0))
spec("olmo2", "olmo2", {**H32, "num_hidden_layers": 3, "tie_word_embeddings": False, "attention_bias": False},
     default(500000.0))  # fmt: skip
spec("smollm3", "smollm3",
     {**H32, "num_hidden_layers": 4, "tie_word_embeddings": True, "no_rope_layer_interval": 4, "attention_bias": False,
      "mlp_bias": False, "use_sliding_window": False}, default(2000000.0))  # fmt: skip
spec("granite", "granite",
     {**H32, "num_hidden_layers": 3, "tie_word_embeddings": True, "embedding_multiplier": 3.0,
      "attention_multiplier": 0.2, "residual_multiplier": 0.6, "logits_scaling": 0.5, "attention_bias": False,
      "mlp_bias": False}, default(10000.0))  # fmt: skip
spec("gpt2", "gpt2",
     dict(vocab_size=256, n_embd=32, n_head=4, n_layer=3, n_positions=64, n_ctx=64, layer_norm_epsilon=1e-3,
          activation_function="gelu_new", bos_token_id=1, eos_token_id=2))  # fmt: skip
spec("mixtral", "mixtral",
     {**H32, "num_local_experts": 3, "num_experts_per_tok": 2, "tie_word_embeddings": False, "sliding_window": None},
     default(1000000.0))  # fmt: skip
QWEN3_MOE = {**H32, "head_dim": 16, "num_experts_per_tok": 3, "moe_intermediate_size": 64, "decoder_sparse_step": 1,
             "tie_word_embeddings": False, "attention_bias": False, "use_sliding_window": False}  # fmt: skip
spec("qwen3_moe", "qwen3_moe", {**QWEN3_MOE, "norm_topk_prob": True, "num_experts": 4, "mlp_only_layers": []},
     default(1000000.0))  # fmt: skip
DEEPSEEK = {
    **H32, "num_key_value_heads": 4, "num_hidden_layers": 2, "moe_intermediate_size": 64, "n_shared_experts": 1,
    "n_routed_experts": 6, "num_experts_per_tok": 3, "n_group": 3, "topk_group": 2, "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.5, "norm_topk_prob": True, "kv_lora_rank": 32, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16, "v_head_dim": 24, "tie_word_embeddings": False, "attention_bias": False,
    "num_nextn_predict_layers": 0,
}  # fmt: skip
YARN_DS = dict(factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0, mscale=1.0,
               mscale_all_dim=1.0)  # fmt: skip
V4_DS = {"moe_layer_freq": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "ep_size": 1}
spec("deepseek_v3", "deepseek_v3",
     {**DEEPSEEK, "q_lora_rank": 32, "rms_norm_eps": 1e-6},
     scaled(100.0, rope_type="yarn", **YARN_DS), v4=V4_DS, v4_rope_key="type")  # fmt: skip
GPT_OSS = {**H32, "head_dim": 16, "intermediate_size": 64, "num_local_experts": 4, "num_experts_per_tok": 2,
           "sliding_window": 8, "tie_word_embeddings": False, "attention_bias": True, "swiglu_limit": 7.0}  # fmt: skip
# small bases, so that the ramp of YaRN has values between 0 and 1, and rounding its ends (truncate) changes them
GPT_OSS_ROPE = scaled(1000.0, rope_type="yarn", factor=4.0, beta_fast=4.0, beta_slow=1.0, truncate=False,
                      original_max_position_embeddings=32)  # fmt: skip
spec("gpt_oss", "gpt_oss", GPT_OSS, GPT_OSS_ROPE, dtype="bfloat16")

# --- RoPE variants ------------------------------------------------------------------------------------------------
LLAMA = {**H32, "head_dim": 16, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False}
spec("llama-rope-linear", "llama", LLAMA, scaled(10000.0, rope_type="linear", factor=4.0))
spec("llama-rope-dynamic", "llama", {**LLAMA, "max_position_embeddings": 12},
     scaled(10000.0, rope_type="dynamic", factor=4.0))  # fmt: skip
spec("llama-rope-llama3", "llama", LLAMA,
     scaled(10000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=64))  # fmt: skip
spec("llama-rope-yarn", "llama", LLAMA,
     scaled(500.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=32))  # fmt: skip
SHORT = [1.0, 1.1, 1.25, 1.5]
LONG = [1.0, 2.0, 4.5, 9.0]
for which, original in (("short", 64), ("long", 16)):
    spec(f"phi3-longrope-{which}", "phi3",
         {**PHI3, "num_hidden_layers": 2, "tie_word_embeddings": True, "original_max_position_embeddings": original},
         {"v5": {"rope_parameters": {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                                     "rope_theta": 10000.0}},
          "v4": {"rope_theta": 10000.0,
                 "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG}}})  # fmt: skip
spec("phi3-partial-rotary", "phi3",
     {**PHI3, "num_hidden_layers": 2, "tie_word_embeddings": True, "original_max_position_embeddings": 128},
     {"v5": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}},
      "v4": {"rope_theta": 10000.0, "partial_rotary_factor": 0.75}})  # fmt: skip
spec("gemma3_text-rope-linear", "gemma3_text",
     {**GEMMA3, "num_hidden_layers": 3, "query_pre_attn_scalar": 24},
     gemma3_rope(1000000.0, 10000.0, rope_type="linear", factor=8.0), v5={"layer_types": [
         "sliding_attention", "sliding_attention", "full_attention"]}, v4={"sliding_window_pattern": 3})  # fmt: skip

# --- switches that published models use ---------------------------------------------------------------------------
spec("llama-bias", "llama", {**LLAMA, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
     default(10000.0))  # fmt: skip
spec("qwen2-sliding", "qwen2",
     {**H32, "num_hidden_layers": 3, "tie_word_embeddings": True, "use_sliding_window": True, "sliding_window": 8,
      "max_window_layers": 1}, default(10000.0))  # fmt: skip
spec("gemma2-scalar", "gemma2", {**GEMMA2, "num_hidden_layers": 2, "query_pre_attn_scalar": 24}, default(10000.0))
spec("qwen3_moe-mixed", "qwen3_moe",
     {**QWEN3_MOE, "num_hidden_layers": 2, "tie_word_embeddings": True, "norm_topk_prob": False, "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2,
      "mlp_only_layers": [1]}, default(10000.0))  # fmt: skip
spec("deepseek_v3-plain", "deepseek_v3",
     {**DEEPSEEK, "num_hidden_layers": 2, "q_lora_rank": None, "norm_topk_prob": False, "moe_intermediate_size": 32, "n_routed_experts": 4,
      "n_group": 1, "topk_group": 1, "n_shared_experts": 2, "rms_norm_eps": 1e-3},
     default(10000.0), v4={**V4_DS, "rope_scaling": None})  # fmt: skip
# as gpt_oss is published: experts in MXFP4, everything else in bfloat16
spec("gpt_oss-mxfp4", "gpt_oss", GPT_OSS, GPT_OSS_ROPE, dtype="bfloat16",
     quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": [
         "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]})  # fmt: skip
