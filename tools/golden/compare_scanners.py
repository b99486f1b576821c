"""Runs scanners of pickles over test/corpus/safety and prints the table of reference/RESULTS.md.

usage: compare_scanners.py ASSAY VENVS     VENVS/v_NAME holds NAME from PyPI: picklescan (with numpy, which its reader of .npy
imports), modelscan, fickling (with typing_extensions, which it imports and does not ask for), modelaudit

Each scanner runs with its defaults, in one process of its own environment, and is asked for each file what its command line
would answer: flagged, clean, left out (a kind of file that it does not look at), or an error. Nothing is loaded.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "test/corpus/safety"
SCANNERS = {
    "picklescan": """
from picklescan.scanner import scan_file_path
def scan(path):
    r = scan_file_path(path)
    return 'error' if r.scan_err else 'flagged' if r.issues_count else 'clean' if r.scanned_files else 'left out'
""",
    "modelscan": """
from modelscan.modelscan import ModelScan
def scan(path):
    m = ModelScan()
    m.scan(path)
    return 'left out' if not m.scanned else 'error' if m.errors else 'flagged' if m.issues.all_issues else 'clean'
""",
    "fickling": """
import fickling, zipfile
def scan(path):
    if zipfile.is_zipfile(path):
        parts = list(fickling.scan_zip_archive(path).values())
        return 'left out' if not parts else 'clean' if all(parts) else 'flagged'
    return 'clean' if fickling.scan_file(path) else 'flagged'
""",
    "modelaudit": """
from modelaudit.core import scan_model_directory_or_file
from modelaudit.core_results import determine_exit_code
def scan(path):
    code = determine_exit_code(scan_model_directory_or_file(path, cache_enabled=False))
    return {0: 'clean', 1: 'flagged'}.get(code, 'error')
""",
}
DRIVER = """
import contextlib, io, json, logging, signal, sys, warnings
warnings.simplefilter('ignore'); logging.disable(logging.CRITICAL)
class Late(BaseException): pass
def late(*_): raise Late
signal.signal(signal.SIGALRM, late)
for path in sys.argv[1:]:
    signal.alarm(30)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            answer = scan(path)
    except (Exception, Late):
        answer = 'error'
    signal.alarm(0)
    print(json.dumps([path, answer]), flush=True)
"""


def ask(python, code, files):
    limit = 40 * len(files)  # the driver gives each file 30 seconds
    done = subprocess.run([python, "-c", code + DRIVER, *map(str, files)], capture_output=True, text=True, timeout=limit)
    answers = dict(map(json.loads, done.stdout.splitlines()))
    if not answers:
        sys.exit(done.stderr)
    return {f.name: answers.get(str(f), "error") for f in files}


def assay(program, path):
    """What the step "safety" says; that a sound pickle holds no model is no matter of safety."""
    report = json.loads(subprocess.run([program, "check", "--headers", "--json", path], capture_output=True).stdout)
    ids = {finding["id"] for finding in report["findings"]}
    if "pickle.unsafe" in ids:
        return "flagged"
    step = [step["outcome"] for step in report["steps"] if step["name"] == "safety"]
    return "error" if not step else "undecided" if "pickle.undecided" in ids else "clean"


def versions(python, name):
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    return subprocess.run([python, "-c", code, name], capture_output=True, text=True, check=True).stdout.strip()


def main():
    program, venvs = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    verdicts = json.loads((CORPUS / "verdicts.json").read_text())
    files = [CORPUS / name for name in verdicts]
    answers = {"Assay": {f.name: assay(program, f) for f in files}}
    for name, code in SCANNERS.items():
        python = venvs / f"v_{name}/bin/python"
        answers[f"{name} {versions(python, name)}"] = ask(python, code, files)
    print("| scanner | unsafe: flagged | missed (clean or left out) | no answer | safe: flagged | left out | no answer | undecidable: flagged, clean, no answer |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, found in answers.items():
        count = lambda verdict, *wanted: sum(v["verdict"] == verdict and found[f] in wanted for f, v in verdicts.items())
        total = lambda verdict: sum(v["verdict"] == verdict for v in verdicts.values())
        open_ = ("error", "undecided")
        print(f"| {name} | {count('unsafe', 'flagged')} of {total('unsafe')} | {count('unsafe', 'clean', 'left out')} | {count('unsafe', *open_)}"
              f" | {count('safe', 'flagged')} of {total('safe')} | {count('safe', 'left out')} | {count('safe', *open_)} | {count('could not decide', 'flagged')},"
              f" {count('could not decide', 'clean', 'left out')}, {count('could not decide', *open_)} |")  # fmt: skip
    for file, verdict in verdicts.items():
        print(f"{verdict['verdict']:17} {file:36}", *(f"{name}: {found[file]}" for name, found in answers.items()), file=sys.stderr)


if __name__ == "__main__":
    main()
