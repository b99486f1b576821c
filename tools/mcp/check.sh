#!/usr/bin/env bash
# What the protocol's own programs say of `assay mcp`: check.sh PROGRAM TOOLS
# MODEL. TOOLS is the folder of `npm ci` (./dev sets it up): the conformance
# suite in three revisions over HTTP, the inspector over stdio, and a session
# with the official client of each era. Prints a line each; fails at the first
# that fails.
set -euo pipefail
program=$1
tools=$2
model=$3
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ -x "$tools/node_modules/node/bin/node" ] || {
  echo "$tools: not set up; ./dev test does it" >&2
  exit 1
}
export PATH=$tools/node_modules/node/bin:$tools/node_modules/.bin:$PATH
work=$(mktemp -d)
server=""
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

"$program" mcp --http --conformance-fixture --project "$root" \
  2>"$work/address" &
server=$!
for _ in $(seq 100); do
  grep -q http "$work/address" && break
  sleep 0.1
done
url=$(cat "$work/address")

cd "$work"
for version in 2025-06-18 2025-11-25 2026-07-28; do
  conformance server --url "$url" --suite all --spec-version "$version" \
    >"$version.txt" 2>&1 || {
    cat "$version.txt"
    exit 1
  }
  printf 'conformance %s: %s\n' "$version" "$(grep '^Total' "$version.txt")"
done

mcp-inspector --cli "$program" mcp --project "$root" --method tools/call \
  --tool-name inspect --tool-arg "model=$model" >inspector.txt
grep -q '"architecture": "llama"' inspector.txt
echo "inspector: tools/call over stdio"

cd "$tools"
for era in legacy modern; do
  node "$here/session.mjs" "$program" "$root" "$model" "$era"
done
