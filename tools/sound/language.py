"""Text models of several kinds, adapters over one of them, and the containers torch writes."""
import json
import types

import torch
from common import chatml, fast_tokenizer, folder, half, whole, write_json, OUT
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, BertConfig, BertModel, BertTokenizerFast,
    GenerationConfig, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration,
)  # fmt: skip

SPECIALS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def llama_tokenizer():
    return fast_tokenizer(SPECIALS, length=256, bos_first=True, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                          pad_token="</s>")  # fmt: skip


def tiny_llama(hidden=32, intermediate=64):
    tok = llama_tokenizer()
    tok.chat_template = chatml("")
    cfg = LlamaConfig(vocab_size=len(tok), hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=2,
                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5,
                      bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=False,
                      rope_parameters={"rope_type": "default", "rope_theta": 10000.0})  # fmt: skip
    model = half(LlamaForCausalLM(cfg))
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2, 4], pad_token_id=2)
    return model, tok


def llama():
    model, tok = tiny_llama()
    path = folder("llama")
    model.save_pretrained(path)
    tok.save_pretrained(path)


def texts(path, name):
    """A folder with all of llama but its weights."""
    for f in (OUT / name).iterdir():
        if f.suffix != ".safetensors" and not f.name.endswith("index.json"):
            (path / f.name).write_bytes(f.read_bytes())


def llama_sharded():
    path = folder("llama-sharded")
    texts(path, "llama")
    model = AutoModelForCausalLM.from_pretrained(OUT / "llama", dtype=torch.float16)
    model.save_pretrained(path, max_shard_size="30KB")


def torch_bin():
    state = load_file(OUT / "llama/model.safetensors")
    path = folder("llama-bin")
    texts(path, "llama")
    torch.save(state, path / "pytorch_model.bin")
    path = folder("llama-bin-legacy")
    texts(path, "llama")
    torch.save(state, path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    path = folder("llama-bin-sharded")
    texts(path, "llama")
    names = list(state)
    parts = [names[: len(names) // 2], names[len(names) // 2 :]]
    where = {}
    for i, part in enumerate(parts):
        file = f"pytorch_model-{i + 1:05}-of-{len(parts):05}.bin"
        torch.save({n: state[n] for n in part}, path / file)
        where |= dict.fromkeys(part, file)
    total = sum(t.numel() * t.element_size() for t in state.values())
    write_json(path / "pytorch_model.bin.index.json", {"metadata": {"total_size": total}, "weight_map": where})
    # what a training loop keeps: the model below a key, the optimizer with its moments, plain numbers
    small = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).to(torch.float32)
    opt = torch.optim.AdamW(small.parameters(), lr=1e-3)
    small(torch.randn(3, 8)).sum().backward()
    opt.step()
    path = folder("torch-training")
    torch.save({"epoch": 3, "global_step": 120, "best": 0.25, "args": {"lr": 1e-3, "name": "tiny", "layers": [8, 16, 4]},
                "model_state_dict": small.state_dict(), "optimizer_state_dict": opt.state_dict(), "rng": None},
               path / "checkpoint.pth")  # fmt: skip


def peft_lora():
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(OUT / "llama", dtype=torch.float16)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
                                            lora_dropout=0.05, task_type="CAUSAL_LM"))  # fmt: skip
    g = torch.Generator().manual_seed(3)
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data = (torch.randn(p.shape, generator=g) * 0.05).to(torch.float16)
    model.peft_config["default"].base_model_name_or_path = "../llama"
    path = folder("peft-lora")
    model.save_pretrained(path)
    readme = path / "README.md"
    if readme.exists():
        readme.unlink()


def mlx_folder():
    """llama as mlx-community has it: mlx_lm's own conversion at 4 bits."""
    from mlx_lm import convert

    from common import shutil
    target = OUT / "llama-mlx-4bit"
    shutil.rmtree(target, ignore_errors=True)
    convert(str(OUT / "llama"), str(target), quantize=True, q_bits=4, q_group_size=32)
    (target / "README.md").unlink(missing_ok=True)
    target = OUT / "llama-mlx-mxfp4"
    shutil.rmtree(target, ignore_errors=True)
    convert(str(OUT / "llama"), str(target), quantize=True, q_bits=4, q_group_size=32, q_mode="mxfp4")
    (target / "README.md").unlink(missing_ok=True)


