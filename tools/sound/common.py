"""What the kinds share: tokenizers built here, weights in which nothing is neutral, loading that tells of missing keys."""
import json
import os
import pathlib
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(os.environ.get("ASSAY_SOUND", ROOT / "test/sound"))
torch.set_num_threads(1)
logging.set_verbosity_error()
logging.disable_progress_bar()

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ 'IMAGE' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def chatml(image):
    return CHATML.replace("IMAGE", image)


def plain(image):
    """The same without markers, for vocabularies that have none."""
    return chatml(image).replace("<|im_start|>", "").replace("<|im_end|>", "")


def folder(name):
    path = OUT / name
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def bytes_bpe(specials, merges=12):
    """A byte-level BPE of the 256 bytes and a few merges, special tokens first as most vocabularies have them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("t", "h"), ("th", "e"), ("i", "n"), ("a", "n"), ("e", "r"), ("o", "n"), ("r", "e"), ("a", "t"),
             ("\u0120", "the"), ("in", "g"), ("o", "r"), ("an", "d")][:merges]  # fmt: skip
    vocab = {t: i for i, t in enumerate(specials)}
    for t in alphabet + [a + b for a, b in pairs]:
        vocab[t] = len(vocab)
    tok = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in specials])
    return tok


def fast_tokenizer(specials, length=128, bos_first=False, **roles):
    """`roles` name tokens by part (bos_token="<s>"); `specials` in the order of their ids."""
    tok = bytes_bpe(specials)
    if bos_first:
        bos = roles["bos_token"]
        tok.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, specials.index(bos))])  # fmt: skip
    return PreTrainedTokenizerFast(tokenizer_object=tok, model_max_length=length,
                                   clean_up_tokenization_spaces=False, **roles)  # fmt: skip


def randomize(model, seed=1):
    """No parameter is neutral: norms not all ones, biases not zeros, so that no rule about constant tensors may fire."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        leaf = name.rsplit(".", 1)[-1]
        noise = torch.randn(p.shape, generator=g)
        with torch.no_grad():
            if "norm" in name and leaf == "weight" and p.dim() == 1:
                p.copy_(1 + 0.05 * noise)
            elif p.dim() <= 1:
                p.copy_(0.02 * noise + (p if leaf in ("logit_scale",) else 0))
            else:
                p.copy_(noise * min(0.2, p[0].numel() ** -0.5))
    return model


def half(model):
    return randomize(model).to(torch.float16).eval()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def whole(info, what):
    """`info` of from_pretrained(output_loading_info=True): nothing missing, nothing left over, nothing of another shape."""
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info.get(key), f"{what}: {key} {sorted(map(str, info[key]))[:8]}"
