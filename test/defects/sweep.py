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
    """path -> report, many in one call."""
    result = subprocess.run([program, "check", *more, "--json", *map(str, paths)], capture_output=True, text=True)
    reports = json.loads(result.stdout)
    reports = reports if isinstance(reports, list) else [reports]
    return {r["path"]: r for r in reports}


def findings(report):
    return [(f["id"], f["severity"], f["where"]) for f in report["findings"]]


def ids(report, base):
    """What is found that the sound model did not have, by severity and id."""
    before = {(f["id"], f["severity"]) for f in base["findings"]}
    return sorted({(f["severity"], f["id"]) for f in report["findings"]} - {(s, i) for i, s in before})


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
