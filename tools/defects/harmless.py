"""One-field mutations, each an error, a warning, a note, shown to change nothing, or none of these.

    harmless.py SWEEP.jsonl ORACLE.jsonl [--write]   sums by what check says, and the fields that are left over

SWEEP.jsonl by test/defects/sweep.py, ORACLE.jsonl by oracle.py. test/defects/harmless.json has two lists: "fields", which
change nothing by what they are (exit status 1 where one of them changed an output), and "shown", mutations after which a
library computed the same; --write adds those of ORACLE.jsonl to the second. test/defects/either.json has fields of which
nothing in the files tells what is right, each with its reason.
"""
import collections
import json
import pathlib
import sys

TEST = pathlib.Path(__file__).resolve().parents[2] / "test/defects"
LIST, EITHER = TEST / "harmless.json", TEST / "either.json"


def leaf_of(row):
    return row["field"].split(".")[-1]


def name_of(row):
    """The document by its own name, and the field without what it lies in."""
    return f"{row['document'].split('/')[-1]} {leaf_of(row)}"


def key_of(row):
    return row["model"], row["document"], row["field"], row["what"]


def verdicts_of(oracle):
    """What became of each mutation, and those that some run found to change nothing, as harmless.json has them."""
    verdicts = collections.defaultdict(set)
    for row in oracle:
        verdicts[key_of(row)].add(row["verdict"])
    return verdicts


def write(harmless, oracle, verdicts):
    """Of two fields of one name in one document both must change nothing."""
    same, other = collections.defaultdict(set), set()
    for row in oracle:
        place = name_of(row), row["what"], row["model"]
        if verdicts[key_of(row)] == {"same"}:
            same[place[:2]].add(place[2])
        else:
            other.add(place)
    shown = harmless["shown"]
    for (name, what), models in same.items():
        known = set(shown.get(name, {}).get(what, "").split())
        kept = {m for m in known | models if (name, what, m) not in other}
        if kept:
            shown.setdefault(name, {})[what] = " ".join(sorted(kept))
    harmless["shown"] = {n: dict(sorted(w.items())) for n, w in sorted(shown.items())}
    LIST.write_text(json.dumps(harmless, indent=1, ensure_ascii=False) + "\n")


def of_other_models(oracle):
    """Mutations, whatever the model is, that changed nothing in two models at least and something in none."""
    models, other = collections.defaultdict(set), set()
    for row in oracle:
        kind = name_of(row), row["what"]
        models[kind].add(row["model"])
        if row["verdict"] != "same":
            other.add(kind)
    return {kind for kind, found in models.items() if len(found) > 1 and kind not in other}


def said(row, harmless, either, verdicts, others):
    graves = [s for s, _ in row["said"] if s != "note"]
    if graves:
        return "error" if "error" in graves else "warning"
    found = verdicts.get(key_of(row), set())
    if leaf_of(row) in harmless["fields"]:
        return "changes nothing by what it is"
    shown = harmless["shown"].get(name_of(row), {}).get(row["what"], "").split()
    if row["model"] in shown or found == {"same"}:
        return "shown to change nothing"
    if not found and (name_of(row), row["what"]) in others:
        return "changes nothing in other models, not run in this one"
    if row["said"]:
        return "note"
    if name_of(row) in either or leaf_of(row) in either:
        return "right either way"
    if found & {"silent", "reported"}:
        return "NONE: other output"
    return "NONE: the library's own error" if found else "NONE: not run"


def main():
    sweep = [json.loads(line) for line in open(sys.argv[1])]
    oracle = [json.loads(line) for line in open(sys.argv[2])]
    harmless, either = json.loads(LIST.read_text()), json.loads(EITHER.read_text())
    verdicts, others = verdicts_of(oracle), of_other_models(oracle)
    if "--write" in sys.argv:
        write(harmless, oracle, verdicts)
    sums, left = collections.Counter(), collections.defaultdict(collections.Counter)
    for row in sweep:
        what = said(row, harmless, either, verdicts, others)
        sums[what] += 1
        if what.startswith("NONE"):
            left[what, name_of(row)][row["what"].split(":")[0]] += 1
    print(f"{len(sweep)} mutations, {len(oracle)} run")
    for name, count in sums.most_common():
        print(f"{count:6} {name}")
    for (what, name), whats in sorted(left.items(), key=lambda e: (e[0][0], -sum(e[1].values()))):
        print(f"  {what}: {name}: {dict(whats)}")
    wrong = [r for r in oracle if leaf_of(r) in harmless["fields"] and r["verdict"] in ("silent", "reported")]
    for row in wrong:
        print("NOT HARMLESS", *key_of(row), row["verdict"])
    return 1 if wrong else 0


sys.exit(main())
