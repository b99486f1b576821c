"""Kinds whose cause check does not name, and why: they count as not found. A kind that is found should leave this list."""
NOT_FOUND = {
    ("shards", "total size wrong"): "total_size is not read: nothing depends on it",
    ("gguf metadata", "rotated dimensions halved"): "a partial rotation is possible by the format; that no llama has one is not known",
    ("component fields", "padding of the tokenizer"): "which token pads is not among the published settings yet",
    ("noise schedule", "tiny VAE with another factor"): "the tiny VAEs' factors are not among the published settings yet",
    ("adapters", "targets missing"): "PEFT then takes targets by the base's model_type, which is not read",
    ("adapters", "modules saved whole not named"): "whole modules are taken for what they are by their names",
}  # fmt: skip
