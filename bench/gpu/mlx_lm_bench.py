"""mlx_lm_bench.py MODEL LENGTH TOKENS RUNS [save FOLDER BITS]

Prefill and decode of mlx-lm, timed as `assay measure bench` does: random ids,
greedy, one run before those that count, median. With `save` the model is
quantized first and written, so that both programs run the same weights.
"""

import json
import pathlib
import statistics
import sys
import time

import mlx.core as mx
from mlx_lm import utils
from mlx_lm.generate import generate_step

path, length, tokens, runs = sys.argv[1], *map(int, sys.argv[2:5])
model, config = utils.load_model(pathlib.Path(path))[:2]
if len(sys.argv) > 5:
    folder, bits = pathlib.Path(sys.argv[6]), int(sys.argv[7])
    model, config = utils.quantize_model(model, config, 64, bits)
    utils.save_model(folder, model)
    utils.save_config(config, folder / "config.json")
mx.eval(model.parameters())

prompt = mx.random.randint(0, config["vocab_size"], (length,), key=mx.random.key(7))
prefill, decode = [], []
for run in range(runs + 1):
    start = time.perf_counter()
    for count, _ in enumerate(generate_step(prompt, model,
                                            max_tokens=tokens + 1)):
        if count == 0:
            first = time.perf_counter()
    end = time.perf_counter()
    if run:
        prefill.append(length / (first - start))
        decode.append(tokens / (end - first))
print(json.dumps({"program": "mlx-lm", "model": path, "prompt": length,
                  "prefill": round(statistics.median(prefill), 1),
                  "decode": round(statistics.median(decode), 1),
                  "decode_all": [round(x, 1) for x in decode],
                  "peak_gb": round(mx.get_peak_memory() / 1e9, 2)}))