def mlx_lora():
    """What mlx_lm.lora leaves after training: its arguments and the trainable parameters, by its own functions."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm import load
    from mlx_lm.lora import CONFIG_DEFAULTS
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import save_config

    mx.random.seed(5)
    model, _ = load(str(OUT / "llama"))
    model.freeze()
    parameters = {"rank": 4, "dropout": 0.0, "scale": 20.0}
    linear_to_lora_layers(model, 2, parameters)
    path = folder("mlx-lora")
    args = dict(CONFIG_DEFAULTS) | {"model": "../llama", "num_layers": 2, "lora_parameters": parameters,
                                    "train": True, "data": "data", "adapter_path": "adapters"}  # fmt: skip
    save_config(args, path / "adapter_config.json")
    weights = {}
    for name, p in tree_flatten(model.trainable_parameters()):
        weights[name] = mx.random.normal(p.shape) * 0.05
    mx.save_safetensors(str(path / "adapters.safetensors"), weights)


def bert():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words += ["##" + chr(c) for c in range(97, 123)] + ["the", "##ing", "and"]
    vocab = {w: i for i, w in enumerate(words)}
    tok = BertTokenizerFast(vocab=vocab, do_lower_case=True, model_max_length=64)
    cfg = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                     intermediate_size=32, max_position_embeddings=64)  # fmt: skip
    return half(BertModel(cfg)), tok


def bert_folder():
    model, tok = bert()
    path = folder("bert")
    model.save_pretrained(path)
    tok.save_pretrained(path)


def t5():
    from diffusion import t5_tokenizer

    tok, pieces = t5_tokenizer(128)
    cfg = T5Config(d_model=16, d_ff=32, d_kv=8, num_heads=2, num_layers=2, vocab_size=pieces, pad_token_id=0,
                   eos_token_id=1, decoder_start_token_id=0)  # fmt: skip
    path = folder("t5")
    half(T5ForConditionalGeneration(cfg)).save_pretrained(path)
    tok.save_pretrained(path)


def sentence_transformers():
    from sentence_transformers import SentenceTransformer

    try:
        from sentence_transformers.models import Normalize, Pooling, Transformer
    except ImportError:
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    first = Transformer(str(OUT / "bert"))
    first.max_seq_length = 32
    model = SentenceTransformer(modules=[first, Pooling(16, pooling_mode="mean"), Normalize()])
    path = folder("sentence-transformers")
    model.to(torch.float16).save(str(path), create_model_card=False)


KINDS = {
    "llama": llama, "llama-sharded": llama_sharded, "torch": torch_bin, "peft-lora": peft_lora,
    "llama-mlx": mlx_folder, "mlx-lora": mlx_lora, "bert": bert_folder, "t5": t5,
    "sentence-transformers": sentence_transformers,
}  # fmt: skip


def verify(path):
    name = path.name
    if name == "peft-lora":
        from peft import PeftModel

        base = AutoModelForCausalLM.from_pretrained(OUT / "llama", dtype=torch.float32)
        model = PeftModel.from_pretrained(base, path)
        saved = load_file(path / "adapter_model.safetensors")
        assert len(saved) == sum("lora_" in n for n, _ in model.named_parameters())
    elif name.startswith("llama-mlx") or name == "mlx-lora":
        from mlx_lm import load

        base = OUT / "llama" if name == "mlx-lora" else path
        load(str(base), adapter_path=str(path) if name == "mlx-lora" else None)
    elif name == "torch-training":
        torch.load(path / "checkpoint.pth", weights_only=True)
    elif name == "sentence-transformers":
        from sentence_transformers import SentenceTransformer

        assert SentenceTransformer(str(path)).encode(["the"]).shape == (1, 16)
    else:
        cls = {"bert": AutoModel, "t5": AutoModelForSeq2SeqLM}.get(name, AutoModelForCausalLM)
        _, info = cls.from_pretrained(path, output_loading_info=True)
        whole(info, name)
