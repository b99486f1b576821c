"""One-field mutations of every config document of the sound models."""
import json

from files import read_json

DOCUMENTS = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "model_index.json",
    "scheduler_config.json", "adapter_config.json", "modules.json", "sentence_bert_config.json",
    "config_sentence_transformers.json",
)  # fmt: skip
GONE = object()

# What a field of words may be instead: a value of the same field in other models.
OTHER = {
    "model_type": ["gemma2", "mistral"], "hidden_act": ["gelu", "relu"], "hidden_activation": ["silu"],
    "activation_function": ["relu"], "act_fn": ["relu"], "dtype": ["bfloat16", "float64"], "torch_dtype": ["bfloat16"],
    "rope_type": ["linear", "yarn", "default"], "prediction_type": ["v_prediction", "epsilon", "sample"],
    "timestep_spacing": ["linspace", "leading", "trailing"], "beta_schedule": ["linear", "squaredcos_cap_v2"],
    "algorithm_type": ["dpmsolver", "sde-dpmsolver++"], "solver_type": ["heun", "bh1"],
    "final_sigmas_type": ["sigma_min"], "variance_type": ["fixed_large"], "_class_name": ["UNet2DModel"],
    "tokenizer_class": ["LlamaTokenizer"], "bos_token": ["</s>"], "eos_token": ["<s>"], "pad_token": ["<unk>"],
    "mid_block_type": ["UNetMidBlock2D"], "task_type": ["SEQ_CLS"], "peft_type": ["ADALORA"], "bias": ["all"],
    "fine_tune_type": ["full"], "pooling_mode": ["cls", "max"], "mode": ["mxfp4", "affine"],
    "quant_method": ["awq", "gptq"], "scoring_func": ["softmax"], "topk_method": ["greedy"],
    "projector_hidden_act": ["relu"], "vision_feature_select_strategy": ["full"], "image_processor_type": ["CLIPImageProcessor"],
}  # fmt: skip


def variants(name, value):
    """(what was done, the value now); GONE takes the field out."""
    yield "deleted", GONE
    if value is None:
        yield "a number", 1
        return
    if isinstance(value, bool):
        yield "other", not value
        yield "wrong type", "yes"
    elif isinstance(value, (int, float)):
        yield "wrong type", "many"
        yield "zero", 0
        yield "negative", -value if value > 0 else -1
        yield "doubled", value * 2 if value else 2
        if isinstance(value, int):
            yield "one more", value + 1
            yield "halved", value // 2
        else:
            yield "halved", value / 2
            yield "off a little", value * 1.05
    elif isinstance(value, str):
        yield "wrong type", 7
        yield "empty", ""
        for other in OTHER.get(name, ["other"]):
            if other != value:
                yield "other: " + other, other
    elif isinstance(value, list):
        yield "wrong type", "many"
        yield "empty", []
        if value:
            yield "one less", value[:-1]
            yield "one more", value + value[-1:]
            first = value[0]
            if isinstance(first, (int, float)) and not isinstance(first, bool):
                yield "first doubled", [first * 2] + value[1:]
                if len(set(map(str, value))) > 1:
                    yield "reversed", value[::-1]
            elif isinstance(first, str):
                yield "first other", ["other"] + value[1:]
    elif isinstance(value, dict):
        yield "wrong type", 7


def fields(document, path=(), depth=0):
    """(path, value) of every field, objects before what is in them."""
    for name, value in document.items():
        if name == "added_tokens_decoder":
            yield path + (name,), value
            continue
        yield path + (name,), value
        if isinstance(value, dict) and depth < 3:
            yield from fields(value, path + (name,), depth + 1)


def changed(document, path, value):
    """A copy of the document with one field otherwise."""
    copy = json.loads(json.dumps(document))
    at = copy
    for name in path[:-1]:
        at = at[name]
    if value is GONE:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return copy


def documents(folder):
    """Config documents of a model, by their path inside of it."""
    for path in sorted(folder.rglob("*.json")):
        if path.name in DOCUMENTS and isinstance(read_json(path), dict):
            yield path.relative_to(folder)


def mutations(folder):
    """(document's path, field's path, what was done, the whole document now)"""
    for relative in documents(folder):
        document = read_json(folder / relative)
        for path, value in fields(document):
            for what, now in variants(path[-1], value):
                if now is GONE or now != value or type(now) is not type(value):
                    yield relative, path, what, changed(document, path, now)
