"""What the libraries do with every planted defect: a table as JSON lines, and its sums.

    peers.py OUT.jsonl [WORD...]       only kinds with a WORD in area, name or model
    peers.py --table OUT.jsonl
"""
import collections
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "test/defects"))
sys.dont_write_bytecode = True
import sound
from kinds import all_kinds, planted
from libraries import Library, libraries_for, verdict

VERDICTS = ("early", "late", "crash", "hang", "reported", "silent", "same")


def table(path):
    sums = collections.defaultdict(collections.Counter)
    for line in open(path):
        row = json.loads(line)
        sums[row["library"]][row["verdict"]] += 1
    print("| library | models | " + " | ".join(VERDICTS) + " |\n| --- " * 1 + "| --- " * (len(VERDICTS) + 1) + "|")
    for name, counts in sums.items():
        print(f"| {name} | {sum(counts.values())} | " + " | ".join(str(counts[v]) for v in VERDICTS) + " |")


def main():
    if sys.argv[1] == "--table":
        return table(sys.argv[2])
    words = sys.argv[2:]
    root = pathlib.Path(tempfile.mkdtemp(prefix="assay-peers-"))
    models = sound.make(root / "sound")
    libraries, right = {}, {}
    with open(sys.argv[1], "w") as lines:
        for kind in all_kinds():
            if words and not any(w in f"{kind.area} {kind.name} {kind.model}" for w in words):
                continue
            place = None
            for name in libraries_for(kind.model, models[kind.model]):
                library = libraries.setdefault(name, Library(name))
                if (name, kind.model) not in right:
                    right[name, kind.model] = library.ask(models[kind.model])
                if "error" in right[name, kind.model]:
                    continue  # the library cannot read the sound one either
                place = place or planted(kind, models, root / "planted")
                answer = library.ask(place)
                row = {"area": kind.area, "kind": kind.name, "model": kind.model, "library": name,
                       "verdict": verdict(answer, right[name, kind.model]), "text": answer.get("text", "")}  # fmt: skip
                lines.write(json.dumps(row) + "\n")
                lines.flush()
            shutil.rmtree(root / "planted", ignore_errors=True)
    for library in libraries.values():
        library.close()
    shutil.rmtree(root)


main()
