"""What the libraries do with one-field mutations: which fields change nothing?

    oracle.py OUT.jsonl MODEL...                     two mutations a field: taken out, and another value
    oracle.py OUT.jsonl --silent SWEEP.jsonl MODEL...   all on which check was silent (SWEEP.jsonl by test/defects/sweep.py)
"""
import json
import pathlib
import shutil
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[2] / "test/defects"
sys.path.insert(0, str(TEST))
sys.dont_write_bytecode = True
import sound
from files import link_tree, write_json
from libraries import Library, libraries_for, verdict
from mutations import mutations


def two_of_each(folder):
    seen = {}
    for mutation in mutations(folder):
        document, path, what, _ = mutation
        key = (document, path, what == "deleted")
        if key not in seen and what != "wrong type" and (what == "deleted" or what not in ("zero", "negative", "empty")):
            seen[key] = mutation
    return seen.values()


def main():
    arguments = sys.argv[2:]
    silent = None
    if arguments[0] == "--silent":
        rows = [json.loads(line) for line in open(arguments[1])]
        silent = {(r["model"], r["document"], r["field"], r["what"]) for r in rows if all(s == "note" for s, _ in r["said"])}
        arguments = arguments[2:]
    root = pathlib.Path(tempfile.mkdtemp(prefix="assay-oracle-"))
    models = sound.make(root / "sound")
    libraries = {}
    with open(sys.argv[1], "a") as lines:
        for model in arguments:
            folder = models[model]
            for name in libraries_for(model, folder):
                library = libraries.setdefault(name, Library(name))
                right = library.ask(folder)
                if "error" in right or right != library.ask(folder):
                    print("NOT STEADY", model, name, right, flush=True)
                    continue
                for relative, path, what, document in mutations(folder) if silent else two_of_each(folder):
                    if silent and (model, str(relative), ".".join(path), what) not in silent:
                        continue
                    place = root / "planted" / model
                    link_tree(folder, place)
                    write_json(place / relative, document)
                    answer = library.ask(place)
                    row = {"model": model, "document": str(relative), "field": ".".join(path), "what": what, "library": name,
                           "verdict": verdict(answer, right), "text": answer.get("text", "")}  # fmt: skip
                    lines.write(json.dumps(row) + "\n")
                    lines.flush()
                    shutil.rmtree(root / "planted")
    for library in libraries.values():
        library.close()
    shutil.rmtree(root)


main()
