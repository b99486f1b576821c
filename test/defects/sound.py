"""The sound models that defects are planted in: those of test/sound as they are, and the golden architectures made whole
by a tokenizer of their vocabulary."""
import json
import pathlib
import string

from files import Gguf, Safetensors, link_tree, read_json, write_json

TEST = pathlib.Path(__file__).resolve().parents[1]
SOUND, ARCH, MLX = TEST / "sound", TEST / "golden/arch", TEST / "golden/mlx_lm"
CHAT = ("{% for message in messages %}{{ message['role'] + ': ' + message['content'] + eos_token + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}")  # fmt: skip


def tokenizer(size, roles):
    """BPE of single characters and pairs of letters, as many ids as the embedding has rows. `roles`: bos_token -> id."""
    texts = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    roles = {r: i for r, i in roles.items() if i is not None}
    special = {i: texts[r] for r, i in roles.items()}
    unknown = next(i for i in range(size) if i not in special)
    special[unknown] = "<unk>"
    vocabulary = {t: i for i, t in special.items()}
    merges = []
    pieces = iter(string.ascii_letters + string.digits + string.punctuation + " \n")
    pairs = iter([(a, b) for a in string.ascii_lowercase for b in string.ascii_lowercase])
    for i in (i for i in range(size) if i not in special):
        piece = next(pieces, None)
        if piece is None:
            merges.append(next(pairs))
            piece = "".join(merges[-1])
        vocabulary[piece] = i
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for i, t in sorted(special.items())]  # fmt: skip
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Fuse"},
                "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                          "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                          "ignore_merges": False, "vocab": dict(sorted(vocabulary.items(), key=lambda v: v[1])),
                          "merges": [" ".join(m) for m in merges]}}  # fmt: skip
    config = {r: texts[r] for r in roles} | {"unk_token": "<unk>", "clean_up_tokenization_spaces": False,
                                             "tokenizer_class": "PreTrainedTokenizerFast"}  # fmt: skip
    return document, config


def whole(name, target, source=ARCH):
    """A golden architecture with what a folder of a hub has beside it."""
    source = source / name
    config = read_json(source / "config.json")
    target.mkdir(parents=True)
    for file in ("config.json", "generation_config.json", "model.safetensors"):
        if (source / file).exists():
            link_tree_file(source / file, target / file)
    eos = config.get("eos_token_id")
    roles = {"bos_token": config.get("bos_token_id"), "eos_token": eos[0] if isinstance(eos, list) else eos,
             "pad_token": config.get("pad_token_id")}  # fmt: skip
    document, settings = tokenizer(config["vocab_size"], roles)
    settings["model_max_length"] = config.get("max_position_embeddings") or config.get("n_positions")
    write_json(target / "tokenizer.json", document)
    write_json(target / "tokenizer_config.json", settings)
    (target / "chat_template.jinja").write_text(CHAT)


def link_tree_file(source, target):
    import os
    import shutil

    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sharded(target):
    """test/sound/llama in two shards."""
    link_tree(SOUND / "llama", target)
    weights = Safetensors(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    names = list(weights.header)
    where = {}
    for part, chosen in enumerate((names[: len(names) // 2], names[len(names) // 2 :])):
        file = f"model-{part + 1:05}-of-00002.safetensors"
        shard = Safetensors(SOUND / "llama/model.safetensors")
        for name in names:
            if name not in chosen:
                shard.drop(name)
        shard.save(target / file)
        where |= dict.fromkeys(chosen, file)
    total = sum(len(d) for d in weights.data.values())
    write_json(target / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def gguf(target):
    """A golden llama's GGUF with a vocabulary."""
    model = Gguf(ARCH / "llama/model.gguf")
    size = read_json(ARCH / "llama/config.json")["vocab_size"]
    document, _ = tokenizer(size, {"bos_token": 1, "eos_token": 2, "pad_token": 0})
    vocabulary = document["model"]["vocab"]
    special = {t["id"] for t in document["added_tokens"]}
    from files import ARRAY, STRING

    model.keys |= {
        "tokenizer.ggml.model": [STRING, "gpt2"], "tokenizer.ggml.pre": [STRING, "llama-bpe"],
        "tokenizer.ggml.tokens": [ARRAY, [STRING, [t.replace(" ", "\u0120").replace("\n", "\u010a") for t in vocabulary]]],
        "tokenizer.ggml.token_type": [ARRAY, [5, [3 if i in special else 1 for i in vocabulary.values()]]],
        "tokenizer.ggml.merges": [ARRAY, [STRING, document["model"]["merges"]]],
        "tokenizer.ggml.bos_token_id": [4, 1], "tokenizer.ggml.eos_token_id": [4, 2],
        "tokenizer.ggml.padding_token_id": [4, 0],
        "tokenizer.chat_template": [STRING, CHAT.replace("eos_token", "'</s>'")],
    }  # fmt: skip
    target.mkdir(parents=True)
    model.save(target / "model.gguf")


def make(root):
    """name -> folder or file of every sound model, made below `root` where it is not committed as it is."""
    models = {}
    for entry in read_json(SOUND / "MANIFEST.json"):
        models[entry["name"]] = SOUND / entry["name"]
    for folder in sorted(ARCH.iterdir()):
        whole(folder.name, root / f"arch-{folder.name}")
        models[f"arch-{folder.name}"] = root / f"arch-{folder.name}"
    for folder in sorted(MLX.iterdir()):
        whole(folder.name, root / f"mlx-{folder.name}", MLX)
        models[f"mlx-{folder.name}"] = root / f"mlx-{folder.name}"
    from torch_files import as_torch

    for name in ("sd1", "flux", "sentence-transformers"):
        as_torch(SOUND / name, root / f"{name}-torch")
        models[f"{name}-torch"] = root / f"{name}-torch"
    for name, maker in (("llama-sharded", sharded), ("llama-gguf", gguf)):
        maker(root / name)
        models[name] = root / name
    return models
