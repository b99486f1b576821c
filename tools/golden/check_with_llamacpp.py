"""Runs the tiny GGUF models with llama.cpp itself (PyPI: xllamacpp, in a venv of its own) and compares with the goldens.

    golden-venv/bin/python make_gguf_models.py --with-vocabulary FOLDER
    llamacpp-venv/bin/python check_with_llamacpp.py FOLDER [NAME...]

Each model runs in its own process, since llama.cpp aborts on what it does not like.
"""
import json
import math
import pathlib
import struct
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/arch"


def tensors(path):
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for k, v in json.loads(raw[8 : 8 + n]).items():
        if k != "__metadata__":
            a, b = (8 + n + o for o in v["data_offsets"])
            out[k] = struct.unpack(f"<{(b - a) // 4}{'f' if v['dtype'] == 'F32' else 'i'}", raw[a:b])
    return out


def golden_of(name):
    """What a GGUF of the model is held to: where it cannot say all of the config, it has a golden of its own."""
    own = ROOT / name / "golden.gguf.safetensors"
    return own if own.exists() else ROOT / name / "golden.safetensors"


def one(path, golden):
    """16 tokens after the golden's, each by its top 20 log-probabilities."""
    import xllamacpp as x

    g = tensors(golden)
    p = x.CommonParams()
    p.model.path = str(path)
    p.n_ctx = 128
    p.n_parallel = 1
    p.warmup = False
    p.fit_params = False
    p.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    p.cache_type_k = p.cache_type_v = x.ggml_type.GGML_TYPE_F32
    p.port = 0
    server = x.Server(p)
    vocab = len(g["greedy_logits"]) // 16
    worst, same, prompt = 0.0, 0, list(g["input_ids"])
    for i in range(16):  # one token a request, after the golden text: an early stop or a difference does not hide the rest
        body = {"prompt": prompt, "n_predict": 1, "n_probs": 20, "return_tokens": True, "cache_prompt": True,
                "samplers": ["temperature"], "temperature": 0}  # fmt: skip
        r = urllib.request.Request(server.listening_address + "/completion", json.dumps(body).encode(),
                                   {"Content-Type": "application/json"})  # fmt: skip
        got = json.loads(urllib.request.urlopen(r).read())
        row = g["greedy_logits"][i * vocab : (i + 1) * vocab]
        top = max(row)
        lse = top + math.log(sum(math.exp(v - top) for v in row))
        probs = got.get("completion_probabilities")
        for t in probs[0]["top_logprobs"] if probs else []:
            worst = max(worst, abs(t["logprob"] - (row[t["id"]] - lse)))
        same += got["tokens"] == [g["greedy"][i]]
        prompt.append(g.get("follow", g["greedy"])[i])
    print(f"RESULT {same} of 16 greedy tokens, log-probabilities within {worst:.1e}", flush=True)


def check(path, golden):
    """The same in a process of its own, as a line of text."""
    r = subprocess.run([sys.executable, __file__, "--one", str(path), str(golden)], capture_output=True, text=True)
    lines = [line.split("RESULT ")[1] for line in r.stdout.splitlines() if "RESULT " in line]
    return lines[0] if lines else f"failed\n{(r.stdout + r.stderr)[-400:]}"


def main():
    if sys.argv[1] == "--one":
        return one(*map(pathlib.Path, sys.argv[2:]))
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.gguf")):
        if not sys.argv[2:] or path.stem in sys.argv[2:]:
            print(f"{path.stem}: {check(path, golden_of(path.stem))}", flush=True)


if __name__ == "__main__":
    main()
