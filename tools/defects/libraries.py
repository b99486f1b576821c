"""Processes of probe.py, started again after a crash or a hang; which library is asked for which model."""
import json
import pathlib
import select
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT, FIRST = 60, 600  # seconds; the first answer waits for the library itself


class Library:
    def __init__(self, name, python=sys.executable):
        self.name, self.python, self.process = name, python, None

    def ask(self, path):
        wait = TIMEOUT
        if self.process is None:
            wait = FIRST
            self.process = subprocess.Popen([self.python, "-B", str(HERE / "probe.py"), self.name], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        try:
            self.process.stdin.write(f"{path}\n")
            self.process.stdin.flush()
            ready, _, _ = select.select([self.process.stdout], [], [], wait)
            line = self.process.stdout.readline() if ready else ""
        except BrokenPipeError:
            ready, line = True, ""
        if line:
            return json.loads(line)
        self.process.kill()
        self.process.wait()
        self.process = None
        return {"error": "crash" if ready else "hang", "text": ""}

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def libraries_for(model, folder):
    """Those that are made for this kind of model."""
    names = []
    if (folder / "model_index.json").exists() or (folder / "scheduler_config.json").exists():
        return ["diffusers"]
    if (folder / "modules.json").exists():
        return ["sentence-transformers"]
    if (folder / "adapter_config.json").exists():
        return ["mlx-lm"] if model.startswith("mlx-") else ["transformers"]
    if model == "llama-gguf":
        return ["llama.cpp"]
    if model in ("vae", "vae-tiny"):
        return ["diffusers"]
    if (folder / "config.json").exists():
        if not model.startswith("mlx-"):
            names.append("transformers")
        if "vision_config" not in json.loads((folder / "config.json").read_text()):
            names.append("mlx-lm")  # language models alone
        if model in ("llama-gptq", "llama-awq"):
            names.append("quantizer's settings")
    return names


def verdict(answer, sound):
    """"early" (an error on loading), "late" (one when it ran), "reported" (other output, with keys reported), "silent"
    (other output), "same"."""
    if "error" in answer:
        return {"load": "early", "run": "late"}.get(answer["error"], answer["error"])
    if answer["output"] == sound.get("output"):
        return "same"
    return "reported" if answer.get("said") else "silent"
