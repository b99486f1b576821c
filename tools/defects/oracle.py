"""What the libraries do with one-field mutations: which fields change nothing?

    oracle.py OUT.jsonl [--each N] [MODEL...]             two mutations a field: taken out, and another value
    oracle.py OUT.jsonl --silent SWEEP.jsonl [--each N] [MODEL...]   all on which check was silent (SWEEP.jsonl by test/defects/sweep.py)
                                                          but the fields of test/defects/harmless.json

With --each N no more is run of a field's mutation (the field by its name, in a document of that name) that was run N times.
No MODEL: all. What OUT.jsonl has already is not run again. Of several libraries made for a model the first that reads the
sound one is asked.
"""
import collections
import json
import math
import pathlib
import shutil
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[2] / "test/defects"
sys.path.insert(0, str(TEST))
sys.dont_write_bytecode = True
import sound
from files import link_tree, read_json, write_json
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


def key(model, document, field, what):
    return model, str(document), field, what


def rows_of(path):
    return [json.loads(line) for line in open(path)] if pathlib.Path(path).exists() else []


def chosen(model, folder, silent):
    """The mutations of a model to be run: (key, document's path, document)."""
    for relative, path, what, document in mutations(folder) if silent is not None else two_of_each(folder):
        here = key(model, relative, ".".join(path), what)
        if silent is None or here in silent:
            yield here, relative, document


def kind_of(document, field, what):
    """A mutation whatever the model is."""
    return str(document).split("/")[-1], field.split(".")[-1], what


def silent_ones(sweep):
    harmless = read_json(TEST / "harmless.json")["fields"]
    return {key(r["model"], r["document"], r["field"], r["what"]) for r in rows_of(sweep)
            if all(s == "note" for s, _ in r["said"]) and r["field"].split(".")[-1] not in harmless}  # fmt: skip


def steady(libraries, names, folder):
    """The first library that answers alike twice, and its answer; or none and the last answer."""
    right = None
    for name in names:
        library = libraries.setdefault(name, Library(name))
        right = library.ask(folder)
        if "error" not in right and right == library.ask(folder):
            return library, right
    return None, right


def main():
    out, *arguments = sys.argv[1:]
    silent = None
    if arguments[:1] == ["--silent"]:
        silent = silent_ones(arguments[1])
        arguments = arguments[2:]
    most = math.inf
    if arguments[:1] == ["--each"]:
        most = int(arguments[1])
        arguments = arguments[2:]
    done = {key(r["model"], r["document"], r["field"], r["what"]) for r in rows_of(out)}
    runs = collections.Counter(kind_of(r["document"], r["field"], r["what"]) for r in rows_of(out))
    root = pathlib.Path(tempfile.mkdtemp(prefix="assay-oracle-"))
    models = sound.make(root / "sound")
    libraries = {}
    with open(out, "a") as lines:
        for model in arguments or models:
            folder = models[model]
            names = libraries_for(model, folder) if folder.is_dir() else []
            todo = [c for c in chosen(model, folder, silent) if c[0] not in done] if names else []
            todo = [c for c in todo if runs[kind_of(*c[0][1:])] < most]
            if not todo:
                continue
            library, right = steady(libraries, names, folder)
            if library is None:
                print("NOT READ, OR NOT STEADY", model, right, flush=True)
                continue
            for (_, relative, field, what), _, document in todo:
                place = root / "planted" / model
                link_tree(folder, place)
                write_json(place / relative, document)
                answer = library.ask(place)
                runs[kind_of(relative, field, what)] += 1
                row = {"model": model, "document": relative, "field": field, "what": what, "library": library.name,
                       "verdict": verdict(answer, right), "text": answer.get("text", "")}  # fmt: skip
                lines.write(json.dumps(row) + "\n")
                lines.flush()
                shutil.rmtree(root / "planted")
    for library in libraries.values():
        library.close()
    shutil.rmtree(root)


main()
