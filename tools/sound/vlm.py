"""Vision-language folders as save_pretrained writes them. Runs under transformers 5 and, for the older dialect, 4."""
import json

import torch
import transformers
from common import chatml, fast_tokenizer, folder, half, plain, whole
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig

V5 = transformers.__version__.startswith("5")
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF3 = [0.5, 0.5, 0.5]
TEXT = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=512, rms_norm_eps=1e-5)  # fmt: skip


def rope(theta, **more):
    if V5:
        return {"rope_parameters": {"rope_type": "default", "rope_theta": theta, **more}}
    return {"rope_theta": theta, **({"rope_scaling": {"type": "default", **more}} if more else {})}


def image(name, **kw):
    cls = getattr(transformers, name if V5 or hasattr(transformers, name) else name + "Fast")
    return cls(**kw)


def tokenizer(specials, **roles):
    tok = fast_tokenizer(specials, length=512, **roles)
    return tok, (lambda t: tok.convert_tokens_to_ids(t)), len(tok)


def save(name, cfg, processor, generation):
    path = folder(name if V5 else name + "-v4")
    torch.manual_seed(1)
    model = half(AutoModelForImageTextToText.from_config(cfg))
    model.generation_config = GenerationConfig(**generation)
    model.save_pretrained(path)
    processor.save_pretrained(path)
    text = path / "tokenizer.json"  # without white space
    text.write_text(json.dumps(json.loads(text.read_text()), ensure_ascii=False, separators=(",", ":")))
    return path


def llava(which="llava"):
    specials = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    tok, tid, vocab = tokenizer(specials, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
                                bos_first=True, extra_special_tokens={"image_token": "<image>"})  # fmt: skip
    more = {"image_grid_pinpoints": [[28, 56], [56, 28], [56, 56]]} if which == "llava_next" else {}
    cfg = AutoConfig.for_model(
        which, image_token_index=tid("<image>"), projector_hidden_act="gelu", vision_feature_layer=-2,
        vision_feature_select_strategy="default", tie_word_embeddings=False, **more,
        image_seq_length=4,
        text_config=dict(model_type="llama", vocab_size=vocab, bos_token_id=1, eos_token_id=2, pad_token_id=3,
                         tie_word_embeddings=False, **TEXT, **rope(10000.0)),
        vision_config=dict(model_type="clip_vision_model", hidden_size=16, intermediate_size=32, num_hidden_layers=3,
                           num_attention_heads=2, image_size=28, patch_size=14, projection_dim=16, vocab_size=vocab),
    )  # fmt: skip
    crop = dict(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_mean=CLIP_MEAN,
                image_std=CLIP_STD, resample=3, do_convert_rgb=True)  # fmt: skip
    ip = image("LlavaImageProcessor" if which == "llava" and V5 else
               "CLIPImageProcessor" if which == "llava" else "LlavaNextImageProcessor", **crop, **more)  # fmt: skip
    cls = transformers.LlavaProcessor if which == "llava" else transformers.LlavaNextProcessor
    proc = cls(ip, tok, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
               chat_template=plain("<image>\n"))  # fmt: skip
    return save(which, cfg, proc, dict(bos_token_id=1, eos_token_id=2, pad_token_id=3))


QWEN = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
        "<|image_pad|>", "<|video_pad|>"]  # fmt: skip


