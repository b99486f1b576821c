# shellcheck shell=bash
# What `./dev bench-peers` measures Assay against, below build/peers: an
# environment of Python's for mlx-lm and transformers, and llama.cpp built from
# source with the instructions of this processor. Read by ./dev.

need_llama_cpp() {
  local folder=build/peers/llama.cpp list=tools/dev/requirements-llama-cpp.txt
  local here=bench/peers archive
  [ -x "$folder/llama_peer" ] && stamped llama-cpp "$list" \
    "$here/llama_peer.cpp" "$here/CMakeLists.txt" && return
  if [ ! -f "$folder/source/vendor/llama.cpp/include/llama.h" ]; then
    say "fetching llama.cpp's sources"
    mkdir -p "$folder/download"
    build/peers/python/bin/python -m pip download -q \
      --disable-pip-version-check --no-deps --no-binary llama-cpp-python \
      --require-hashes -d "$folder/download" -r "$list"
    archive=$(echo "$folder"/download/llama_cpp_python-*.tar.gz)
    rm -rf "$folder/source"
    mkdir -p "$folder/source"
    tar -xzf "$archive" -C "$folder/source" --strip-components=1
    rm -r "$folder/download"
  fi
  say "building llama.cpp (some minutes, once)"
  cmake -S "$here" -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DLLAMA_SOURCE="$ROOT/$folder/source/vendor/llama.cpp" \
    >"$folder/configure.log" 2>&1 || {
    cat "$folder/configure.log" >&2
    die "the configuration of llama.cpp failed"
  }
  cmake --build "$folder/build" --target llama_peer --parallel "$(cores)" \
    >"$folder/build.log" 2>&1 || {
    tail -n 40 "$folder/build.log" >&2
    die "llama.cpp does not build, see $folder/build.log"
  }
  cp "$folder/build/llama_peer" "$folder/llama_peer"
  sed -n 's/^-- llama.cpp version: //p; s/^-- ggml version: *\(.*\)/ggml \1/p' \
    "$folder/configure.log" | tr '\n' ' ' >"$folder/version.txt"
  sed -n 's/^\(llama-cpp-python==[^ ]*\).*/(\1)/p' "$list" \
    >>"$folder/version.txt"
  stamp llama-cpp "$list" "$here/llama_peer.cpp" "$here/CMakeLists.txt"
}

need_peers() {
  need_python_packages build/peers/python peers
  need_llama_cpp
}
