"""Reads sizes and values of published language models out of two public repositories, as rows of src/check/published_models.cpp.

    read_published.py LITGPT MLC_LLM

LITGPT is litgpt/config.py of Lightning-AI/litgpt (read at 26857050fe3f), MLC_LLM is python/mlc_llm/model/model_preset.py of
mlc-ai/mlc-llm (read at 79d603f085f5). Nothing of them is run: the literals are read out of their syntax trees. Of litgpt,
norm_eps counts where it is stated; what it leaves out otherwise is its Config's own default.
"""
import ast
import collections
import json
import sys

TYPES = [("Llama-2-7b-chat-hf-function", None), ("Llama-", "llama"), ("open_llama", "llama"), ("CodeLlama", "llama"),
         ("tiny-llama", "llama"), ("SmolLM2", "llama"), ("Falcon3", "llama"), ("R1-Distill-Llama", "llama"),
         ("Mathstral", "mistral"), ("Mistral-", "mistral"), ("Mixtral", "mixtral"), ("Qwen2.5", "qwen2"), ("QwQ", "qwen2"),
         ("Qwen3-30B-A3B", "qwen3_moe"), ("Qwen3-235B", "qwen3_moe"), ("Qwen3", "qwen3"), ("Gemma-2-", "gemma2"),
         ("Gemma-3-", "gemma3_text"), ("Gemma-", "gemma"), ("CodeGemma", "gemma"), ("Phi-3", "phi3"), ("Phi-4", "phi3"),
         ("phi-4", "phi3"), ("OLMo-2", "olmo2")]  # fmt: skip
DEFAULTS = {"n_embd": 4096, "n_head": 32, "rope_base": 10000}
KEEP = ("num_attention_heads", "num_key_value_heads", "head_dim", "rope_theta", "rms_norm_eps")
rows = collections.OrderedDict()


def literal(node):
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def add(kind, name, source, width, layers, inner, values):
    heads = tuple(values.get(f) for f in KEEP[:2])
    row = rows.setdefault((kind, width, layers, inner, heads), {"names": [], "sources": [], "values": {}})
    name = name.replace("{}", "").replace("--", "-").strip("-")
    if name not in row["names"]:
        row["names"].append(name)
    if source not in row["sources"]:
        row["sources"].append(source)
    for field, value in values.items():
        if value is not None:
            seen = row["values"].setdefault(field, [])
            if float(value) not in seen:
                seen.append(float(value))


def litgpt(path):
    for node in ast.walk(ast.parse(open(path).read())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict"):
            continue
        got = {k.arg: literal(k.value) for k in node.keywords if k.arg}
        name = got.get("name") or ""
        kind = next((t for head, t in TYPES if name.startswith(head)), None)
        if kind is None or not got.get("n_layer") or not got.get("intermediate_size"):
            continue
        get = lambda f: got.get(f) or DEFAULTS.get(f)  # noqa: E731
        heads = get("n_head")
        add(kind, name, "litgpt", get("n_embd"), got["n_layer"], got["intermediate_size"], {
            "num_attention_heads": heads, "num_key_value_heads": got.get("n_query_groups") or heads,
            "head_dim": got.get("head_size") or get("n_embd") // heads, "rope_theta": get("rope_base"),
            "rms_norm_eps": got.get("norm_eps")})  # fmt: skip


def mlc(path):
    kinds = {t for _, t in TYPES if t}
    for node in ast.walk(ast.parse(open(path).read())):
        if isinstance(node, ast.Dict) and len(node.keys) > 40:
            for key, value in zip(node.keys, node.values):
                config = ast.literal_eval(value)
                if config.get("model_type") in kinds and config.get("num_hidden_layers"):
                    add(config["model_type"], key.value, "mlc", config["hidden_size"], config["num_hidden_layers"],
                        config["intermediate_size"], {f: config.get(f) for f in KEEP})  # fmt: skip
            return


litgpt(sys.argv[1])
mlc(sys.argv[2])
for (kind, width, layers, inner, _), row in rows.items():
    values = {f: sorted(row["values"].get(f, [])) for f in KEEP}
    heads = [values[f] for f in KEEP[:3]]
    assert all(len(v) <= 1 for v in heads), (kind, row)
    heads = ", ".join(str(int(v[0])) if v else "0" for v in heads)
    lists = ", ".join('"' + ",".join(f"{v:g}" if v < 1 else str(int(v)) for v in values[f]) + '"' for f in KEEP[3:])
    names = ", ".join(row["names"][:3]) + ("..." if len(row["names"]) > 3 else "")
    source = {"litgpt": "kLitgpt", "mlc": "kMlc", "litgptmlc": "kBoth"}["".join(row["sources"])]
    print(f'    {{"{kind}", {width}, {layers}, {inner}, {heads}, {lists}, {source},\n     "{names}"}},')