def qwen(which):
    tok, tid, vocab = tokenizer(QWEN, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    if not V5:  # its processor insists on the class
        tok = transformers.Qwen2TokenizerFast(tokenizer_object=tok.backend_tokenizer, eos_token="<|im_end|>",
                                              pad_token="<|endoftext|>", unk_token=None, model_max_length=512)  # fmt: skip
    ids = dict(image_token_id=tid("<|image_pad|>"), video_token_id=tid("<|video_pad|>"),
               vision_start_token_id=tid("<|vision_start|>"), vision_end_token_id=tid("<|vision_end|>"))  # fmt: skip
    text = dict(TEXT, vocab_size=vocab, num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-6,
                bos_token_id=0, eos_token_id=2, tie_word_embeddings=False)  # fmt: skip
    patch = 14
    if which == "qwen2_vl":
        vision = dict(depth=2, embed_dim=16, hidden_size=16, num_heads=2, mlp_ratio=2, patch_size=14,
                      spatial_merge_size=2, temporal_patch_size=2, in_channels=3)  # fmt: skip
        text |= rope(1000000.0, mrope_section=[1, 1, 2])
    elif which == "qwen2_5_vl":
        vision = dict(depth=2, hidden_size=16, out_hidden_size=16, intermediate_size=32, num_heads=2, patch_size=14,
                      spatial_merge_size=2, temporal_patch_size=2, window_size=56, fullatt_block_indexes=[1],
                      tokens_per_second=2, in_channels=3)  # fmt: skip
        text |= rope(1000000.0, mrope_section=[1, 1, 2])
    else:
        patch = 16
        vision = dict(depth=2, hidden_size=16, out_hidden_size=16, intermediate_size=32, num_heads=2, patch_size=16,
                      spatial_merge_size=2, temporal_patch_size=2, num_position_embeddings=16,
                      deepstack_visual_indexes=[0], in_channels=3)  # fmt: skip
        text |= rope(5000000.0, mrope_section=[2, 1, 1], mrope_interleaved=True) | {"head_dim": 8}
    cfg = AutoConfig.for_model(which, text_config=text, vision_config=vision, tie_word_embeddings=False, **ids)
    mean, std = (HALF3, HALF3) if which == "qwen3_vl" else (CLIP_MEAN, CLIP_STD)
    size = {"shortest_edge": (2 * patch) ** 2, "longest_edge": (8 * patch) ** 2}
    geometry = dict(patch_size=patch, merge_size=2, temporal_patch_size=2, image_mean=mean, image_std=std, size=size)
    ip = image("Qwen2VLImageProcessor", **geometry)
    vp = getattr(transformers, "Qwen3VLVideoProcessor" if which == "qwen3_vl" else "Qwen2VLVideoProcessor")(**geometry)
    cls = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor", "qwen3_vl": "Qwen3VLProcessor"}[which]
    proc = getattr(transformers, cls)(
        image_processor=ip, tokenizer=tok, video_processor=vp,
        chat_template=chatml("<|vision_start|><|image_pad|><|vision_end|>"))  # fmt: skip
    return save(which, cfg, proc, dict(bos_token_id=0, eos_token_id=[2, 0], pad_token_id=0, do_sample=True,
                                       temperature=0.7, top_p=0.8, top_k=20))  # fmt: skip


def siglip(**more):
    return dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                num_attention_heads=2, num_channels=3, layer_norm_eps=1e-6, **more)  # fmt: skip


