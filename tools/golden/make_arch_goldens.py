"""Makes test/golden/arch/<name>: a tiny seeded random model as transformers saves it, and what it computes.

    model.safetensors, config.json, generation_config.json   as save_pretrained writes them
    golden.safetensors   input_ids int32 [L]; logits float32 [L, vocab] of the whole prompt in one pass;
                         greedy int32 [16], greedy_logits float32 [16, vocab]: generate() with its own KV cache

Everything is computed in float32 with eager attention from the files just written. A seed is taken only when every
greedy step is decided by a clear margin, and when float64 gives the same logits closely: so that a right
implementation cannot fail by rounding.
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
from arch_specs import SPECS
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

OUT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/arch"
STEPS = 16
MARGIN = 5e-3
torch.set_num_threads(1)
logging.set_verbosity_error()
logging.disable_progress_bar()


def randomize(model, model_type, seed, init):
    """Random values in which no parameter is neutral: no norm of ones, no bias of zeros, no flat router."""
    g = torch.Generator().manual_seed(seed)
    gemma = model_type.startswith("gemma")

    def normal(t, std, mean=0.0):
        t.copy_(torch.randn(t.shape, generator=g) * std + mean)

    tied = model.config.tie_word_embeddings
    for name, p in [*model.named_parameters(), *model.named_buffers()]:
        leaf = name.rsplit(".", 1)[-1]
        if "inv_freq" in leaf or "embed_scale" in leaf or name.endswith("attn.bias") and p.dtype == torch.bool:
            continue
        with torch.no_grad():
            if leaf == "sinks":
                normal(p, 1.0)
            elif leaf == "e_score_correction_bias":
                normal(p, 0.3)
            elif leaf == "bias" or leaf.endswith("_bias"):
                normal(p, 0.3)
            elif tied and name in ("model.norm.weight", "transformer.ln_f.weight"):
                # of either sign: else a tied head finds the last token again and greedy text repeats it
                normal(p, 1.2, -1.0 if gemma else 0.0)
            elif "norm" in name or ".ln_" in name:
                normal(p, 0.3, 0.0 if gemma else 1.0)
            elif "embed_tokens" in name or "wte" in name:
                normal(p, init.get("embed", 0.5 if tied else 1.0))
            elif "wpe" in name:
                normal(p, 0.3)
            elif "lm_head" in name:
                normal(p, 2.5 * p.shape[-1] ** -0.5)
            elif "router" in name or ".gate.weight" in name:
                normal(p, 3.0 * p.shape[-1] ** -0.5)
            else:
                conv1d = model_type == "gpt2" or (model_type == "gpt_oss" and p.dim() == 3)
                fan_in = p.shape[-2] if conv1d else p.shape[-1]
                gain = 1.6 if any(k in name for k in ("q_proj", "k_proj", "qkv", "q_b_proj", "c_attn")) else 1.0
                normal(p, gain * fan_in**-0.5)


FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def mxfp4(w):
    """[experts, in, out] to blocks uint8 [experts, out, in / 32, 16] (even value in the low nibble) and scales (E8M0)."""
    w = w.float().transpose(1, 2)
    w = w.reshape(*w.shape[:2], -1, 32)
    e = torch.floor(torch.log2(w.abs().amax(-1))) - 2
    code = ((w * torch.exp2(-e)[..., None])[..., None] - FP4).abs().argmin(-1)
    return (code[..., 0::2] | (code[..., 1::2] << 4)).to(torch.uint8), (e + 127).to(torch.uint8)


def quantize_experts(folder, quantization_config):
    """Rewrites a saved gpt_oss into the layout in which it is published."""
    path = folder / "model.safetensors"
    out = {}
    for name, t in load_file(path).items():
        if name.endswith(("gate_up_proj", "down_proj")):
            out[f"{name}_blocks"], out[f"{name}_scales"] = mxfp4(t)
        else:
            out[name] = t
    save_file(out, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = quantization_config
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load(folder, dtype=torch.float32):
    m = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    assert {p.dtype for p in m.parameters()} == {dtype}, "not computed in " + str(dtype)
    if hasattr(m, "set_experts_implementation"):
        m.set_experts_implementation("eager")
    return m


def compute(folder, ids):
    """A fresh model for every figure: dynamic RoPE keeps state from one call to the next."""
    with torch.no_grad():
        logits = load(folder)(ids, use_cache=False).logits[0]
        exact = load(folder, torch.float64)(ids, use_cache=False).logits[0]
        m = load(folder)
        m.generation_config.eos_token_id = None
        m.generation_config.bos_token_id = None
        m.generation_config.pad_token_id = None
        m.generation_config.cache_implementation = None
        out = m.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=STEPS,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        greedy = out.sequences[0, ids.shape[1] :]
        greedy_logits = torch.stack([l[0] for l in out.logits])
        again = load(folder)(out.sequences[:, :-1], use_cache=False).logits[0, ids.shape[1] - 1 :]
    return logits, exact, greedy, greedy_logits, again


def make(name, s):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    cfg = AutoConfig.for_model(s["model_type"], **s["kw"], **s["v5"])
    dtype = getattr(torch, s["dtype"])
    g = torch.Generator().manual_seed(len(name))
    for seed in range(200):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(cfg, attn_implementation="eager", dtype=torch.float32)
        randomize(model, s["model_type"], seed, s["init"])
        model.to(dtype)
        model.save_pretrained(folder)
        if "quantization_config" in s:
            quantize_experts(folder, s["quantization_config"])
        ids = torch.randint(3, s["kw"]["vocab_size"], (1, s["prompt"]), generator=g)
        logits, exact, greedy, greedy_logits, again = compute(folder, ids)
        top = greedy_logits.topk(2, dim=-1).values
        margin = (top[:, 0] - top[:, 1]).min().item()
        rounding = (logits.double() - exact.double()).abs().max().item()
        distinct = len(set(greedy.tolist()))
        if margin > MARGIN and rounding < 2e-5 and distinct > 5:
            break
    else:
        raise SystemExit(f"{name}: no seed with a clear margin")
    uncached = (again - greedy_logits).abs().max().item()
    save_file(
        {
            "input_ids": ids[0].int(), "logits": logits.float().contiguous(), "greedy": greedy.int(),
            "greedy_logits": greedy_logits.float().contiguous(),
        },
        folder / "golden.safetensors",
        metadata={"seed": str(seed), "min_margin": f"{margin:.4f}", "float64_difference": f"{rounding:.1e}",
                  "cached_minus_uncached": f"{uncached:.1e}"},
    )  # fmt: skip
    size = (folder / "model.safetensors").stat().st_size
    print(
        f"{name}: seed {seed}, margin {margin:.3f}, logits std {logits.std():.2f} max {logits.abs().max():.1f}, "
        f"f64 {rounding:.1e}, uncached {uncached:.1e}, distinct {distinct}, {size // 1024} KiB",
        flush=True,
    )


def check_v4(name, s):
    """config.v4.json read by the same transformers must give the same logits."""
    folder = OUT / name
    if not (folder / "config.v4.json").exists():
        print(name, "has no config.v4.json")
        return
    other = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"golden-v4-{os.getpid()}"
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    shutil.copy(folder / "model.safetensors", other)
    shutil.copy(folder / "config.v4.json", other / "config.json")
    want = load_file(folder / "golden.safetensors")
    with torch.no_grad():
        got = load(other)(want["input_ids"][None].long(), use_cache=False).logits[0]
    shutil.rmtree(other)
    diff = (got - want["logits"]).abs().max().item()
    print(f"{name}: config.v4.json gives logits within {diff:.1e}", "" if diff < 1e-6 else "<-- DIFFERS")


def list_tensors(name):
    with safe_open(OUT / name / "model.safetensors", "pt") as f:
        for k in f.keys():
            t = f.get_slice(k)
            print("   ", k, t.get_shape(), t.get_dtype())


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("names", nargs="*")
    ap.add_argument("--check-v4", action="store_true", help="only hold config.v4.json against the goldens")
    ap.add_argument("--list", action="store_true", help="only print the tensors on disk")
    args = ap.parse_args()
    for name in args.names or SPECS:
        if args.list:
            print(name)
            list_tensors(name)
        elif args.check_v4:
            check_v4(name, SPECS[name])
        else:
            make(name, SPECS[name])


main()
