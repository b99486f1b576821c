# shellcheck shell=bash
# ./dev format: rewrites all C++ in the project's format; with --check it only
# says which files differ.
set -euo pipefail
mode=-i
if [ "${1:-}" = --check ]; then
  mode="--dry-run -Werror"
elif [ $# -gt 0 ]; then
  echo "dev: format knows --check only" >&2
  exit 2
fi
folders=""
for folder in src test bench fuzz; do
  [ ! -d "$folder" ] || folders="$folders $folder"
done
# shellcheck disable=SC2086
find $folders -type f \( -name '*.cpp' -o -name '*.h' \) -not -path '*/target/*' \
  -print0 | xargs -0 -n 16 -P 2 build/tools/bin/clang-format $mode
echo "format: ok"
