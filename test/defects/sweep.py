"""What `assay check --headers` says of every one-field mutation: a table as JSON lines.

    sweep.py ASSAY OUT.jsonl [MODEL...]
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import sound
from files import link_tree, write_json
from mutations import mutations

BATCH = 150


def check(program, paths, more=("--headers",)):
    """path -> report, many in one call. What ends the program is asked for alone, and has no report of its own."""
    result = subprocess.run([program, "check", *more, "--json", *map(str, paths)], capture_output=True, text=True)
    try:
        reports = json.loads(result.stdout)
    except json.JSONDecodeError:
        reports = []
    reports = reports if isinstance(reports, list) else [reports]
    if reports and all("path" in r for r in reports):
        return {r["path"]: r for r in reports}
    if len(paths) == 1:
        print("NO REPORT", paths[0], result.returncode, result.stdout[:500], result.stderr[:500], flush=True)
        return {}
    return {path: report for one in paths for path, report in check(program, [one], more).items()}


def findings(report):
    return [(f["id"], f["severity"], f["where"]) for f in report["findings"]]


def ids(report, base):
    """What is found that the sound model did not have at that place, by severity and id."""
    def places(of):
        return {(f["severity"], f["id"], f["where"].removeprefix(of["path"])) for f in of["findings"]}

    return sorted({(s, i) for s, i, _ in places(report) - places(base)})


def main():
    program, out, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    root = pathlib.Path(tempfile.mkdtemp(prefix="assay-sweep-"))
    models = sound.make(root / "sound")
    chosen = [n for n in models if not names or n in names]
    with open(out, "w") as lines:
        for name in chosen:
            folder = models[name]
            base = check(program, [folder])[str(folder)]
            pending = []

            def flush():
                if not pending:
                    return
                reports = check(program, [p for p, *_ in pending])
                for place, relative, path, what in pending:
                    report = reports.get(str(place))
                    said = ids(report, base) if report else [("error", "no report")]
                    row = {"model": name, "document": str(relative), "field": ".".join(path), "what": what, "said": said}
                    lines.write(json.dumps(row) + "\n")
                shutil.rmtree(root / "planted")
                pending.clear()

            for number, (relative, path, what, document) in enumerate(mutations(folder)):
                place = root / "planted" / f"{name}-{number}"
                link_tree(folder, place)
                write_json(place / relative, document)
                pending.append((place, relative, path, what))
                if len(pending) == BATCH:
                    flush()
            flush()
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
