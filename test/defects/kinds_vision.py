"""Defects of vision-language models: tower, projector, language model, tokens of images, processor, template."""
import math

from planting import (
    all_of, config, dropped, put, removed, replaced, reshaped, setting, text, values, weights, without,
)  # fmt: skip

C, P, J = "config.json", "processor_config.json", "chat_template.jinja"
VC, TX, IP = "vision_config.", "text_config.", "image_processor."
SHAPE = ["shape.mismatch", "component.shape-mismatch"]  # the second names the field
MISSING = ["tensor.missing", "component.tensor-missing"]
DEPTH = MISSING + ["tensor.unexpected", "component.shape-mismatch"]
BOUND = ["config.invalid-value", "config.contradiction"]
OWN = ["config.unpublished-value"]
PLACES = ["vision.positions"] + SHAPE
TOKEN = ["vision.token-id", "vision.image-tokens"]
COUNT = ["vision.image-tokens", "vision.processor-mismatch"]


def lost(part):
    """Every tensor with that part in its name."""
    return weights(lambda m: [m.drop(n) for n in list(m.header) if part in n])


TOWER = [
    ("tower one layer deeper", "llava", setting(C, VC + "num_hidden_layers", 4), DEPTH),
    ("tower one layer shallower", "idefics3", setting(C, VC + "num_hidden_layers", 1), DEPTH),
    ("tower deeper, Qwen", "qwen2_vl", setting(C, VC + "depth", 3), DEPTH),
    ("tower wider", "llava", setting(C, VC + "hidden_size", 32), SHAPE),
    ("tower wider, Qwen", "qwen2_vl", setting(C, VC + "embed_dim", 32), SHAPE),
    ("tower wider inside", "paligemma", setting(C, VC + "intermediate_size", 64), SHAPE),
    ("ratio of the tower", "qwen2_vl", setting(C, VC + "mlp_ratio", 4), SHAPE),
    ("heads of the tower no divisor", "llava", setting(C, VC + "num_attention_heads", 3), BOUND),
    ("heads of the tower no divisor, Qwen", "qwen3_vl", setting(C, VC + "num_heads", 3), BOUND),
    ("heads of the tower zero", "gemma3", setting(C, VC + "num_attention_heads", 0), BOUND),
    ("channels of images", "llava", setting(C, VC + "num_channels", 4), SHAPE),
    ("channels of images, Qwen", "qwen2_vl", setting(C, VC + "in_channels", 1), SHAPE),
    ("frames of a patch", "qwen2_vl", setting(C, VC + "temporal_patch_size", 1), SHAPE),
    ("patches larger", "llava", setting(C, VC + "patch_size", 16), PLACES),
    ("patches smaller, Qwen", "qwen3_vl", setting(C, VC + "patch_size", 14), SHAPE),
    ("images larger", "llava", setting(C, VC + "image_size", 336), PLACES),
    ("images larger, Gemma", "gemma3", setting(C, VC + "image_size", 896), PLACES),
    ("images larger, InternVL", "internvl", setting(C, VC + "image_size", [448, 448]), PLACES),
    ("positions of the tower", "qwen3_vl", setting(C, VC + "num_position_embeddings", 64), PLACES),
    ("activation of the tower", "llava", setting(C, VC + "hidden_act", "relu"), OWN),
    ("activation of the tower unknown", "paligemma", setting(C, VC + "hidden_act", "gelu_tahn"), OWN + ["config.invalid-value"]),
    ("epsilon of the tower", "paligemma", setting(C, VC + "layer_norm_eps", 0.1), OWN + ["config.invalid-value"]),
    ("epsilon of the tower zero", "gemma3", setting(C, VC + "layer_norm_eps", 0.0), ["config.invalid-value"] + OWN),
    ("tower of another kind", "llava", setting(C, VC + "model_type", "siglip_vision_model"), MISSING + ["tensor.unexpected"] + SHAPE + OWN),
    ("layer of features beyond the tower", "llava", setting(C, "vision_feature_layer", -9), ["vision.feature-layer"]),
    ("deepstack beyond the tower", "qwen3_vl", setting(C, VC + "deepstack_visual_indexes", [5]),
     ["vision.feature-layer"] + BOUND),
    ("positions lost", "llava", weights(dropped("position_embedding.weight")), MISSING),
    ("class embedding lost", "llava", weights(dropped("class_embedding")), MISSING),
    ("bias of the tower lost", "idefics3", weights(dropped("vision_model.encoder.layers.1.mlp.fc1.bias")), MISSING),
    ("matrix of the tower lost", "qwen2_5_vl", weights(dropped("blocks.0.attn.qkv.weight")), MISSING),
    ("a layer of the tower lost", "paligemma", lost("vision_tower.encoder.layers.1."), DEPTH),
    ("the tower lost", "llava", lost("vision_tower."), MISSING),
    ("patches of another size stored", "gemma3", weights(reshaped("patch_embedding.weight", [16, 3, 16, 16])), SHAPE),
    ("NaN in the tower", "llava", values("vision_tower.encoder.layers.0.mlp.fc1.weight", lambda v: put(v, 2, math.nan)),
     ["tensor.not-finite"], "values"),
    ("tower all zero", "qwen2_vl", values("visual.blocks.0.mlp.fc1.weight", lambda v: [0.0] * len(v)),
     ["tensor.all-zero"], "values"),
]  # fmt: skip

