"""make_model.py FOLDER: a llama of 8B's shape with random bfloat16 weights.

Speed does not depend on what the weights say. Written by torch, sharded as on
a hub; 16 GB.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, ROWS = 32, 4096, 14336, 32, 8, 128256

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "config.json").write_text(json.dumps({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": HIDDEN, "intermediate_size": INNER,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "vocab_size": ROWS,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0, "hidden_act": "silu", "attention_bias": False,
    "mlp_bias": False, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 1}))

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)


def weight(*shape):
    data = torch.randn(shape, device=device, dtype=torch.bfloat16) * 0.02
    return data.cpu()


def ones():
    return torch.ones(HIDDEN, dtype=torch.bfloat16)


shards = [{"model.embed_tokens.weight": weight(ROWS, HIDDEN)},
          {"lm_head.weight": weight(ROWS, HIDDEN),
           "model.norm.weight": ones()}]
for start in range(0, LAYERS, 8):
    shard = {}
    for layer in range(start, start + 8):
        name = f"model.layers.{layer}."
        keys = KV_HEADS * HIDDEN // HEADS
        shard |= {
            name + "self_attn.q_proj.weight": weight(HIDDEN, HIDDEN),
            name + "self_attn.k_proj.weight": weight(keys, HIDDEN),
            name + "self_attn.v_proj.weight": weight(keys, HIDDEN),
            name + "self_attn.o_proj.weight": weight(HIDDEN, HIDDEN),
            name + "mlp.gate_proj.weight": weight(INNER, HIDDEN),
            name + "mlp.up_proj.weight": weight(INNER, HIDDEN),
            name + "mlp.down_proj.weight": weight(HIDDEN, INNER),
            name + "input_layernorm.weight": ones(),
            name + "post_attention_layernorm.weight": ones()}
    shards.append(shard)

index = {}
for number, shard in enumerate(shards, 1):
    file = f"model-{number:05}-of-{len(shards):05}.safetensors"
    save_file(shard, folder / file, {"format": "pt"})
    index |= dict.fromkeys(shard, file)
total = sum(t.numel() * 2 for shard in shards for t in shard.values())
(folder / "model.safetensors.index.json").write_text(json.dumps(
    {"metadata": {"total_size": total}, "weight_map": index}))