def gemma3():
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
                "<end_of_image>", "<image_soft_token>"]  # fmt: skip
    extra = dict(boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>")
    tok, tid, vocab = tokenizer(specials, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>",
                                bos_first=True, extra_special_tokens=extra)  # fmt: skip
    text = dict(TEXT, vocab_size=vocab, head_dim=8, num_attention_heads=2, num_key_value_heads=1, sliding_window=64,
                query_pre_attn_scalar=8, rms_norm_eps=1e-6)  # fmt: skip
    if V5:
        text |= {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                                     "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}},
                 "layer_types": ["sliding_attention", "full_attention"]}  # fmt: skip
    else:
        text |= {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window_pattern": 2,
                 "rope_scaling": {"rope_type": "linear", "factor": 8.0}}  # fmt: skip
    cfg = AutoConfig.for_model(
        "gemma3", text_config=text, vision_config=siglip(image_size=56, patch_size=14, vision_use_head=False),
        mm_tokens_per_image=4, boi_token_index=tid("<start_of_image>"), eoi_token_index=tid("<end_of_image>"),
        image_token_index=tid("<image_soft_token>"), eos_token_id=[1, 5], bos_token_id=2, pad_token_id=0)  # fmt: skip
    ip = image("Gemma3ImageProcessor", size={"height": 56, "width": 56}, image_mean=HALF3, image_std=HALF3, resample=2)
    template = chatml("<start_of_image>").replace("<|im_start|>", "<start_of_turn>").replace(
        "<|im_end|>", "<end_of_turn>")  # fmt: skip
    proc = transformers.Gemma3Processor(ip, tok, chat_template="{{ bos_token }}" + template, image_seq_length=4)
    return save("gemma3", cfg, proc, dict(bos_token_id=2, eos_token_id=[1, 5], pad_token_id=0, do_sample=True,
                                          top_k=64, top_p=0.95, cache_implementation="hybrid"))  # fmt: skip


def paligemma():
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>"]
    tok, tid, vocab = tokenizer(specials, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>",
                                extra_special_tokens={"image_token": "<image>"})  # fmt: skip
    ip = image("SiglipImageProcessor", size={"height": 28, "width": 28}, image_mean=HALF3, image_std=HALF3, resample=3)
    ip.image_seq_length = 4
    proc = transformers.PaliGemmaProcessor(ip, tok)  # adds the 1024 <loc> and 128 <seg> tokens
    vocab = len(tok)
    text = dict(TEXT, model_type="gemma", vocab_size=vocab, head_dim=8, num_attention_heads=2, num_key_value_heads=1,
                num_image_tokens=4, rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", **rope(10000.0))  # fmt: skip
    cfg = AutoConfig.for_model(
        "paligemma", text_config=text, projection_dim=16, image_token_index=tid("<image>"), hidden_size=16,
        vision_config=siglip(image_size=28, patch_size=14, projection_dim=16, vision_use_head=False),
        bos_token_id=2, eos_token_id=1, pad_token_id=0)  # fmt: skip
    return save("paligemma", cfg, proc, dict(bos_token_id=2, eos_token_id=1, pad_token_id=0))


def idefics3(which="idefics3"):
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "<fake_token_around_image>", "<image>",
                "<global-img>", "<end_of_utterance>"]  # fmt: skip
    specials += [f"<row_{r}_col_{c}>" for r in (1, 2) for c in (1, 2)]
    tok, tid, vocab = tokenizer(specials, bos_token="<|im_start|>", eos_token="<end_of_utterance>",
                                pad_token="<|im_end|>", unk_token="<unk>",
                                extra_special_tokens={"image_token": "<image>"} | (
                                    {"fake_image_token": "<fake_token_around_image>", "global_image_token": "<global-img>",
                                     "end_of_utterance_token": "<end_of_utterance>"}))  # fmt: skip
    text = dict(TEXT, model_type="llama", vocab_size=vocab, pad_token_id=2, bos_token_id=1, eos_token_id=7,
                tie_word_embeddings=False, **rope(100000.0))  # fmt: skip
    vision = dict(model_type="idefics3_vision" if which == "idefics3" else "smolvlm_vision", hidden_size=16,
                  intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14)  # fmt: skip
    cfg = AutoConfig.for_model(which, text_config=text, vision_config=vision, scale_factor=2, pad_token_id=2,
                               image_token_id=tid("<image>"), tie_word_embeddings=False)  # fmt: skip
    template = chatml("<image>").replace("<|im_end|>", "<end_of_utterance>")  # the end that generation knows
    kw = dict(size={"longest_edge": 112}, max_image_size={"longest_edge": 56}, image_mean=HALF3, image_std=HALF3,
              resample=1, do_image_splitting=True)  # fmt: skip
    if which == "idefics3":
        proc = transformers.Idefics3Processor(image("Idefics3ImageProcessor", **kw), tok, image_seq_len=4,
                                              chat_template=template)  # fmt: skip
    else:
        vp = transformers.SmolVLMVideoProcessor(
            size={"longest_edge": 112}, max_image_size={"longest_edge": 56}, image_mean=HALF3, image_std=HALF3,
            video_sampling={"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 112}})  # fmt: skip
        proc = transformers.SmolVLMProcessor(image("SmolVLMImageProcessor", **kw), tok, vp, image_seq_len=4,
                                             chat_template=template)  # fmt: skip
    return save(which, cfg, proc, dict(bos_token_id=1, eos_token_id=7, pad_token_id=2))


def internvl():
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>", "<img>", "</img>", "<video>"]
    extra = dict(start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>",
                 video_token="<video>")  # fmt: skip
    tok, tid, vocab = tokenizer(specials, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                extra_special_tokens=extra)  # fmt: skip
    text = dict(TEXT, model_type="qwen2", vocab_size=vocab, bos_token_id=0, eos_token_id=2,
                tie_word_embeddings=False, **rope(1000000.0))  # fmt: skip
    vision = dict(model_type="internvl_vision", hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                  num_attention_heads=2, image_size=[56, 56], patch_size=[14, 14], attention_bias=True)  # fmt: skip
    cfg = AutoConfig.for_model("internvl", text_config=text, vision_config=vision, image_seq_length=4,
                               downsample_ratio=0.5, image_token_id=tid("<IMG_CONTEXT>"), tie_word_embeddings=False)  # fmt: skip
    kw = dict(size={"height": 56, "width": 56}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    vp = transformers.InternVLVideoProcessor(**kw)
    proc = transformers.InternVLProcessor(image("GotOcr2ImageProcessor", crop_to_patches=True, **kw), tok, vp,
                                          image_seq_length=4, chat_template=chatml("<IMG_CONTEXT>\n"))  # fmt: skip
    return save("internvl", cfg, proc, dict(bos_token_id=0, eos_token_id=2, pad_token_id=0))


def mllama():
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>",
                "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"]  # fmt: skip
    tok, tid, vocab = tokenizer(specials, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>",
                                pad_token="<|finetune_right_pad_id|>", bos_first=True)  # fmt: skip
    # the embedding holds eight rows more than the head: the image token is one of them
    llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=64)  # fmt: skip
    text = dict(TEXT, vocab_size=vocab, cross_attention_layers=[1], bos_token_id=0, eos_token_id=[1, 5],
                pad_token_id=2)  # fmt: skip
    text |= {"rope_parameters": {**llama3, "rope_theta": 500000.0}} if V5 else {
        "rope_theta": 500000.0, "rope_scaling": llama3}  # fmt: skip
    vision = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_global_layers=1, attention_heads=2,
                  image_size=28, patch_size=14, max_num_tiles=4, vision_output_dim=32,
                  intermediate_layers_indices=[1], num_channels=3,
                  supported_aspect_ratios=[[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]])  # fmt: skip
    cfg = AutoConfig.for_model("mllama", text_config=text, vision_config=vision, image_token_index=tid("<|image|>"),
                               tie_word_embeddings=False)  # fmt: skip
    ip = image("MllamaImageProcessor", size={"height": 28, "width": 28}, max_image_tiles=4, image_mean=CLIP_MEAN,
               image_std=CLIP_STD)  # fmt: skip
    proc = transformers.MllamaProcessor(ip, tok, chat_template="{{ bos_token }}" + plain("<|image|>"))
    return save("mllama", cfg, proc, dict(bos_token_id=0, eos_token_id=[1, 5], pad_token_id=2))


def mistral3():
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<pad>"]
    tok, tid, vocab = tokenizer(specials, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
                                bos_first=True, extra_special_tokens=dict(
                                    image_token="[IMG]", image_break_token="[IMG_BREAK]", image_end_token="[IMG_END]"))  # fmt: skip
    text = dict(TEXT, model_type="mistral", vocab_size=vocab, head_dim=4, sliding_window=None, bos_token_id=1,
                eos_token_id=2, tie_word_embeddings=False, **rope(1000000000.0))  # fmt: skip
    vision = dict(model_type="pixtral", hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                  num_attention_heads=2, head_dim=8, image_size=56, patch_size=14, **rope(10000.0))  # fmt: skip
    cfg = AutoConfig.for_model("mistral3", text_config=text, vision_config=vision, spatial_merge_size=2,
                               image_token_index=tid("[IMG]"), multimodal_projector_bias=False,
                               vision_feature_layer=-1, projector_hidden_act="gelu", tie_word_embeddings=False)  # fmt: skip
    ip = image("PixtralImageProcessor", size={"longest_edge": 56}, patch_size={"height": 14, "width": 14},
               image_mean=CLIP_MEAN, image_std=CLIP_STD)  # fmt: skip
    proc = transformers.PixtralProcessor(ip, tok, patch_size=14, spatial_merge_size=2, chat_template=plain("[IMG]"))
    return save("mistral3", cfg, proc, dict(bos_token_id=1, eos_token_id=2, pad_token_id=8))


KINDS = {
    "llava": llava, "qwen2_vl": lambda: qwen("qwen2_vl"), "gemma3": gemma3, "llava_next": lambda: llava("llava_next"),
    "qwen2_5_vl": lambda: qwen("qwen2_5_vl"), "qwen3_vl": lambda: qwen("qwen3_vl"), "paligemma": paligemma,
    "idefics3": idefics3, "smolvlm": lambda: idefics3("smolvlm"), "internvl": internvl, "mllama": mllama,
    "mistral3": mistral3,
}  # fmt: skip


def verify(path):
    """Loads without a missing key, and answers one picture and one line with finite logits."""
    from PIL import Image

    model, info = AutoModelForImageTextToText.from_pretrained(path, output_loading_info=True, dtype=torch.float32)
    whole(info, path.name)
    proc = AutoProcessor.from_pretrained(path)
    picture = Image.new("RGB", (60, 40), (200, 30, 90))
    text = proc.tokenizer.chat_template or proc.chat_template
    ask = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "the"}]}]
    prompt = proc.apply_chat_template(ask, add_generation_prompt=True) if text else "<image>the"
    inputs = proc(images=[picture], text=prompt, return_tensors="pt")
    with torch.no_grad():
        assert torch.isfinite(model.eval()(**inputs).logits).all(), path.name
