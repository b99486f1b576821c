"""./dev lint: the rules that grep can hold, then clang-tidy over src/.

Usage: lint.py [--all] [FILE...]

Sources of one room are looked at together, since most of the time goes into
their headers. A source that passed is not looked at again until it, a header
of Assay that it includes, its command line, the checks or the pinned versions
change: what passed is kept by content in build/lint. --all forgets that. FILE
limits clang-tidy to these sources, each by itself.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

SOURCE = pathlib.Path("src")
CACHE = pathlib.Path("build/lint")
DATABASE = pathlib.Path("build/release/compile_commands.json")
CLANG_TIDY = "build/tools/bin/clang-tidy"
# A change in any of these may change every verdict.
GROUND = [".clang-tidy", "src/kernels/.clang-tidy",
          "tools/dev/requirements-tidy.txt",
          "tools/dev/requirements-mlx.txt", "tools/dev/lint.py"]

MANY_LINES = 600
BATCH = 24

# A tensor is named once, where its module is constructed: the parts that
# architectures share in src/nn, all else in src/arch.
NAMING_ROOMS = ("nn", "arch")
TENSOR_NAME = re.compile(
    r"self_attn|[qkvo]_proj|qkv_proj|gate_proj|up_proj|down_proj|"
    r"gate_up_proj|embed_tokens|input_layernorm|post_attention_layernorm|"
    r"lm_head|model\.layers|\bc_attn|\bc_fc|\bc_proj|\bblk\.|attn_[qkv]\b|"
    r"attn_norm|attn_output|ffn_(gate|up|down|norm)|token_embd|output_norm")
# Files that have no module tree are known by the names their own programs give:
# adapters, projectors, checkpoints of the original repositories.
NAMING_FILES = [SOURCE / name for name in (
    "check/adapter_base.cpp", "check/adapter_defaults.cpp", "check/adapter_layouts.cpp",
    "check/adapter_targets.cpp", "check/against.cpp", "check/checkpoint.cpp",
    "check/checkpoint_parts.cpp", "check/checkpoint_sizes.cpp", "check/component_tensors.cpp",
    "check/component_tensors_transformer.cpp",
    "check/gguf_kinds.cpp", "check/vision_declarations.cpp",
    "check/vision_shapes.cpp", "check/vision_tokens.cpp",
    "formats/checkpoint_layout.cpp", "inspect/vision_language.cpp")]
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
LINE_COMMENT = re.compile(r"(?<!:)//.*")


def sources():
    return sorted(path for path in SOURCE.rglob("*")
                  if path.suffix in (".cpp", ".h") and "rust" not in path.parts)


def tensor_names(path):
    """(line number, literal) of every tensor name in a string of `path`."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith(("#include", "*", "/*")):
            continue
        for literal in STRING.findall(LINE_COMMENT.sub("", line)):
            if TENSOR_NAME.search(literal):
                yield number, literal


def check_rules():
    errors = 0
    for path in sources():
        lines = path.read_text().count("\n")
        if lines > MANY_LINES:
            print(f"{path}: warning: {lines} lines, more than {MANY_LINES}")
        if path.parts[1] in NAMING_ROOMS or path in NAMING_FILES:
            continue
        for number, literal in tensor_names(path):
            print(f"{path}:{number}: error: the tensor name {literal} belongs"
                  " into src/nn and src/arch alone")
            errors += 1
    return errors


def for_clang(command):
    """The arguments of `command`, less what is for g++ alone."""
    arguments = []
    skip = False
    for argument in shlex.split(command):
        if skip or argument in ("-Winvalid-pch", "-Wno-subobject-linkage"):
            skip = False
        elif argument == "-include":
            skip = True
        else:
            arguments.append(argument)
    # clang warns of templates inside g++'s own library.
    return arguments + ["-Wno-deprecated-declarations"]


def members(path):
    """The sources behind one entry: its file, or what a unity file includes."""
    if path.suffix != ".cxx":
        return [path]
    return [pathlib.Path(name) for name in INCLUDE.findall(path.read_text())]


