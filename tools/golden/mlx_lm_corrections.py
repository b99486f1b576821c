"""What mlx-lm 0.32.2 computes differently from transformers 5.23, and how to
undo each in a model that mlx-lm has loaded.

A correction is applied only where the config calls for it; each is named, so
that check_mlx_lm.py --corrected can say which of them made the logits agree.
"""

import math

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models import deepseek_v3
from mlx_lm.models.base import create_causal_mask


class Windowed(nn.Module):
    """A layer whose mask is replaced by that of a sliding window."""

    def __init__(self, layer, window):
        super().__init__()
        self.layer = layer
        self.window = window
        self.use_sliding = False  # mlx-lm's llama asks; the mask is ours

    def __call__(self, x, mask=None, cache=None):
        mask = create_causal_mask(x.shape[1], window_size=self.window)
        return self.layer(x, mask, cache)


class Scaled(nn.Module):
    """An embedding times a factor; its use as output stays as it was."""

    def __init__(self, embedding, factor):
        super().__init__()
        self.embedding = embedding
        self.factor = factor

    def __call__(self, ids):
        return self.embedding(ids) * self.factor

    def as_linear(self, x):
        return self.embedding.as_linear(x)


def config_overrides(config):
    """Fields for load_model that mlx-lm reads wrongly: {correction: fields}."""
    types = config.get("layer_types") or []
    if config["model_type"] == "gemma3_text" and "full_attention" in types:
        period = types.index("full_attention") + 1
        if config.get("sliding_window_pattern") != period:
            return {"window pattern": {"sliding_window_pattern": period}}
    return {}


def windowed_layers(config):
    """Indices of sliding layers where mlx-lm's model has no window."""
    count = config["num_hidden_layers"]
    types = config.get("layer_types")
    kind = config["model_type"]
    if not config.get("sliding_window"):
        return []
    if kind in ("mistral", "phi3"):  # every layer, unless told otherwise
        types = types or ["sliding_attention"] * count
    if kind in ("mistral", "phi3", "gemma2", "qwen2"):
        return [i for i, t in enumerate(types or []) if t == "sliding_attention"]
    return []


def each_rope(model):
    for layer in model.model.layers:
        layer = getattr(layer, "layer", layer)
        yield layer.self_attn.rope


def yarn_frequencies(rope, scaling, theta):
    """YaRN's wavelengths with a ramp between the ends as they are computed."""
    dims, original = rope.dims, scaling["original_max_position_embeddings"]

    def end(rotations):
        ratio = original / (rotations * 2 * math.pi)
        return dims * math.log(ratio) / (2 * math.log(theta))

    low = max(end(scaling.get("beta_fast", 32)), 0)
    high = min(end(scaling.get("beta_slow", 1)), dims - 1)
    plain = theta ** (mx.arange(0, dims, 2, dtype=mx.float32) / dims)
    index = mx.arange(dims // 2, dtype=mx.float32)
    ramp = mx.clip((index - low) / (high - low), 0, 1)
    return 1 / (ramp / (scaling["factor"] * plain) + (1 - ramp) / plain)


def select_of_groups(
    gates, bias, top_k, n_group, topk_group, scaling_factor, norm_topk_prob
):
    """mlx-lm's choice of experts with -inf, not 0, for groups left out."""
    own = mx.sigmoid(gates.astype(mx.float32))
    scores = mx.unflatten(own + bias, axis=-1, shape=(n_group, -1))
    groups = mx.topk(scores, 2, axis=-1).sum(axis=-1, keepdims=True)
    out = mx.argsort(groups, axis=-2)[..., : n_group - topk_group, :]
    scores = mx.put_along_axis(scores, out, mx.array(-mx.inf), axis=-2)
    scores = mx.flatten(scores, -2, -1)
    chosen = mx.argsort(-scores, axis=-1)[..., :top_k]
    weights = mx.take_along_axis(own, chosen, axis=-1)
    if norm_topk_prob:
        weights = weights / weights.sum(axis=-1, keepdims=True)
    return chosen, weights * scaling_factor


def apply(model, config, length):
    """Applies what the config calls for; returns the names of corrections."""
    names = []
    windows = windowed_layers(config)
    for i in windows:
        layers = model.model.layers
        layers[i] = Windowed(layers[i], config["sliding_window"])
    if windows:
        names.append("no sliding window")
    if config["model_type"] == "gemma3_text":
        root = math.sqrt(config["hidden_size"])
        rounded = mx.array(root, mx.bfloat16).astype(mx.float32).item()
        embedding = model.model.embed_tokens
        model.model.embed_tokens = Scaled(embedding, root / rounded)
        names.append("embedding scale in bfloat16")
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type")
    if kind == "yarn" and scaling.get("truncate") is False:
        for rope in each_rope(model):
            rope._freqs = yarn_frequencies(rope, scaling, config["rope_theta"])
        names.append("YaRN's ramp rounded")
    original = config.get("original_max_position_embeddings")
    if kind == "longrope" and length <= original:
        for rope in each_rope(model):
            ratio = [
                short / long
                for short, long in zip(
                    scaling["short_factor"], scaling["long_factor"]
                )
            ]
            rope._freqs = rope._freqs * mx.array(ratio, dtype=mx.float32)
        names.append("long factors for a short text")
    grouped = (config.get("n_group") or 1) > 1
    if config["model_type"] == "deepseek_v3" and grouped:
        deepseek_v3.group_expert_select = select_of_groups
        names.append("0 for groups left out")
    return names
