"""Defects of components of pipelines and of sentence-transformers whose weights are PyTorch's files."""
from planting import dropped, raw, removed, reshaped, setting
from sound import SOUND
from torch_files import torch_weights

U, V, T = "unet/config.json", "vae/config.json", "text_encoder/config.json"
UB, VB, TB = "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.bin", "text_encoder/pytorch_model.bin"
SD1, FLUX, WORDS = "sd1-torch", "flux-torch", "sentence-transformers-torch"
SHAPE = ["component.shape-mismatch"]


def of(model, file, change=None, more=b""):
    name = file.replace("pytorch_model.bin", "model.safetensors") if "/pytorch_model" in file or file.startswith("py") else (
        file.replace(".bin", ".safetensors"))  # fmt: skip
    return torch_weights(SOUND / model / name, file, change, more)


def named(old, new):
    def plant(folder):
        (folder / old).rename(folder / new)

    return plant


KINDS = {
    "PyTorch's files": [
        ("channels in", SD1, setting(U, "in_channels", 8), SHAPE + ["pipeline.disagreement"]),
        ("text width", SD1, setting(U, "cross_attention_dim", 32), SHAPE + ["pipeline.disagreement"]),
        ("latent channels", SD1, setting(V, "latent_channels", 8), SHAPE + ["pipeline.disagreement"]),
        ("layers of the encoder", SD1, setting(T, "num_hidden_layers", 5), SHAPE + ["component.tensor-missing"]),
        ("width of the second text", FLUX, setting("text_encoder_2/config.json", "d_model", 64), SHAPE + ["pipeline.disagreement"]),
        ("matrix of another shape", SD1, of("sd1", UB, reshaped("attn2.to_k.weight", [8, 24])), SHAPE),
        ("tensor missing", SD1, of("sd1", UB, dropped("mid_block")), ["component.tensor-missing"]),
        ("tensor missing in the VAE", SD1, of("sd1", VB, dropped("decoder.conv_in.bias")), ["component.tensor-missing"]),
        ("tensor missing in the encoder", SD1, of("sd1", TB, dropped("layers.0.mlp.fc1.bias")), ["component.tensor-missing"]),
        ("weights missing", SD1, removed(VB), ["component.no-weights"]),
        ("weights cut short", SD1, raw(lambda d: d[: len(d) // 2], UB), ["zip.malformed", "torch.malformed"]),
        ("a program beside the weights", SD1, of("sd1", VB, more=b"cos\nsystem\nX\x06\x00\x00\x00echo 1\x85R0"), ["pickle.unsafe"]),
        ("weights of a trainer in their place", SD1, named(UB, "unet/optimizer.bin"), ["model.not-read", "component.no-weights"]),
        ("vocabulary of the encoder", WORDS, setting("config.json", "vocab_size", 1000), SHAPE + ["tokenizer.vocab-exceeds-embedding"]),
        ("width of the encoder", WORDS, setting("config.json", "hidden_size", 32), SHAPE + ["embedding.width-mismatch"]),
        ("encoder without its first layer", WORDS,
         of("sentence-transformers", "pytorch_model.bin", lambda m: [m.drop(n) for n in list(m.header) if "layer.0." in n]),
         ["component.tensor-missing"] + SHAPE),
        ("safetensors without tensors beside them", SD1,
         lambda folder: (folder / "vae/diffusion_pytorch_model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"{}      "),
         ["component.no-weights"]),
    ],
}  # fmt: skip
