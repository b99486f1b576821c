# shellcheck shell=bash
# ./dev cross-mac: compiles and links every target for arm64 macOS, on Linux.
# A gate, nothing that is shipped: it proves that the sources compile with
# clang and libc++ against the headers of macOS and of the Metal build of MLX,
# and that no symbol is missing. tools/mac/stubs.py says what stands in for
# libraries that exist here as Linux binaries only.
set -euo pipefail
. tools/dev/setup.sh
mac=$PWD/build/mac
root=$mac/root
build=$mac/build
python=$PWD/build/tools/bin/python

prepare_compiler() {
  local zig tool
  zig=$("$python" -c \
    'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig
  mkdir -p "$mac/bin"
  for tool in cc c++; do
    printf '#!/bin/sh\nexec "%s" %s -target aarch64-macos.14.0 "$@"\n' \
      "$zig" "$tool" >"$mac/bin/z$tool"
  done
  for tool in ar ranlib; do
    printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" "$tool" >"$mac/bin/z$tool"
  done
  chmod +x "$mac/bin/"*
}

# MLX's wheels for macOS, side by side as on a Mac.
prepare_mlx() {
  say "fetching the macOS wheels of MLX (45 MB)"
  rm -rf "$root/mlx" "$mac/wheels"
  "$python" -m pip download -q --disable-pip-version-check --no-deps \
    --require-hashes --only-binary=:all: --platform macosx_14_0_arm64 \
    --python-version 3.11 -d "$mac/wheels" -r tools/dev/requirements-mac.txt
  "$python" - "$mac/wheels" "$root" <<'PY'
import pathlib, sys, zipfile

for wheel in sorted(pathlib.Path(sys.argv[1]).glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        wanted = ("mlx/include/", "mlx/lib/", "mlx/share/")
        archive.extractall(sys.argv[2], [
            name for name in archive.namelist() if name.startswith(wanted)])
PY
  rm -r "$mac/wheels"
}

# Only the headers that Assay uses: the folder of all headers of the system
# would bring those of the Linux C library along.
prepare_headers() {
  local name package
  mkdir -p "$root/include"
  for name in fmt nlohmann simdjson.h CLI hwy httplib.h utf8proc.h toml++ doctest benchmark \
    zlib.h zconf.h sqlite3.h; do
    [ -e "/usr/include/$name" ] || die "/usr/include/$name is missing"
    ln -sfn "/usr/include/$name" "$root/include/$name"
  done
  for package in tools/mac/packages/*Config.cmake; do
    name=$(basename "$package" Config.cmake)
    mkdir -p "$root/lib/cmake/$name"
    cp "$package" "$root/lib/cmake/$name/"
  done
}

is_mac && die "on a Mac, ./dev test says more than this"
inputs="tools/dev/requirements-mac.txt tools/dev/requirements-zig.txt"
# shellcheck disable=SC2086
if [ ! -d "$root/mlx" ] || ! stamped mac $inputs; then
  prepare_mlx
  stamp mac $inputs
fi
prepare_compiler
prepare_headers
"$python" tools/mac/stubs.py empty "$root"

export ZIG_GLOBAL_CACHE_DIR=$mac/zig-cache ZIG_LOCAL_CACHE_DIR=$mac/zig-cache
say "configuring build/mac"
cmake -S . -B "$build" -G Ninja \
  -DCMAKE_TOOLCHAIN_FILE="$PWD/tools/mac/toolchain.cmake" \
  -DCMAKE_PROJECT_INCLUDE="$PWD/tools/mac/after_project.cmake" \
  -DASSAY_MLX_ROOT="$root/mlx" -DASSAY_CCACHE=OFF -DASSAY_UNITY=ON \
  -DASSAY_UNITY_BATCH=24 \
  -DASSAY_TEXT_STUB="$root/lib/libassay_text.tbd" \
  >"$mac/configure.log" 2>&1 || {
  cat "$mac/configure.log" >&2
  die "the configuration for macOS failed"
}

# First every object, since the stubs are written from what they ask for.
say "compiling for arm64 macOS"
objects=$(ninja -C "$build" -t targets all |
  sed -n -e 's/^\(.*\.c[px][px]\.o\): .*/\1/p')
[ -n "$objects" ] || die "no sources found"
# shellcheck disable=SC2086
ninja -C "$build" -j "$(cores)" $objects
say "writing the stubs"
"$python" tools/mac/stubs.py fill "$root" "$build"

say "linking for arm64 macOS"
ninja -C "$build" -j "$(cores)"
benchmarks=""
ninja -C "$build" -t targets all | grep -q '^benchmarks: ' &&
  benchmarks=benchmarks
[ -z "$benchmarks" ] || ninja -C "$build" -j "$(cores)" $benchmarks
"$python" tools/mac/stubs.py verify "$build"

cat <<'TEXT'
Not compiled by this gate: the Rust library of tokenizers and templates (a stub
made from its C header), and the libraries fmt, simdjson, Highway, utf8proc,
zlib, SQLite and Google Benchmark (their headers are; stubs stand for the rest).
Nothing was run. ./dev test on a Mac covers all of it.
TEXT
