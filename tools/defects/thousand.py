"""Time and memory of `assay check --headers` on a folder with 1000 tensors.

    thousand.py ASSAY [RUNS]
"""
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "test/defects"))
sys.dont_write_bytecode = True
from files import Safetensors, link_tree, read_json, write_json
from sound import SOUND


def make(folder, layers=111):
    link_tree(SOUND / "llama", folder)
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"num_hidden_layers": layers})
    model = Safetensors(folder / "model.safetensors")
    for name in [n for n in model.header if ".layers.0." in n]:
        for layer in range(2, layers):
            model.put(name.replace(".0.", f".{layer}."), *model.header[name], model.data[name])
    model.save()
    return len(model.header)


def main():
    program, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 41
    root = pathlib.Path(tempfile.mkdtemp(prefix="assay-thousand-"))
    tensors = make(root / "model")
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = subprocess.run([program, "check", "--headers", str(root / "model")], capture_output=True)
        times.append(1000 * (time.perf_counter() - start))
        assert result.returncode == 0, result.stdout.decode()
    times.sort()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    most = used.ru_maxrss / 1024
    cpu = 1000 * (used.ru_utime + used.ru_stime) / runs
    print(f"{tensors} tensors, whole process: median {statistics.median(times):.1f} ms of {runs}, best {times[0]:.1f}, "
          f"nine in ten under {times[int(0.9 * runs)]:.1f}; {cpu:.1f} ms of CPU; at most {most:.1f} MB resident")  # fmt: skip
    shutil.rmtree(root)


main()