PROJECTOR = [
    ("projector lost", "llava", lost("multi_modal_projector."), MISSING),
    ("a bias of the projector lost", "llava", weights(dropped("linear_2.bias")), MISSING),
    ("merger lost", "qwen2_vl", lost("visual.merger."), MISSING),
    ("connector lost", "idefics3", lost("connector."), MISSING),
    ("separator of rows lost", "llava_next", lost("image_newline"), MISSING),
    ("separator of rows of another width", "llava_next", weights(reshaped("image_newline", [24])), SHAPE + ["vision.projector-mismatch"]),
    ("bias of the merger's norm lost", "qwen2_vl", weights(dropped("merger.ln_q.bias")), MISSING),
    ("a gate of cross-attention lost", "mllama", weights(dropped("cross_attn_mlp_gate")), MISSING),
    ("gates of cross-attention lost", "mllama", lost("cross_attn_"), MISSING),
    ("norms of cross-attention lost", "mllama", lost(".cross_attn.q_norm"), MISSING),
    ("cross-attention of a layer lost", "mllama", lost(".cross_attn"), DEPTH),
    ("self-attention of a layer lost", "mllama", lost("layers.0.self_attn"), DEPTH),
    ("gates of the tower lost", "mllama", lost("gate_attn"), MISSING),
    ("gate of positions lost", "mllama", lost("gated_positional_embedding.gate"), MISSING),
    ("biases of the projector lost", "llava", all_of(weights(dropped("linear_1.bias")), weights(dropped("linear_2.bias"))), DEPTH),
    ("projector takes another width", "llava", weights(reshaped("linear_1.weight", [16, 32])), SHAPE + ["vision.projector-mismatch"]),
    ("projector gives another width", "llava", all_of(weights(reshaped("linear_2.weight", [32, 16])), weights(reshaped("linear_2.bias", [32]))),
     SHAPE + ["vision.projector-mismatch"]),
    ("projector of PaliGemma gives another width", "paligemma", weights(reshaped("multi_modal_projector.linear.weight", [24, 16])),
     SHAPE + ["vision.projector-mismatch"]),
    ("merger takes another width", "qwen2_vl", weights(reshaped("merger.mlp.0.weight", [64, 32])), SHAPE + ["vision.projector-mismatch"]),
    ("width of projection", "paligemma", all_of(config(projection_dim=32), setting(C, VC + "projection_dim", 32)), SHAPE + ["vision.projector-mismatch"]),
    ("merged patches", "qwen2_vl", setting(C, VC + "spatial_merge_size", 4), SHAPE + ["vision.projector-mismatch"]),
    ("merged patches, Qwen 2.5", "qwen2_5_vl", setting(C, VC + "spatial_merge_size", 1), SHAPE + ["vision.projector-mismatch"]),
    ("scale of the connector", "idefics3", config(scale_factor=4), SHAPE + ["vision.projector-mismatch"]),
    ("ratio of downsampling", "internvl", config(downsample_ratio=0.25), SHAPE + ["vision.projector-mismatch"]),
    ("width out of the merger", "qwen3_vl", setting(C, VC + "out_hidden_size", 32), SHAPE + ["vision.projector-mismatch"]),
    ("biases of the projector denied", "llava", config(multimodal_projector_bias=False), DEPTH),
    ("activation of the projector unknown", "llava", config(projector_hidden_act="geluu"), OWN + ["config.invalid-value"]),
    ("width of the language model", "llava", setting(C, TX + "hidden_size", 32), SHAPE),
    ("layers of the language model", "qwen2_vl", setting(C, TX + "num_hidden_layers", 3), DEPTH + ["config.invalid-value"]),
    ("KV heads of the language model", "idefics3", setting(C, TX + "num_key_value_heads", 4), SHAPE),
    ("layers of cross-attention", "mllama", setting(C, TX + "cross_attention_layers", [0]), DEPTH),
    ("cross-attention beyond the layers", "mllama", setting(C, TX + "cross_attention_layers", [7]), DEPTH + BOUND),
    ("sections of rotation too few", "qwen2_vl", setting(C, TX + "rope_parameters.mrope_section", [1, 1, 1]), ["vision.mrope"]),
    ("sections of rotation too many", "qwen3_vl", setting(C, TX + "rope_parameters.mrope_section", [4, 2, 2]), ["vision.mrope"]),
]  # fmt: skip

