"""Kinds whose cause check does not name, and why: they count as not found. A kind that is found should leave this list."""
PARTS = "parts of single files are counted by block, not by tensor"
NOT_FOUND = {
    ("shards", "total size wrong"): "total_size is not read: nothing depends on it",
    ("quantized by others", "FP8 block missing"): "the scales tell Assay what the weights are; transformers needs the block",
    ("gguf metadata", "rotated dimensions halved"): "a partial rotation is possible by the format; that no llama has one is not known",
    ("gguf vocabulary", "way to split text missing"): "only the text that comes out tells, and these weights are random",
    ("gguf vocabulary", "merges missing"): "the reader takes a vocabulary without merges; llama.cpp refuses it",
    ("component fields", "padding of the tokenizer"): "which token pads is not among the published settings yet",
    ("noise schedule", "tiny VAE with another factor"): "the tiny VAEs' factors are not among the published settings yet",
    ("single files", "tensor of the UNet missing"): PARTS,
    ("single files", "tensor of the VAE missing"): PARTS,
    ("single files", "tensor of the encoder missing"): PARTS,
    ("single files", "tensor of FLUX missing"): PARTS,
    ("single files", "tensor of a lone VAE missing"): PARTS,
    ("single files", "block of a lone VAE missing"): PARTS,
    ("single files", "prediction of another model"): "the prediction in the metadata is not held against the family",
    ("adapters", "targets missing"): "PEFT then takes targets by the base's model_type, which is not read",
    ("adapters", "modules saved whole not named"): "whole modules are taken for what they are by their names",
}  # fmt: skip
