"""Assay beside its peers, in pairs (A B A B ...), one table.

./dev bench-peers [--pairs N] [--only NAME,...] [--threads N] [--json FILE]

Every run is a process of its own on the same pinned processors. Where a program
times itself (bench, perplexity) a first round inside it does not count; where
the whole process is the work (inspect, convert, first token), the first pair
does not. Printed are medians, half the distance between the quartiles, the
ratio of the medians (above 1: Assay is faster), and the largest resident set
of any run. --list names the rows.
"""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import pydoc_data.topics
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
ASSAY = BUILD / "release" / "assay"
PEERS = BUILD / "peers"
LLAMA = PEERS / "llama.cpp" / "llama_peer"
PYTHON = PEERS / "python" / "bin" / "python"
SOURCE = BUILD / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
WORK = PEERS / "work"
PROMPT = "The capital of France is"


class Failed(Exception):
    pass


def run(command, quick_start=False):
    """Standard output, seconds, and the peak resident set in bytes. A process
    begins as a copy of this one, which takes 4 ms. With `quick_start` it does
    not; the resident set is then that of this one at least."""
    copy = None if quick_start else (lambda: None)
    start = time.perf_counter()
    with subprocess.Popen([str(part) for part in command], preexec_fn=copy,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        # Output is small and comes at the end; what is left in the pipes when
        # the child is gone can still be read.
        out = child.stdout.read()
        errors = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if child.returncode != 0:
        text = errors.decode(errors="replace")[-800:]
        raise Failed(f"{' '.join(map(str, command))}: exit code "
                     f"{child.returncode}\n{text}")
    unit = 1 if sys.platform == "darwin" else 1024
    return out.decode(), seconds, usage.ru_maxrss * unit


class Row:
    """One line of the table: how to run either side, and what to read from it.
    `measure` gives (figures, peak), higher being better."""

    def __init__(self, name, unit, ours, theirs, peer, goal, discard=0):
        self.name, self.unit, self.peer, self.goal = name, unit, peer, goal
        self.sides = (ours, theirs)
        self.discard = discard

    def measure(self, pairs):
        figures, peaks = ([], []), [0, 0]
        for pair in range(pairs + self.discard):
            for side, program in enumerate(self.sides):
                values, peak = program()
                if pair >= self.discard:
                    figures[side].extend(values)
                    peaks[side] = max(peaks[side], peak)
        return figures, peaks


def quartiles(values):
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2


class Bench:
    def __init__(self, arguments):
        self.threads = arguments.threads
        self.tokens = arguments.perplexity_tokens
        self.processors = None
        if hasattr(os, "sched_getaffinity"):
            own = sorted(os.sched_getaffinity(0))
            self.processors = set(own[: self.threads])
            os.sched_setaffinity(0, self.processors)
        WORK.mkdir(parents=True, exist_ok=True)

    def run(self, *command):
        return run(command)

    # ---------------------------------------------------------------- models

    def made(self, name, make):
        """WORK/name, made once and put in place when it is whole."""
        path = WORK / name
        if not path.exists():
            print(f"making {path.relative_to(ROOT)}", file=sys.stderr)
            part = WORK / ("part-" + name)
            remove(part)
            make(part)
            part.rename(path)
        return path

    def hf(self, kind="f16"):
        dtype = {"f16": "float16", "bf16": "bfloat16", "f32": "float32"}[kind]
        return self.made(f"hf-{kind}", lambda to: self.run(
            ASSAY, "convert", SOURCE, to, "--to", "hf", "--dtype", dtype,
            "--no-verify", "-q"))

    def gguf(self, kind):
        if kind == "q4_1":
            return SOURCE
        if kind == "f16":
            return self.made("model.f16.gguf", lambda to: self.run(
                ASSAY, "convert", self.hf(), to, "--to", "gguf",
                "--no-verify", "-q"))
        return self.made(f"model.{kind}.gguf", lambda to: self.run(
            LLAMA, "quantize", self.gguf("f16"), to, kind))

    def text(self):
        """English prose that every Python brings along."""
        topics = pydoc_data.topics.topics
        path = WORK / "text.txt"
        path.write_text("\n".join(topics[key] for key in sorted(topics)))
        return path

    # ------------------------------------------------------------------ rows

    def assay_bench(self, model, prompt, decode, what, kv_bits=0):
        def once():
            out, _, peak = self.run(
                ASSAY, "measure", "bench", model, "--prompt-length", prompt,
                "--decode", decode, "--runs", 3, "--prefill-step-size", 2048,
                *(("--kv-bits", kv_bits) if kv_bits else ()),
                "--threads", self.threads, "--json", "-q")
            for measured in json.loads(out)["measurements"]:
                if measured["what"].startswith(what):
                    return [measured["value"]], peak
            raise Failed(f"no figure for {what}")
        return once

    def llama_bench(self, model, prompt, decode, what):
        def once():
            out, _, peak = self.run(LLAMA, "bench", model, self.threads,
                                    prompt, decode, 3)
            return [statistics.median(json.loads(out)[what])], peak
        return once

    def whole(self, command, result=None, before=None):
        """The process itself is what is timed; figures are runs a second."""
        def once():
            if result:
                remove(result)
            if before:
                before()
            _, seconds, peak = self.run(*command)
            return [1 / seconds], peak
        return once

    def run_rows(self, kind, peers):
        """Decode and prefill of one kind of weights against llama.cpp's."""
        ours = self.gguf(kind)
        for peer in peers:
            theirs = self.gguf(peer)
            label = f"llama.cpp {peer.upper()}"
            # llama.cpp's cache is float16; Assay's is too where that counts.
            for name, prompt, decode, what, kv_bits in (
                    ("decode", 16, 128, "decode", 0),
                    ("prefill 512", 512, 1, "prefill", 0),
                    ("decode at 4k", 4096, 48, "decode", 16)):
                yield Row(f"{name}, {kind.upper()} by {peer.upper()}",
                          "tokens/s",
                          self.assay_bench(ours, prompt, decode, what,
                                           kv_bits),
                          self.llama_bench(theirs, prompt, decode, what),
                          label, ">= 1.0x")

    def perplexity(self):
        text = self.text()

        def ours():
            out, _, peak = self.run(
                ASSAY, "measure", "perplexity", SOURCE, "--file", text,
                "--max-tokens", self.tokens, "--window", 512, "--stride", 512,
                "--threads", self.threads, "--json", "-q")
            answer = json.loads(out)
            print(f"  Assay: perplexity {answer['perplexity']:.4f}, "
                  f"{answer['predicted']} scored", file=sys.stderr)
            return [answer["tokens"] / answer["seconds"]], peak

        def theirs():
            out, _, peak = self.run(LLAMA, "perplexity", SOURCE, self.threads,
                                    512, self.tokens, text)
            answer = json.loads(out)
            print(f"  llama.cpp: perplexity {answer['perplexity']:.4f}, "
                  f"{answer['scored']} scored", file=sys.stderr)
            return answer["rate"], peak
        return Row(f"perplexity over {self.tokens} tokens", "tokens/s",
                   ours, theirs, "llama.cpp Q4_1", ">= 1.0x")

    def first_token(self):
        return Row(
            "load to first token, warm", "1/s",
            self.whole((ASSAY, "generate", SOURCE, "-p", PROMPT, "--ignore-chat-template",
                        "--max-tokens", 1, "--temp", 0, "-q",
                        "--threads", self.threads)),
            self.whole((LLAMA, "first", SOURCE, self.threads, PROMPT)),
            "llama.cpp Q4_1", ">= 1.0x", discard=1)

    def inspect(self):
        model = self.hf()
        code = ("import sys; from transformers import AutoConfig; "
                "AutoConfig.from_pretrained(sys.argv[1])")

        def timed(*command):
            def once():
                _, seconds, _ = run(command, quick_start=True)
                _, _, peak = run(command)
                return [1 / seconds], peak
            return once
        return Row("inspect", "1/s",
                   timed(ASSAY, "inspect", model, "--json"),
                   timed(PYTHON, "-c", code, model),
                   "transformers AutoConfig", "< 20 ms, < 30 MB", discard=1)

    def conversion(self, command, result):
        """As whole(); what earlier runs left to the disk does not count."""
        return self.whole(command, result, before=os.sync)

    def to_four_bits(self):
        ours, theirs = WORK / "ours-4bit", WORK / "theirs-4bit"
        for kind in ("f16", "bf16", "f32"):
            model = self.hf(kind)
            yield Row(f"convert HF folder ({kind.upper()}) to 4 bit", "1/s",
                      self.conversion(
                          (ASSAY, "convert", model, ours, "--bits", 4,
                           "--group-size", 64, "--no-verify", "-q",
                           "--threads", self.threads), ours),
                      self.conversion(
                          (PYTHON, "-m", "mlx_lm", "convert", "--hf-path",
                           model, "--mlx-path", theirs, "-q"), theirs),
                      "mlx_lm.convert -q",
                      ">= 5x, 1/3 of the memory", discard=1)

    def exact(self):
        ours, copy = WORK / "ours-exact", WORK / "copy.gguf"
        yield Row("convert GGUF to MLX, exact", "1/s",
                  self.conversion(
                      (ASSAY, "convert", SOURCE, ours, "--no-verify", "-q",
                       "--threads", self.threads), ours),
                  self.conversion(("cp", SOURCE, copy), copy),
                  "cp", ">= 0.33x", discard=1)

    def rows(self):
        """Name of a group to what makes its rows."""
        return {
            "q4": lambda: self.run_rows("q4_1", ("q4_1", "q4_0")),
            "q4_0": lambda: self.run_rows("q4_0", ("q4_0",)),
            "q8": lambda: self.run_rows("q8_0", ("q8_0",)),
            "f16": lambda: self.run_rows("f16", ("f16",)),
            "perplexity": lambda: [self.perplexity()],
            "first-token": lambda: [self.first_token()],
            "inspect": lambda: [self.inspect()],
            "convert": self.to_four_bits,
            "exact": self.exact,
        }


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = {key.strip(): value.strip() for key, _, value in
              (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    sets = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni",
                              "amx_int8") if flag in flags]
    return (f"{fields.get('model name', '?')} (family "
            f"{fields.get('cpu family', '?')}, model {fields.get('model', '?')};"
            f" {' '.join(sets)})")


def versions():
    names = ("mlx", "mlx-lm", "transformers")
    code = ("import importlib.metadata as m, json, sys; "
            "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))")
    out, _, _ = run((PYTHON, "-c", code, *names))
    found = json.loads(out)
    version = LLAMA.parent / "version.txt"
    found["llama.cpp"] = (version.read_text().strip() if version.exists()
                          else "not built")
    out, _, _ = run((ASSAY, "--version"))
    found["Assay"] = out.split()[-1]
    return found


def shown(value, row):
    if row.unit != "1/s":
        return f"{value:.1f}"
    return f"{1000 / value:.1f}"


def spread_shown(values, row):
    if row.unit != "1/s":
        return f"{quartiles(values):.1f}"
    return f"{quartiles([1000 / value for value in values]):.1f}"


def report(row, figures, peaks):
    medians = [statistics.median(side) for side in figures]
    unit = row.unit if row.unit != "1/s" else "ms"
    cells = [f"{row.name} ({unit})"]
    for side in range(2):
        cells.append(f"{shown(medians[side], row)} "
                     f"± {spread_shown(figures[side], row)}")
    cells += [f"{medians[0] / medians[1]:.2f}x", row.goal,
              f"{peaks[0] / 1e6:.0f} / {peaks[1] / 1e6:.0f} MB", row.peer]
    print("| " + " | ".join(cells) + " |", flush=True)
    return {"row": row.name, "peer": row.peer, "unit": row.unit,
            "goal": row.goal, "assay": figures[0], "peer_figures": figures[1],
            "ratio": medians[0] / medians[1], "peak_bytes": peaks}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--match", default="",
                        help="only rows whose name contains this")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--perplexity-tokens", type=int, default=50_000)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--prepare", action="store_true",
                        help="only make the models")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    groups = bench.rows()
    if arguments.list:
        print("\n".join(groups))
        return 0
    chosen = arguments.only.split(",") if arguments.only else list(groups)
    unknown = [name for name in chosen if name not in groups]
    if unknown or arguments.pairs < 1:
        parser.error(f"rows are {', '.join(groups)}, not {unknown}; "
                     "at least one pair")
    if arguments.prepare:
        for kind in ("f16", "q8_0", "q4_0"):
            bench.gguf(kind)
        for kind in ("f16", "bf16", "f32"):
            bench.hf(kind)
        return 0
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    about = {"processor": processor(), "threads": arguments.threads,
             "pinned to": sorted(bench.processors or []),
             "system": platform.platform(), "python": platform.python_version(),
             "model": f"{SOURCE.name} {digest[:12]}",
             "pairs": arguments.pairs, "versions": versions(),
             "date": time.strftime("%Y-%m-%d"),
             "load before": os.getloadavg()[0]}
    for key, value in about.items():
        print(f"{key}: {value}")
    print("\n| work | Assay | peer | ratio | goal | peak memory | peer is |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    results = []
    for name in chosen:
        for row in groups[name]():
            if arguments.match in row.name:
                results.append(report(row, *row.measure(arguments.pairs)))
    if arguments.json:
        arguments.json.write_text(json.dumps(
            {"about": about, "rows": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"bench-peers: {failure}")
