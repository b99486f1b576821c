"""One-field mutations, field by field: found by check, or shown to change nothing by the libraries, or neither.

    harmless.py SWEEP.jsonl ORACLE.jsonl         sums and what is left over; exit status 1 where test/defects/harmless.json lists
                                                 a field that changed an output
"""
import collections
import json
import pathlib
import sys

LIST = pathlib.Path(__file__).resolve().parents[2] / "test/defects/harmless.json"


def main():
    sweep = [json.loads(line) for line in open(sys.argv[1])]
    oracle = [json.loads(line) for line in open(sys.argv[2])]
    harmless = json.loads(LIST.read_text())
    verdicts = collections.defaultdict(set)
    for row in oracle:
        verdicts[row["model"], row["document"], row["field"], row["what"]].add(row["verdict"])
    changed = collections.defaultdict(set)
    for (model, document, field, what), found in verdicts.items():
        leaf = field.split(".")[-1]
        if leaf in harmless and found - {"same", "early", "late"}:
            changed[leaf].add(f"{model} {document} {what}: {', '.join(sorted(found))}")
    sums = collections.Counter()
    left = collections.defaultdict(collections.Counter)
    for row in sweep:
        graves = [s for s, _ in row["said"] if s != "note"]
        key = row["model"], row["document"], row["field"], row["what"]
        leaf = row["field"].split(".")[-1]
        if "error" in graves:
            sums["error"] += 1
        elif graves:
            sums["warning"] += 1
        elif leaf in harmless:
            sums["listed as harmless"] += 1
        elif key in verdicts and verdicts[key] <= {"same"}:
            sums["run: same output"] += 1
        elif key in verdicts and verdicts[key] & {"silent", "reported"}:
            sums["run: other output, check silent"] += 1
            left[row["document"].split("/")[-1], leaf][row["what"].split(":")[0]] += 1
        elif key in verdicts:
            sums["run: the library's own error, check silent"] += 1
        elif row["said"]:
            sums["note"] += 1
        else:
            sums["silent, not run"] += 1
    for name, count in sums.most_common():
        print(f"{count:6} {name}")
    print("\nother output, check silent:")
    for (document, leaf), whats in sorted(left.items(), key=lambda e: -sum(e[1].values()))[:60]:
        print(f"  {document} {leaf}: {dict(whats)}")
    for leaf, where in changed.items():
        print("NOT HARMLESS", leaf, sorted(where)[:3])
    return 1 if changed else 0


sys.exit(main())
