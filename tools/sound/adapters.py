"""Adapters of llama, sd1 and flux in each library's own names; the libraries convert and load them."""
import json

import torch
from common import OUT, folder
from safetensors.torch import load_file, save_file

RANK = 4


def noise(shape, seed):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.05).to(torch.float16)


def fill(model, match="lora_"):
    for i, (name, p) in enumerate(model.named_parameters()):
        if match in name and "magnitude" not in name:
            p.data = noise(p.shape, i).to(p.dtype)


def peft_dora():
    """DoRA, one module with a rank of its own, the output head trained whole."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(OUT / "llama", dtype=torch.float16)
    model = get_peft_model(base, LoraConfig(
        r=RANK, lora_alpha=8, target_modules=["q_proj", "o_proj", "embed_tokens"], use_dora=True,
        rank_pattern={"layers.1.self_attn.o_proj": 2}, modules_to_save=["lm_head"], task_type="CAUSAL_LM"))  # fmt: skip
    fill(model)
    model.peft_config["default"].base_model_name_or_path = "../llama"
    path = folder("peft-dora")
    model.save_pretrained(path, save_embedding_layers=False)
    (path / "README.md").unlink(missing_ok=True)


def unet_lora():
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig

    pipe = StableDiffusionPipeline.from_pretrained(OUT / "sd1", torch_dtype=torch.float16)
    pipe.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=8, target_modules=["to_q", "to_v", "conv1"]))
    pipe.text_encoder.add_adapter(LoraConfig(r=RANK, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    for part in (pipe.unet, pipe.text_encoder):
        fill(part)
    return pipe


def diffusers_lora():
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    pipe = unet_lora()
    path = folder("diffusers-lora")
    StableDiffusionPipeline.save_lora_weights(
        path, unet_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.unet)),
        text_encoder_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.text_encoder)),
        unet_lora_adapter_metadata={"r": RANK, "lora_alpha": 8, "target_modules": ["to_q", "to_v", "conv1"]},
        text_encoder_lora_adapter_metadata={"r": RANK, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]})  # fmt: skip


def kohya_lora():
    """By diffusers' own conversion of PEFT's names; each pair with its alpha, settings in the metadata."""
    from diffusers.utils import convert_all_state_dict_to_peft, convert_state_dict_to_kohya

    state = convert_all_state_dict_to_peft(load_file(OUT / "diffusers-lora/pytorch_lora_weights.safetensors"))
    kohya = convert_state_dict_to_kohya(state)
    # of attention it leaves older names; kohya's scripts name the encoder as transformers 4 does
    for old, new in (("_lora.down.", ".lora_down."), ("_lora.up.", ".lora_up."),
                     ("lora_te1_encoder_", "lora_te_text_model_encoder_")):  # fmt: skip
        kohya = {n.replace(old, new): t for n, t in kohya.items()}
    for name in [n for n in kohya if n.endswith(".lora_down.weight")]:
        kohya[name.replace("lora_down.weight", "alpha")] = torch.tensor(8.0, dtype=torch.float16)
    save_file({n: t.contiguous() for n, t in kohya.items()}, folder("kohya-lora") / "tiny_style.safetensors",
              metadata={"ss_network_module": "networks.lora", "ss_network_dim": str(RANK), "ss_network_alpha": "8.0",
                        "ss_base_model_version": "sd_v1", "ss_sd_model_name": "sd1.safetensors"})  # fmt: skip


def xlabs_lora():
    width = 16
    state = {}
    for n in range(1):
        for k in ("1", "2"):
            for part, out in (("qkv", 3 * width), ("proj", width)):
                name = f"double_blocks.{n}.processor.{part}_lora{k}"
                state[name + ".down.weight"] = noise((RANK, width), len(state))
                state[name + ".up.weight"] = noise((out, RANK), len(state))
    save_file(state, folder("xlabs-lora") / "lora.safetensors", metadata={"format": "pt"})


def mlx_dora():
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm import load
    from mlx_lm.lora import CONFIG_DEFAULTS
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import save_config

    mx.random.seed(6)
    model, _ = load(str(OUT / "llama"))
    model.freeze()
    parameters = {"rank": RANK, "dropout": 0.0, "scale": 20.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}
    linear_to_lora_layers(model, 1, parameters, use_dora=True)
    path = folder("mlx-dora")
    save_config(dict(CONFIG_DEFAULTS) | {"model": "../llama", "num_layers": 1, "lora_parameters": parameters,
                                         "fine_tune_type": "dora"}, path / "adapter_config.json")  # fmt: skip
    weights = {n: p if n.endswith(".m") else mx.random.normal(p.shape) * 0.05
               for n, p in tree_flatten(model.trainable_parameters())}  # fmt: skip
    mx.save_safetensors(str(path / "adapters.safetensors"), weights)


def gguf_lora():
    """The keys and names of llama.cpp's convert_lora_to_gguf.py."""
    import gguf

    out = folder("gguf-lora")
    writer = gguf.GGUFWriter(out / "lora.gguf", "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for n in range(2):
        for name, ins, outs in (("attn_q", 32, 32), ("attn_v", 32, 16)):
            writer.add_tensor(f"blk.{n}.{name}.weight.lora_a", noise((RANK, ins), n).numpy())
            writer.add_tensor(f"blk.{n}.{name}.weight.lora_b", noise((outs, RANK), n + 9).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


KINDS = {"peft-dora": peft_dora, "diffusers-lora": diffusers_lora, "kohya-lora": kohya_lora, "xlabs-lora": xlabs_lora,
         "mlx-dora": mlx_dora, "gguf-lora": gguf_lora}  # fmt: skip


def verify(path):
    if path.name in ("diffusers-lora", "kohya-lora", "xlabs-lora"):
        from diffusers import FluxPipeline, StableDiffusionPipeline

        cls, base = (FluxPipeline, "flux") if path.name == "xlabs-lora" else (StableDiffusionPipeline, "sd1")
        pipe = cls.from_pretrained(OUT / base)
        file = next(path.glob("*.safetensors")).name
        if path.name == "kohya-lora":  # diffusers 0.42 cannot map kohya's text encoder names to transformers 5
            state, alphas = cls.lora_state_dict(path, weight_name=file)
            unet = {n: t for n, t in state.items() if n.startswith("unet.")}
            assert len(state) == 2 * len(alphas) and len(unet) == 48, (len(state), len(alphas), len(unet))
            cls.load_lora_into_unet(unet, alphas, pipe.unet)
            assert pipe.unet.peft_config
        else:
            pipe.load_lora_weights(path, weight_name=file)
            assert pipe.get_list_adapters(), path
    elif path.name == "peft-dora":
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        config = json.loads((path / "adapter_config.json").read_text())
        assert config["use_dora"]
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(OUT / "llama"), path)
    elif path.name == "mlx-dora":
        from mlx_lm import load

        load(str(OUT / "llama"), adapter_path=str(path))
    else:
        import gguf

        assert len(gguf.GGUFReader(next(path.glob("*.gguf"))).tensors) == 8
