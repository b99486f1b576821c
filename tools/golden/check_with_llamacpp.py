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


def one(path, name):
    import xllamacpp as x

    golden = ROOT / name / "golden.gguf.safetensors"
    g = tensors(golden if golden.exists() else ROOT / name / "golden.safetensors")
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
        prompt.append(g["greedy"][i])
    print(f"RESULT {name}: {same} of 16 greedy tokens, log-probabilities within {worst:.1e}", flush=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    if sys.argv[2:3] == ["--one"]:
        return one(folder / f"{sys.argv[3]}.gguf", sys.argv[3])
    for path in sorted(folder.glob("*.gguf")):
        if sys.argv[2:] and path.stem not in sys.argv[2:]:
            continue
        r = subprocess.run([sys.executable, __file__, str(folder), "--one", path.stem], capture_output=True, text=True)
        lines = [line for line in r.stdout.splitlines() if "RESULT" in line]
        print("\n".join(lines) if lines else f"{path.stem}: failed\n{(r.stdout + r.stderr)[-400:]}", flush=True)


main()
