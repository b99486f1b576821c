"""check_export.py A.gguf B.gguf: both in llama.cpp (PyPI: xllamacpp), greedy.

Where B was exported by Assay from a conversion of A, llama.cpp must see the
same model: the same 64 tokens for each prompt, and the same log-probabilities.
"""
import json
import sys
import urllib.request

import xllamacpp as x

PROMPTS = ["The capital of France is", "Write a haiku about the sea.",
           "def fibonacci(n):", "The three primary colours are"]


def run(path):
    p = x.CommonParams()
    p.model.path = path
    p.n_ctx = 256
    p.n_parallel = 1
    p.warmup = False
    p.fit_params = False
    p.port = 0
    server = x.Server(p)
    answers = []
    for prompt in PROMPTS:
        body = {"prompt": prompt, "n_predict": 64, "n_probs": 5,
                "return_tokens": True, "temperature": 0, "samplers": ["temperature"]}
        request = urllib.request.Request(
            server.listening_address + "/completion",
            json.dumps(body).encode(), {"Content-Type": "application/json"})
        got = json.loads(urllib.request.urlopen(request).read())
        answers.append((got["content"], got["tokens"],
                        [t["logprob"] for c in got.get("completion_probabilities", [])
                         for t in c["top_logprobs"]]))
    return answers


a, b = run(sys.argv[1]), run(sys.argv[2])
for prompt, one, other in zip(PROMPTS, a, b):
    apart = max((abs(p - q) for p, q in zip(one[2], other[2])), default=0.0)
    same = sum(p == q for p, q in zip(one[1], other[1]))
    print(f"RESULT {prompt!r}: {same} of {len(one[1])} tokens, log-probabilities "
          f"within {apart:.1e} ({len(one[2])} of them)")
print("RESULT answer:", b[0][0].strip()[:80])
