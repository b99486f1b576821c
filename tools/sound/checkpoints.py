"""Single files in the original layouts: the pipelines' own weights under the names that diffusers converts from."""
import json

import torch
from common import OUT, folder
from safetensors.torch import load_file, save_file

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
UNET = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}  # fmt: skip
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_name(name, layers, attentions):
    for ours, theirs in UNET.items():
        if name.startswith(ours + "."):
            return theirs + name[len(ours):]
    part = name.split(".")
    if part[0] == "mid_block":
        at = {"resnets": 2 * int(part[2]), "attentions": 1}[part[1]]
        rest, place = part[3:], f"middle_block.{at}"
    else:
        block, kind, number = int(part[1]), part[2], int(part[3])
        rest, down = part[4:], part[0] == "down_blocks"
        first = block * (layers + 1) + (1 if down else 0)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op." + part[-1]
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.{2 if f'up_blocks.{block}.attentions' in attentions else 1}." + ".".join(rest)
        place = f"{'input' if down else 'output'}_blocks.{first + number}.{0 if kind == 'resnets' else 1}"
    if (part[1] if part[0] == "mid_block" else part[2]) == "resnets":
        rest = [RESNET[rest[0]]] + rest[1:]
    return f"{place}." + ".".join(rest)


def unet(path):
    state = load_file(path / "diffusion_pytorch_model.safetensors")
    layers = json.loads((path / "config.json").read_text())["layers_per_block"]
    attentions = {".".join(n.split(".")[:3]) for n in state if ".attentions." in n}
    return {unet_name(n, layers, attentions): t for n, t in state.items()}


def vae_name(name, blocks):
    part = name.split(".")
    if part[1] in ("down_blocks", "up_blocks"):
        side = "down" if part[1] == "down_blocks" else "up"
        number = int(part[2]) if side == "down" else blocks - 1 - int(part[2])
        rest = ".".join(part[4:]).replace("conv_shortcut", "nin_shortcut")
        middle = f"block.{rest}" if part[3] == "resnets" else f"{side}sample.{'.'.join(part[5:])}"
        return f"{part[0]}.{side}.{number}.{middle}"
    if part[1] == "mid_block":
        if part[2] == "resnets":
            return f"{part[0]}.mid.block_{int(part[3]) + 1}." + ".".join(part[4:])
        leaf = ".".join(part[4:])
        for ours, theirs in ATTENTION.items():
            if leaf.startswith(ours + "."):
                leaf = theirs + leaf[len(ours):]
                break
        return f"{part[0]}.mid.attn_1.{leaf}"
    return name.replace("conv_norm_out", "norm_out")


def vae(path):
    state = load_file(path / "diffusion_pytorch_model.safetensors")
    blocks = len(json.loads((path / "config.json").read_text())["block_out_channels"])
    out = {}
    for n, t in state.items():
        name = vae_name(n, blocks)
        if ".attn_1." in name and name.endswith("weight") and ".norm." not in name:
            t = t[:, :, None, None]
        out[name] = t
    return out


def clip(path):
    state = load_file(path / "model.safetensors")
    return {(n if n.startswith("text_model.") else "text_model." + n): t for n, t in state.items()}


def under(prefix, state):
    return {prefix + n: t.contiguous().clone() for n, t in state.items()}


def sd1(name="checkpoint-sd1", base="sd1"):
    path = OUT / base
    state = (under("model.diffusion_model.", unet(path / "unet")) | under("first_stage_model.", vae(path / "vae"))
             | under("cond_stage_model.transformer.", clip(path / "text_encoder")))  # fmt: skip
    state["betas"] = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    save_file(state, folder(name) / f"{base}.safetensors", metadata={
        "modelspec.architecture": "stable-diffusion-v1", "modelspec.prediction_type": "epsilon"})  # fmt: skip


def vae_alone():
    save_file(under("", vae(OUT / "vae")), folder("checkpoint-vae") / "vae.safetensors")


