"""One library, one model after another: what it says and computes. Reads paths from standard input, a line each; answers a
line of JSON each: {"error": "load" | "run", "text": ...} or {"output": a hash of all that came out, "said": what it reported}.

    probe.py LIBRARY      transformers, diffusers, mlx-lm, llama.cpp, sentence-transformers, quantizer's settings

A model that ends or hangs the process is the caller's to see.
"""
import contextlib
import hashlib
import io
import json
import logging
import os
import pathlib
import sys

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
IDS = [(i * 37 + 11) % 240 + 4 for i in range(40)]  # longer than the sliding windows of the tiny models
TEXT = "the thing in the other train and the rain"
CHAT = [{"role": "user", "content": "the"}, {"role": "assistant", "content": "an"}, {"role": "user", "content": "in"}]
CONFIGS = ("config.json", "adapter_config.json")


class Hash:
    def __init__(self):
        self.sum = hashlib.sha256()

    def add(self, value):
        if hasattr(value, "detach"):
            value = value.detach().float().cpu().numpy()
        self.sum.update(value.tobytes() if hasattr(value, "tobytes") else repr(value).encode())

    def text(self):
        return self.sum.hexdigest()[:16]


class Late(Exception):
    pass


@contextlib.contextmanager
def running():
    try:
        yield
    except Exception as error:
        raise Late(f"{type(error).__name__}: {error}") from error


def keys_of(info):
    said = [f"{len(info[k])} {k}" for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(k)]
    return ", ".join(said)


def text_of(tokenizer, out):
    ids = tokenizer(TEXT).input_ids
    out.add(ids)
    out.add(tokenizer.decode(ids))
    out.add(tokenizer.decode(IDS[:8], skip_special_tokens=True))
    out.add([tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id])
    out.add(tokenizer(TEXT * 200, truncation=True).input_ids)
    out.add(tokenizer([TEXT, "in"], padding=tokenizer.pad_token is not None).input_ids)
    if tokenizer.chat_template:
        chat = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
        out.add(chat)
        out.add(tokenizer(chat).input_ids)


def pictures():
    """One wider and one higher than any tower's window, so that resizing, cropping and tiling show."""
    from PIL import Image

    across, down = Image.linear_gradient("L"), Image.radial_gradient("L")
    picture = Image.merge("RGB", (across, across.rotate(90), down))
    return picture.resize((90, 50)), picture.resize((40, 120))


def pictured_text(processor):
    """A question about a picture as the folder's own template asks it."""
    ask = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "the"}]}]
    has_template = processor.tokenizer.chat_template or processor.chat_template
    return processor.apply_chat_template(ask, add_generation_prompt=True) if has_template else "<image>the"


def vision_model(path):
    import numpy
    import torch
    import transformers

    torch.manual_seed(0)
    model, info = transformers.AutoModelForImageTextToText.from_pretrained(path, output_loading_info=True)
    processor = transformers.AutoProcessor.from_pretrained(path)
    out = Hash()
    with running(), torch.no_grad():
        text = pictured_text(processor)
        for picture in pictures():
            inputs = processor(images=[picture], text=text, return_tensors="pt")
            for name in sorted(inputs):
                out.add(inputs[name])
            inputs = {n: v.to(model.dtype) if v.is_floating_point() else v for n, v in inputs.items()}
            out.add(model.eval()(**inputs).logits)
        torch.manual_seed(0)
        out.add(model.generate(**inputs, max_new_tokens=8).tolist())
        text_of(processor.tokenizer, out)
        if getattr(processor, "video_processor", None) is not None:
            frames = numpy.stack([numpy.asarray(pictures()[0].rotate(9 * i)) for i in range(8)])
            made = processor.video_processor(videos=[frames], return_tensors="pt")
            for name in sorted(made):
                out.add(made[name])
    return out, keys_of(info)


def is_vision(path):
    return "vision_config" in json.loads((SOUND / path.name / "config.json").read_text())


def transformers_model(path):
    import torch
    import transformers

    if (SOUND / path.name / "config.json").exists() and is_vision(path):
        return vision_model(path)
    adapter = path / "adapter_config.json"
    torch.manual_seed(0)
    said = ""
    if adapter.exists():
        from peft import PeftModel

        base = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, path)
        tokenizer = None
    else:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
        said = keys_of(info)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path) if (path / "tokenizer_config.json").exists() else None
    out = Hash()
    with running(), torch.no_grad():
        ids = torch.tensor([IDS])
        out.add(model.eval()(input_ids=ids).logits)
        torch.manual_seed(0)
        out.add(model.generate(input_ids=ids[:, :8], attention_mask=torch.ones_like(ids[:, :8]), max_new_tokens=12).tolist())
        if tokenizer is not None:
            text_of(tokenizer, out)
    return out, said


