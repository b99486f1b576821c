# shellcheck shell=bash
# ./dev demo: the main job on a real model, SmolLM2-135M-Instruct. What is it,
# is it sound, does it fit; to MLX format exactly; smaller within 1% of
# perplexity; does it answer; how fast. Figures go to build/demo/RESULTS.md.
set -euo pipefail
. tools/dev/setup.sh
assay=build/release/assay
model=build/models/$MODEL_FILE
demo=build/demo
results=$demo/RESULTS.md
[ -x "$assay" ] || die "$assay is not built"

rm -rf "$demo"
mkdir -p "$demo"
cat >"$results" <<TEXT
# Results of ./dev demo

$(date -u '+%Y-%m-%d %H:%M UTC'), $(uname -sm), $(cores) cores, $("$assay" --version)

TEXT

# step TITLE VERB ARGS...: runs the program, shows what it prints, and adds
# that and the seconds to the results. The last output stays in $demo/last.
step() {
  local title=$1 start=$SECONDS status=0
  shift
  printf '\n==> %s\n$ assay %s\n' "$title" "$*"
  "$assay" "$@" 2>"$demo/errors" | tee "$demo/last" || status=$?
  if [ "$status" != 0 ]; then
    cat "$demo/errors" >&2
    die "assay $1 ended with status $status"
  fi
  {
    printf '## %s\n\n`assay %s` (%s s)\n\n```text\n' "$title" "$*" \
      "$((SECONDS - start))"
    cat "$demo/last"
    printf '```\n\n'
  } >>"$results"
}

# number FILE KEY: the value of the measurement KEY in a --json document.
number() {
  build/venv/bin/python - "$1" "$2" <<'PY'
import json, sys


def walk(node, key):
    if isinstance(node, dict):
        if node.get("what") == key and "value" in node:
            yield node["value"]
        if isinstance(node.get(key), (int, float)):
            yield node[key]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from walk(child, key)


print(next(walk(json.load(open(sys.argv[1])), sys.argv[2])))
PY
}

step "What it is" inspect "$model"
step "Whether it is sound" check "$model"
step "Whether it fits" fit "$model" --context 2048
step "To MLX format, exactly" convert "$model" "$demo/exact"
step "Smaller, within 1% of perplexity" \
  quantize "$model" "$demo/small" --max-loss 1%

for name in exact small; do
  step "Its answer ($name)" generate "$demo/$name" \
    --prompt "What is the capital of France?" --max-tokens 32 --temp 0
  grep -q Paris "$demo/last" || die "the answer of $name is not Paris"
done

step "Its speed" measure bench "$demo/exact"

"$assay" measure perplexity "$model" --json >"$demo/gguf.json"
"$assay" measure perplexity "$demo/exact" --json >"$demo/exact.json"
gguf=$(number "$demo/gguf.json" perplexity)
exact=$(number "$demo/exact.json" perplexity)
printf '\n==> Perplexity: %s of the GGUF, %s of the exact conversion\n' \
  "$gguf" "$exact"
printf '## Perplexity\n\n%s of the GGUF, %s of the exact conversion\n' \
  "$gguf" "$exact" >>"$results"
awk -v a="$gguf" -v b="$exact" \
  'BEGIN { d = a > b ? a - b : b - a; exit !(d <= a * 0.001) }' ||
  die "the exact conversion differs by more than 0.1%"

rm -f "$demo/last" "$demo/errors" "$demo"/*.json
say "done in $SECONDS s; the figures are in $results"
