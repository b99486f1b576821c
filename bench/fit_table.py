"""fit_table.py FIT_TOOL FOLDER [NAME...]: the estimate of `assay fit` beside what a run takes, for models of many shapes.

The models are the golden configs of test/golden/arch with other sizes and random weights, in bfloat16 (test/fit/fit_tool.cpp);
each run is a process of its own. Prints a Markdown table; FOLDER takes about 2 GB.
"""
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1] / "test/golden/arch"
SIZES = {
    "llama": dict(hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=16,
                  num_key_value_heads=4, head_dim=64, vocab_size=32000),
    "qwen3": dict(hidden_size=512, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=8,
                  num_key_value_heads=8, head_dim=128, vocab_size=151936),
    "qwen3_moe": dict(hidden_size=768, moe_intermediate_size=384, intermediate_size=1536, num_hidden_layers=8,
                      num_attention_heads=12, num_key_value_heads=2, head_dim=64, num_experts=16,
                      num_experts_per_tok=4, vocab_size=50000),
    "mixtral": dict(hidden_size=512, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=8,
                    num_key_value_heads=4, num_local_experts=8, num_experts_per_tok=2, vocab_size=32000),
    "gemma3_text": dict(hidden_size=640, intermediate_size=2048, num_hidden_layers=6, num_attention_heads=4,
                        num_key_value_heads=1, head_dim=256, sliding_window=512, vocab_size=100000),
    "gpt2": dict(n_embd=768, n_layer=6, n_head=12, n_positions=4096, n_ctx=4096, vocab_size=50257),
    "deepseek_v3": dict(hidden_size=512, intermediate_size=1024, moe_intermediate_size=256, num_hidden_layers=6,
                        num_attention_heads=8, num_key_value_heads=8, q_lora_rank=256, kv_lora_rank=128,
                        qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64, n_routed_experts=12, n_group=3,
                        vocab_size=32000),
    "phi3": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=8, num_attention_heads=12,
                 num_key_value_heads=12, sliding_window=1024, vocab_size=32064),
}  # fmt: skip


def config_of(name):
    config = json.loads((ROOT / name / "config.json").read_text()) | SIZES[name]
    if "max_position_embeddings" in config:
        config["max_position_embeddings"] = 8192
    if "layer_types" in config:  # as many as there are layers, in the same turns
        types = config["layer_types"]
        config["layer_types"] = [types[i % len(types)] for i in range(config["num_hidden_layers"])]
    return config


def main():
    tool, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    print("| model | context | estimated, MB | measured, MB | off | |\n| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[3:] or SIZES:
        (folder / f"{name}.json").write_text(json.dumps(config_of(name)))
        if not (folder / name / "config.json").exists():
            subprocess.run([tool, "make", folder / f"{name}.json", folder / name], check=True)
        for context in (512, 2048, 4096):
            done = subprocess.run([tool, "measure", folder / name, str(context)], capture_output=True, text=True)
            words = done.stdout.split()
            if done.returncode or done.stderr:
                print(f"{name} {context}: {done.stderr.strip()}", flush=True)
            if words:
                print(f"| {name} | {context} | {words[0]} | {words[1]} | {words[2]}% | {' '.join(words[3:])} |", flush=True)


main()