TOKENS = [
    ("image token beyond the vocabulary", "llava", config(image_token_index=5000), TOKEN),
    ("image token beyond the vocabulary, Qwen", "qwen2_vl", config(image_token_id=151655), TOKEN),
    ("image token another word", "llava", config(image_token_index=20), TOKEN),
    ("image token negative", "idefics3", config(image_token_id=-1), TOKEN + ["config.invalid-value"]),
    ("image token missing", "qwen2_vl", without(C, "image_token_id"), TOKEN + ["config.missing-field"]),
    ("image token of Gemma another", "gemma3", config(image_token_index=7), TOKEN),
    ("start of images beyond the vocabulary", "gemma3", config(boi_token_index=255999), TOKEN),
    ("start of vision another", "qwen2_vl", config(vision_start_token_id=5), TOKEN),
    ("video token beyond the vocabulary", "qwen3_vl", config(video_token_id=151656), TOKEN),
    ("tokens of an image", "gemma3", config(mm_tokens_per_image=9), COUNT + SHAPE),
    ("tokens of an image, in the processor", "idefics3", setting(P, "image_seq_len", 169), COUNT),
    ("tokens of an image, InternVL", "internvl", setting(P, "image_seq_length", 256), COUNT),
    ("tokens of an image, PaliGemma", "paligemma", setting(P, IP + "image_seq_length", 256), COUNT),
    ("template without images", "llava", text(J, "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}{{ c['text'] }}{% endfor %}\n{% endfor %}"),
     ["vision.placeholder"]),
    ("template writes another marker", "llava", replaced(J, "<image>", "<picture>", 9), ["vision.placeholder", "template.unknown-token"]),
]  # fmt: skip

PROCESSOR = [
    ("processor missing", "llava", removed(P), ["vision.processor-missing"]),
    ("processor missing, Qwen", "qwen3_vl", removed(P), ["vision.processor-missing"]),
    ("processor no JSON", "llava", text(P, "{"), ["json.malformed"]),
    ("processor of images missing inside", "gemma3", without(P, "image_processor"), ["vision.processor-missing"]),
    ("class of another processor", "llava", setting(P, "processor_class", "Qwen2VLProcessor"), ["vision.processor-class"]),
    ("class of another processor of images", "gemma3", setting(P, IP + "image_processor_type", "Qwen2VLImageProcessor"), ["vision.processor-class"]),
    ("mean of another", "llava", setting(P, IP + "image_mean", [0.5, 0.5, 0.5]), OWN),
    ("mean of two channels", "llava", setting(P, IP + "image_mean", [0.5, 0.5]), OWN + ["config.invalid-value", "vision.processor-mismatch"]),
    ("mean in 255", "paligemma", setting(P, IP + "image_mean", [127.5, 127.5, 127.5]), OWN + ["config.invalid-value"]),
    ("deviation of another", "qwen2_vl", setting(P, IP + "image_std", [0.5, 0.5, 0.5]), OWN),
    ("deviation zero", "gemma3", setting(P, IP + "image_std", [0.0, 0.5, 0.5]), OWN + ["config.invalid-value"]),
    ("resampling of another", "llava", setting(P, IP + "resample", 0), OWN),
    ("resampling unknown", "gemma3", setting(P, IP + "resample", 9), OWN + ["config.invalid-value"]),
    ("rescaled twice", "paligemma", setting(P, IP + "rescale_factor", 1.53787e-05), OWN),
    ("rescaling left out", "llava", setting(P, IP + "do_rescale", False), OWN),
    ("normalizing left out", "gemma3", setting(P, IP + "do_normalize", False), OWN),
    ("size of images", "gemma3", setting(P, IP + "size", {"height": 224, "width": 224}), ["vision.processor-mismatch"]),
    ("cut of images", "llava", setting(P, IP + "crop_size", {"height": 336, "width": 336}), ["vision.processor-mismatch"]),
    ("cut left out", "llava", setting(P, IP + "do_center_crop", False), OWN + ["vision.processor-mismatch"]),
    ("patches of the processor", "qwen2_vl", setting(P, IP + "patch_size", 16), ["vision.processor-mismatch"]),
    ("patches of the processor, LLaVA", "llava", setting(P, "patch_size", 16), ["vision.processor-mismatch", "vision.image-tokens"]),
    ("merging of the processor", "qwen2_vl", setting(P, IP + "merge_size", 1), ["vision.processor-mismatch"]),
    ("frames of the processor", "qwen3_vl", setting(P, IP + "temporal_patch_size", 1), ["vision.processor-mismatch"]),
    ("tiles of the processor", "mllama", setting(P, IP + "max_image_tiles", 8), ["vision.processor-mismatch"]),
    ("choice of features", "llava", setting(P, "vision_feature_select_strategy", "full"),
     ["vision.processor-mismatch", "vision.image-tokens"]),
    ("largest image below a patch", "qwen2_vl", setting(P, IP + "size", {"shortest_edge": 784, "longest_edge": 100}),
     ["vision.processor-mismatch", "config.invalid-value"]),
]  # fmt: skip

KINDS = {"vision towers": TOWER, "vision projectors": PROJECTOR, "vision tokens": TOKENS, "vision processors": PROCESSOR}
