"""Plants every defect of kinds.py in copies of sound models, runs `assay check` over them, and holds each to the ids that
state its cause. The sound models themselves must give no error and no warning. What is known not to be found is in known.py.

    run.py ASSAY [--table] [WORD...]     only kinds whose name, area or model has a WORD; 0: all found, all right, none false
"""
import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import sound
from kinds import all_kinds, planted
from known import NOT_FOUND

BATCH = 100  # models a call
TRUE = {"inference.no-sense", "quantization.unsupported"}  # weights are random; GPTQ and its like are not run


def check(program, paths, options):
    """path -> report. What ends the program is an answer, too."""
    reports = {}
    for start in range(0, len(paths), BATCH):
        part = [str(p) for p in paths[start : start + BATCH]]
        result = subprocess.run([program, "check", "--json", *options, *part], capture_output=True, text=True)
        try:
            answer = json.loads(result.stdout)
        except json.JSONDecodeError:
            sys.exit(f"no report (exit status {result.returncode}): {result.stderr[-2000:]}\n{part}")
        for report in answer if isinstance(answer, list) else [answer]:
            reports[report["path"]] = report
    return reports


def grave(report):
    return [f for f in report["findings"] if f["severity"] != "note" and f["id"] not in TRUE]


def main():
    arguments = sys.argv[1:]
    program, words = arguments[0], [a for a in arguments[1:] if not a.startswith("--")]
    root = pathlib.Path(tempfile.mkdtemp(prefix="assay-defects-"))
    try:
        return hold(program, words, root, "--table" in arguments)
    finally:
        shutil.rmtree(root)


def hold(program, words, root, table):
    models = sound.make(root / "sound")
    kinds = [k for k in all_kinds() if not words or any(w in f"{k.area} {k.name} {k.model}" for w in words)]
    used = {k.model for k in kinds}
    wrong = 0
    quiet = {}
    for mode, options in (("headers", ["--headers"]), ("values", [])):
        chosen = [n for n in models if not words or n in used]
        reports = check(program, [models[n] for n in chosen], options)
        for name in chosen:
            report = reports[str(models[name])]
            quiet[name, mode] = {(f["id"], f["actual"]) for f in report["findings"]}
            for finding in grave(report):
                wrong += 1
                print(f"FALSE ALARM  {name} ({mode}): {finding['id']} {finding['where']}: {finding['actual']}")
    rows = collections.defaultdict(lambda: [0, 0, 0])
    for mode, options in (("headers", ["--headers"]), ("base", ["--headers"]), ("values", [])):
        here = [k for k in kinds if k.mode == mode]
        places = [(k, planted(k, models, root / mode)) for k in here]
        reports = check(program, [place for _, place in places], options)
        for kind, place in places:
            report = reports[str(place)]
            before = quiet[kind.model, "values" if mode == "values" else "headers"]
            fresh = [f for f in report["findings"] if (f["id"], f["actual"]) not in before]
            named = [f for f in fresh if f["id"] in kind.ids]
            found = bool(named) or bool([f for f in fresh if f["severity"] != "note"])
            row = rows[kind.area]
            row[0] += 1
            row[1] += found
            row[2] += bool(named)
            known = NOT_FOUND.get((kind.area, kind.name))
            if named and known:
                print(f"NOW FOUND  {kind.area}: {kind.name}: take it out of known.py")
            elif not named and known:
                print(f"not found, as known  {kind.area}: {kind.name}: {known}")
            elif not named:
                wrong += 1
                said = "; ".join(f"{f['id']} {f['where'].replace(str(place), '')}: {f['actual']}" for f in fresh) or "nothing"
                print(f"{'OTHER CAUSE' if found else 'NOT FOUND'}  {kind.area}: {kind.name} ({kind.model}): wanted {' or '.join(kind.ids)}; said {said[:400]}")
    if table:
        print("| area | planted | found | cause named |\n| --- | --- | --- | --- |")
        for area, row in rows.items():
            print(f"| {area} | {row[0]} | {row[1]} | {row[2]} |")
    total = [sum(row[i] for row in rows.values()) for i in range(3)]
    print(f"{total[0]} planted, {total[1]} found, {total[2]} by their cause; {len(models)} sound models; {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
