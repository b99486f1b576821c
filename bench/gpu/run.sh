#!/usr/bin/env bash
# run.sh ASSAY FOLDER: prefill and decode of an 8B-shaped random model on a
# NVIDIA GPU, Assay and mlx-lm in turn (A B A B), in bfloat16, 8 and 4 bits,
# with prompts of 512 and 4096 tokens. ASSAY is built against the CUDA wheel of
# MLX (`./dev setup --cuda`); python3 has torch, mlx and mlx-lm. FOLDER takes
# 30 GB. A line of JSON each.
set -euo pipefail
assay=$1
folder=$2
here=$(cd "$(dirname "$0")" && pwd)
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
[ -d "$folder/bf16" ] || python3 "$here/make_model.py" "$folder/bf16"

ours() {
  "$assay" measure bench "$1" --prompt-length "$2" --decode 128 --runs 3 \
    --prefill-step-size 2048 --json --quiet | python3 -c '
import json, sys
report = json.load(sys.stdin)
figures = {m["what"].split()[0]: m["value"] for m in report["measurements"]
           if m["unit"] != "bytes"}
print(json.dumps({"program": "assay", "model": sys.argv[1],
                  "prompt": int(sys.argv[2]),
                  "prefill": round(figures["prefill"], 1),
                  "decode": round(figures["decode"], 1),
                  "load": round(figures["load"], 2)}))' "$1" "$2"
}
theirs() { python3 "$here/mlx_lm_bench.py" "$1" "$2" 128 3; }

for bits in 8 4; do
  [ -d "$folder/${bits}bit" ] || {
    mkdir "$folder/${bits}bit"
    python3 "$here/mlx_lm_bench.py" "$folder/bf16" 16 1 1 \
      save "$folder/${bits}bit" "$bits" >/dev/null
  }
done
for model in bf16 8bit 4bit; do
  for length in 512 4096; do
    for _ in 1 2; do
      ours "$folder/$model" "$length"
      theirs "$folder/$model" "$length"
    done
  done
done