def diffusers_model(path):
    import diffusers
    import torch

    torch.manual_seed(0)
    out = Hash()
    if (path / "model_index.json").exists():
        pipe = diffusers.DiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        more = {}
        if "inpaint" in path.name:
            from PIL import Image

            more = dict(image=Image.new("RGB", (64, 64), (9, 99, 200)), mask_image=Image.new("L", (64, 64), 255), strength=1.0)
        elif path.name == "pixart":
            more = dict(use_resolution_binning=False)  # or the picture is as large as that of a whole model
        with running():
            for seed in (0, 1):
                made = pipe(TEXT if seed else "the", num_inference_steps=3, height=64, width=64, output_type="np",
                            generator=torch.Generator().manual_seed(seed), **more)  # fmt: skip
                out.add(made.images)
        return out, ""
    kind = json.loads(next(iter(path.glob("*config.json"))).read_text())["_class_name"]
    part = getattr(diffusers, kind).from_pretrained(path)
    with running(), torch.no_grad():
        if isinstance(part, torch.nn.Module):
            picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(part.dtype)
            made = part(picture).sample
            out.add(made)
            out.add([float(part.config.get(name) or 0) for name in ("scaling_factor", "shift_factor")])
        else:
            sample = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
            part.set_timesteps(5)
            for t in part.timesteps:
                out.add(float(t))
                sample = part.step(torch.sin(sample * 3), t, sample).prev_sample
                out.add(sample)
            noise = torch.ones_like(sample)
            out.add(part.add_noise(sample, noise, part.timesteps[:1]))
    return out, ""


def mlx_model(path):
    import mlx.core as mx
    from mlx_lm import load

    mx.random.seed(0)
    adapter = (path / "adapter_config.json").exists()
    model, tokenizer = load(str(BASE if adapter else path), adapter_path=str(path) if adapter else None)
    out = Hash()
    with running():
        logits = model(mx.array([IDS])).astype(mx.float32)
        mx.eval(logits)
        import numpy

        out.add(numpy.array(logits))
        if not adapter:
            text_of(tokenizer._tokenizer, out)
            out.add(sorted(tokenizer.eos_token_ids))
    return out, ""


def llama_model(path):
    import urllib.request

    import xllamacpp as x

    if path.is_dir():
        path = next(path.glob("*.gguf"))
    p = x.CommonParams()
    p.model.path = str(path)
    p.n_ctx, p.n_parallel, p.warmup, p.fit_params, p.port = 128, 1, False, False, 0
    p.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    p.cache_type_k = p.cache_type_v = x.ggml_type.GGML_TYPE_F32
    server = x.Server(p)

    def ask(what, body):
        request = urllib.request.Request(server.listening_address + what, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.loads(urllib.request.urlopen(request, timeout=20).read())

    out = Hash()
    with running():
        got = ask("/completion", {"prompt": IDS, "n_predict": 8, "n_probs": 5, "return_tokens": True, "samplers": ["temperature"], "temperature": 0})
        out.add(got["tokens"])
        out.add([[round(t["logprob"], 4) for t in p["top_logprobs"]] for p in got.get("completion_probabilities", [])])
        out.add(ask("/tokenize", {"content": TEXT, "add_special": True})["tokens"])
        out.add(ask("/apply-template", {"messages": CHAT}).get("prompt"))
    return out, ""


def sentence_model(path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(path))
    out = Hash()
    with running():
        out.add(model.encode(["the", TEXT, TEXT * 30]))
        out.add(float(model.similarity(model.encode(["the"]), model.encode(["rain"]))[0][0]))
    return out, ""


def quantizer_settings(path):
    """What transformers makes of a quantization block whose own library is not there to run it."""
    from transformers.quantizers.auto import AutoQuantizationConfig

    out = Hash()
    block = json.loads((path / "config.json").read_text())["quantization_config"]
    out.add(AutoQuantizationConfig.from_dict(block).to_dict())
    return out, ""


LIBRARIES = {"transformers": transformers_model, "diffusers": diffusers_model, "mlx-lm": mlx_model,
             "quantizer's settings": quantizer_settings, "llama.cpp": llama_model, "sentence-transformers": sentence_model}  # fmt: skip
SOUND = pathlib.Path(__file__).resolve().parents[2] / "test/sound"
BASE = SOUND / "llama"


def main():
    look = LIBRARIES[sys.argv[1]]
    answers = os.fdopen(os.dup(1), "w")  # what the libraries print goes elsewhere
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    if sys.argv[1] not in ("llama.cpp", "mlx-lm"):
        import torch

        torch.set_num_threads(1)
    for line in sys.stdin:
        path = pathlib.Path(line.strip())
        try:
            out, said = look(path)
            answer = {"output": out.text(), "said": said}
        except Late as error:
            answer = {"error": "run", "text": str(error)[:300]}
        except BaseException as error:
            answer = {"error": "load", "text": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