def commands():
    """{source: (folder, arguments)} of the sources in src/."""
    found = {}
    for entry in json.loads(DATABASE.read_text()):
        file = pathlib.Path(entry["file"])
        arguments = for_clang(entry["command"])
        for path in members(file):
            if path.is_relative_to(SOURCE.resolve()):
                found[path.relative_to(pathlib.Path.cwd())] = (
                    entry["directory"],
                    [str(path) if one == str(file) else one
                     for one in arguments])
    return found


INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def own_includes(path, seen):
    """`path` and all of Assay's own files that it includes, into `seen`."""
    if path in seen or not path.exists():
        return
    seen[path] = path.read_bytes()
    for name in INCLUDE.findall(seen[path].decode()):
        if name.startswith("assay/"):
            own_includes(SOURCE / name.removeprefix("assay/"), seen)
        else:
            own_includes(path.parent / name, seen)


def key_of(path, arguments, ground):
    digest = hashlib.sha256(ground)
    digest.update("\0".join(arguments).encode())
    seen = {}
    own_includes(path, seen)
    for name in sorted(seen):
        digest.update(str(name).encode() + b"\0" + seen[name])
    return digest.hexdigest()


def batches(todo, known):
    """Lists of sources of one folder with one command, at most BATCH each.
    What includes itself, once for each instruction set, stands alone."""
    groups = {}
    for path in sorted(todo):
        folder, arguments = known[path]
        options = tuple(one for one in arguments
                        if one != str(path.resolve()) and not one.endswith(".o"))
        alone = path if "foreach_target.h" in path.read_text() else None
        groups.setdefault((path.parent, folder, options, alone),
                          []).append(path)
    return [group[start:start + BATCH] for group in groups.values()
            for start in range(0, len(group), BATCH)]


def write_batch(number, batch, known):
    """The file that clang-tidy is given for `batch`, and its database entry."""
    folder, arguments = known[batch[0]]
    first = str(batch[0].resolve())
    if len(batch) == 1:
        return first, {"directory": folder, "arguments": arguments,
                       "file": first}
    name = str((CACHE / f"batch_{number}.cpp").resolve())
    pathlib.Path(name).write_text("".join(
        "// NOLINTNEXTLINE(bugprone-suspicious-include)\n"
        f'#include "{path.resolve()}"\n' for path in batch))
    return name, {"directory": folder, "file": name, "arguments": [
        name if one == first else one for one in arguments]}


def tidy(name):
    """(passed, output, seconds) of clang-tidy on one file."""
    start = time.monotonic()
    result = subprocess.run(
        [CLANG_TIDY, "-p", str(CACHE), "--quiet", name],
        capture_output=True, text=True)
    output = result.stdout
    if result.returncode != 0 and not output.strip():
        output = result.stderr
    return result.returncode == 0, output, time.monotonic() - start


def check_tidy(only):
    ground = b"\0".join(pathlib.Path(name).read_bytes() for name in GROUND)
    known = commands()
    passed_before = CACHE / "passed"
    passed_before.mkdir(exist_ok=True, parents=True)
    keys = {path: key_of(path, arguments, ground)
            for path, (_, arguments) in known.items()}
    todo = [path for path in keys
            if (not only or path in only)
            and not (passed_before / keys[path]).exists()]
    groups = [[path] for path in todo] if only else batches(todo, known)
    files, database = [], []
    for number, group in enumerate(groups):
        name, entry = write_batch(number, group, known)
        files.append(name)
        database.append(entry)
    (CACHE / "compile_commands.json").write_text(json.dumps(database))
    print(f"clang-tidy: {len(todo)} of {len(keys)} sources to look at,"
          f" in {len(groups)} runs", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for group, (passed, output, seconds) in zip(groups,
                                                    pool.map(tidy, files)):
            if passed:
                for path in group:
                    (passed_before / keys[path]).touch()
            else:
                failed += 1
                print(f"{' '.join(map(str, group))}: {seconds:.1f} s\n{output}",
                      flush=True)
    for stale in set(passed_before.iterdir()) - {passed_before / key
                                                 for key in keys.values()}:
        stale.unlink()
    return failed


def main():
    arguments = sys.argv[1:]
    if "--all" in arguments:
        arguments.remove("--all")
        for verdict in (CACHE / "passed").glob("*"):
            verdict.unlink()
    failed = check_rules()
    failed += check_tidy({pathlib.Path(name) for name in arguments})
    print(f"lint: {'ok' if failed == 0 else f'{failed} failed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