FLUX = {"time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "context_embedder": "txt_in", "x_embedder": "img_in", "proj_out": "final_layer.linear"}  # fmt: skip
DOUBLE = {"norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin", "ff.net.0.proj": "img_mlp.0",
          "ff.net.2": "img_mlp.2", "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
          "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj"}  # fmt: skip
NORMS = {"attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm",
         "attn.norm_added_q": "txt_attn.norm.query_norm", "attn.norm_added_k": "txt_attn.norm.key_norm"}  # fmt: skip


def flux_state(state):
    out = {}
    for leaf in ("weight", "bias"):
        for ours, theirs in FLUX.items():
            if f"{ours}.{leaf}" in state:
                out[f"{theirs}.{leaf}"] = state[f"{ours}.{leaf}"]
        scale, shift = state[f"norm_out.linear.{leaf}"].chunk(2)
        out[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat([shift, scale])
        for i in range(sum(n.endswith("norm1.linear.weight") for n in state)):
            p, q = f"transformer_blocks.{i}.", f"double_blocks.{i}."
            for ours, theirs in DOUBLE.items():
                out[f"{q}{theirs}.{leaf}"] = state[f"{p}{ours}.{leaf}"]
            for side, names in (("img", ("to_q", "to_k", "to_v")), ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"))):
                out[f"{q}{side}_attn.qkv.{leaf}"] = torch.cat([state[f"{p}attn.{n}.{leaf}"] for n in names])
            for ours, theirs in NORMS.items():
                out[f"{q}{theirs}.scale"] = state[f"{p}{ours}.weight"]
        for i in range(sum(n.startswith("single_") and n.endswith(".norm.linear.weight") for n in state)):
            p, q = f"single_transformer_blocks.{i}.", f"single_blocks.{i}."
            out[f"{q}modulation.lin.{leaf}"] = state[f"{p}norm.linear.{leaf}"]
            out[f"{q}linear2.{leaf}"] = state[f"{p}proj_out.{leaf}"]
            out[f"{q}linear1.{leaf}"] = torch.cat(
                [state[f"{p}{n}.{leaf}"] for n in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")])
            for n in ("query", "key"):
                out[f"{q}norm.{n}_norm.scale"] = state[f"{p}attn.norm_{n[0]}.weight"]
    return out


def flux():
    state = flux_state(load_file(OUT / "flux/transformer/diffusion_pytorch_model.safetensors"))
    save_file(under("", state), folder("checkpoint-flux") / "flux1-tiny-dev.safetensors",
              metadata={"modelspec.architecture": "flux-1-dev"})  # fmt: skip


KINDS = {"checkpoint-sd1": sd1, "checkpoint-vae": vae_alone, "checkpoint-flux": flux}


def same(ours, theirs):
    assert set(ours) == set(theirs), sorted(set(ours) ^ set(theirs))[:6]
    for n in ours:
        assert torch.equal(ours[n], theirs[n]), n


def verify(path):
    """diffusers' conversion gives the pipeline's weights again, bit by bit."""
    from diffusers.loaders import single_file_utils as single

    state = load_file(next(path.glob("*.safetensors")))
    if path.name == "checkpoint-flux":
        # its split of linear1 is written for 3072 channels
        source = __import__("inspect").getsource(single.convert_flux_transformer_checkpoint_to_diffusers)
        scope = dict(vars(single))
        exec(source.replace("inner_dim = 3072", "inner_dim = 16"), scope)
        same(scope["convert_flux_transformer_checkpoint_to_diffusers"](dict(state)),
             load_file(OUT / "flux/transformer/diffusion_pytorch_model.safetensors"))  # fmt: skip
        return
    base = OUT / ("sd1" if path.name == "checkpoint-sd1" else ".")
    config = json.loads((base / "vae/config.json").read_text())
    same(single.convert_ldm_vae_checkpoint(dict(state), config),
         load_file(base / "vae/diffusion_pytorch_model.safetensors"))  # fmt: skip
    if path.name == "checkpoint-sd1":
        config = json.loads((base / "unet/config.json").read_text())
        same(single.convert_ldm_unet_checkpoint(dict(state), config),
             load_file(base / "unet/diffusion_pytorch_model.safetensors"))  # fmt: skip
