"""Every tiny model as `assay convert --to gguf` writes it, in llama.cpp (PyPI: xllamacpp, in a venv of its own).

    llamacpp-venv/bin/python check_exports.py ASSAY FOLDER [NAME...] [--types Q8_0,Q4_0...] [--keep]

Without types a model is exported as it is stored, and held to transformers' golden (Phi 3 without its window, to Assay). With types, what Assay computes from the
exported file is what llama.cpp is held to: both read the same blocks. The models get a tokenizer of the 256 bytes, whose way
into the GGUF is held along with the rest.
"""
import argparse
import json
import pathlib
import shutil
import struct
import subprocess

from check_with_llamacpp import ROOT, check, golden_of, tensors


# llama.cpp has switched Phi's sliding window off: held without it.
WINDOWLESS = ("phi3", "phi3-longrope-long", "phi3-longrope-short", "phi3-partial-rotary")


def byte_tokenizer():
    """The bytes as GPT-2 writes them: printable ones as they are, the others from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    texts = [chr(b) for b in plain]
    texts += [chr(0x100 + i) for i in range(256 - len(plain))]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": level, "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(texts)}, "merges": []},
    }  # fmt: skip


def write_safetensors(path, parts):
    header, data = {}, b""
    for name, (dtype, shape, raw) in parts.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def reference(assay, model, golden, to):
    """Assay's logits of the exported file after the golden's tokens, in the form of a golden."""
    g = tensors(golden)
    ids = [*g["input_ids"], *g["greedy"]]
    raw = to.with_suffix(".raw")
    subprocess.run([assay, "logits", model, "--tokens", ",".join(map(str, ids)), "-o", raw], check=True,
                   capture_output=True)  # fmt: skip
    logits = tensors(raw)["logits"]
    vocab, first = len(logits) // len(ids), len(g["input_ids"]) - 1
    rows = [logits[i * vocab : (i + 1) * vocab] for i in range(first, first + 16)]
    flat = [v for row in rows for v in row]
    write_safetensors(to, {
        "input_ids": ("I32", [first + 1], struct.pack(f"<{first + 1}i", *g["input_ids"])),
        "follow": ("I32", [16], struct.pack("<16i", *g["greedy"])),
        "greedy": ("I32", [16], struct.pack("<16i", *(row.index(max(row)) for row in rows))),
        "greedy_logits": ("F32", [16, vocab], struct.pack(f"<{16 * vocab}f", *flat)),
    })  # fmt: skip
    return to


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("assay")
    ap.add_argument("folder", type=pathlib.Path)
    ap.add_argument("names", nargs="*")
    ap.add_argument("--types", default="")
    args = ap.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(ROOT.iterdir()):
        name = source.name
        if args.names and name not in args.names:
            continue
        # Its folder names the model in the file, and llama.cpp looks for the tokens of Phi-3 by that name.
        model = args.folder / name / "tiny"
        shutil.rmtree(model, ignore_errors=True)
        model.mkdir(parents=True)
        for file in ("config.json", "generation_config.json", "model.safetensors"):
            shutil.copy(source / file, model)
        (model / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
        if name in WINDOWLESS:
            config = json.loads((model / "config.json").read_text())
            (model / "config.json").write_text(json.dumps(config | {"sliding_window": None}))
        for kind in args.types.split(","):
            out = args.folder / f"{name}{'.' if kind else ''}{kind}.gguf"
            command = [args.assay, "convert", model, out, "--to", "gguf", "--force", "--json"]
            done = subprocess.run([*command, *(["--type", kind] if kind else [])], capture_output=True, text=True)
            try:
                report = json.loads(done.stdout)
            except ValueError:
                report = {}
            found = ", ".join(f["id"] for f in report.get("findings", []))
            if not out.exists() or "tensors" not in report:
                print(f"{name} {kind}: not exported (exit {done.returncode}): {(done.stdout + done.stderr).strip()[-300:]}", flush=True)
                continue
            golden = golden_of(name)
            if kind or name in WINDOWLESS:
                golden = reference(args.assay, out, golden, args.folder / f"{name}.{kind}.golden")
            drift = report["drift"]["max_abs"] if report.get("drift") else None
            print(f"{name} {kind}: {check(out, golden)}{' (no window)' if name in WINDOWLESS else ''}; source and export {drift:.1e} apart"
                  f"{'; ' + found if found else ''}", flush=True)  # fmt: skip


main()
