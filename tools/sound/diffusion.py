"""Diffusers folders: tiny widths, the numbers that carry meaning as the published families have them."""
import torch
from common import fast_tokenizer, folder, half
from diffusers import (
    AutoencoderKL, AutoencoderTiny, ControlNetModel, DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel, LCMScheduler,
    LMSDiscreteScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel, PNDMScheduler, SD3Transformer2DModel,
    StableDiffusion3Pipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline,
    StableDiffusionXLPipeline, UNet2DConditionModel, UniPCMultistepScheduler,
)  # fmt: skip
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, PreTrainedTokenizerFast, T5Config,
    T5EncoderModel, T5TokenizerFast,
)  # fmt: skip

LETTERS = [chr(c) for c in range(33, 127)]


def clip_tokenizer(path, pad="<|endoftext|>"):
    """CLIP's own tokenizer over a small vocabulary: each letter, inside a word and ending one."""
    words = LETTERS + [c + "</w>" for c in LETTERS]
    vocab = {t: i for i, t in enumerate(words)}
    merges = [("t", "h"), ("th", "e</w>"), ("i", "n</w>"), ("a", "n</w>")]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    for t in ("<|startoftext|>", "<|endoftext|>"):
        vocab[t] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77, pad_token=pad, unk_token="<|endoftext|>",
                         bos_token="<|startoftext|>", eos_token="<|endoftext|>"), len(vocab)  # fmt: skip


def t5_tokenizer(length):
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), ("\u2581the", -3.0)]
    pieces += [(c, -4.0) for c in LETTERS if c not in "\u2581"]
    return T5TokenizerFast(vocab=pieces, model_max_length=length, extra_ids=0), len(pieces)


def clip_encoder(width, vocab, layers=2, act="quick_gelu", projection=None):
    cfg = CLIPTextConfig(hidden_size=width, intermediate_size=2 * width, num_attention_heads=2,
                         num_hidden_layers=layers, vocab_size=vocab, max_position_embeddings=77, hidden_act=act,
                         projection_dim=projection or width, bos_token_id=vocab - 2, eos_token_id=vocab - 1,
                         pad_token_id=1)  # fmt: skip
    return half((CLIPTextModelWithProjection if projection else CLIPTextModel)(cfg))


def t5_encoder(width, vocab):
    return half(T5EncoderModel(T5Config(
        d_model=width, d_ff=2 * width, d_kv=width // 2, num_heads=2, num_layers=2, vocab_size=vocab,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0)))  # fmt: skip


def vae(channels=4, scale=0.18215, shift=None, size=512, **more):
    """Three halvings as the published ones: a picture is eight times its latents."""
    n = 4
    return half(AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * n,
        up_block_types=["UpDecoderBlock2D"] * n, block_out_channels=[4, 4, 4, 4], layers_per_block=1, norm_num_groups=2,
        latent_channels=channels, sample_size=size, scaling_factor=scale, shift_factor=shift, **more))  # fmt: skip


def unet(cross, channels=4, size=64, **more):
    base = dict(
        sample_size=size, in_channels=channels, out_channels=4, layers_per_block=1, cross_attention_dim=cross,
        block_out_channels=[8, 8], down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"], attention_head_dim=2, norm_num_groups=4)  # fmt: skip
    return half(UNet2DConditionModel(**(base | more)))


BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)


def pndm(**more):
    return PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1, **more)


def sd1(name="sd1", channels=4, cls=StableDiffusionPipeline):
    tok, vocab = clip_tokenizer(None)
    pipe = cls(vae=vae(), text_encoder=clip_encoder(16, vocab), tokenizer=tok, unet=unet(16, channels),
               scheduler=pndm(), safety_checker=None, feature_extractor=None,
               requires_safety_checker=False)  # fmt: skip
    pipe.save_pretrained(folder(name))


def sd2():
    tok, vocab = clip_tokenizer(None, pad="!")
    pipe = StableDiffusionPipeline(
        vae=vae(size=768), text_encoder=clip_encoder(16, vocab, act="gelu"), tokenizer=tok,
        unet=unet(16, size=96, attention_head_dim=[1, 2], use_linear_projection=True),
        scheduler=DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False,
                                steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)  # fmt: skip
    pipe.save_pretrained(folder("sd2"))


def sdxl(name="sdxl", channels=4, cls=StableDiffusionXLPipeline):
    tok, vocab = clip_tokenizer(None)
    tok2, _ = clip_tokenizer(None, pad="!")
    # time_ids are six numbers; the pooled text of the second encoder goes before them
    net = unet(16 + 24, channels, size=128, addition_embed_type="text_time", addition_time_embed_dim=8,
               projection_class_embeddings_input_dim=6 * 8 + 24, use_linear_projection=True,
               attention_head_dim=[1, 2], transformer_layers_per_block=[1, 2],
               down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
               up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"])  # fmt: skip
    pipe = cls(
        vae=vae(scale=0.13025, size=1024, force_upcast=True), text_encoder=clip_encoder(16, vocab),
        text_encoder_2=clip_encoder(24, vocab, act="gelu", projection=24), tokenizer=tok, tokenizer_2=tok2, unet=net,
        scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
        force_zeros_for_empty_prompt=True)  # fmt: skip
    pipe.save_pretrained(folder(name))


def sd3():
    tok, vocab = clip_tokenizer(None)
    tok2, _ = clip_tokenizer(None, pad="!")
    tok3, pieces = t5_tokenizer(512)
    # the joint text width is the T5's; both CLIPs are laid side by side and padded to it
    net = half(SD3Transformer2DModel(
        sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=48, caption_projection_dim=16, pooled_projection_dim=16 + 24,
        pos_embed_max_size=12))  # fmt: skip
    pipe = StableDiffusion3Pipeline(
        transformer=net, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(16, 1.5305, 0.0609, 1024, use_quant_conv=False, use_post_quant_conv=False, force_upcast=True),
        text_encoder=clip_encoder(16, vocab, projection=16), tokenizer=tok,
        text_encoder_2=clip_encoder(24, vocab, act="gelu", projection=24), tokenizer_2=tok2,
        text_encoder_3=t5_encoder(48, pieces), tokenizer_3=tok3)  # fmt: skip
    pipe.save_pretrained(folder("sd3"))


def flux_transformer(**more):
    return half(FluxTransformer2DModel(**(dict(
        patch_size=1, in_channels=64, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=24, pooled_projection_dim=16, guidance_embeds=True, axes_dims_rope=(2, 4, 2)) | more)))  # fmt: skip


def flux():
    tok, vocab = clip_tokenizer(None)
    tok2, pieces = t5_tokenizer(512)
    pipe = FluxPipeline(
        transformer=flux_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256,
            max_image_seq_len=4096),
        vae=vae(16, 0.3611, 0.1159, 1024, use_quant_conv=False, use_post_quant_conv=False, force_upcast=True),
        text_encoder=clip_encoder(16, vocab), tokenizer=tok, text_encoder_2=t5_encoder(24, pieces),
        tokenizer_2=tok2)  # fmt: skip
    pipe.save_pretrained(folder("flux"))


def pixart():
    tok, pieces = t5_tokenizer(300)
    net = half(PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=128,
        patch_size=2, cross_attention_dim=16, caption_channels=24, norm_num_groups=4, use_additional_conditions=False,
        interpolation_scale=2))  # fmt: skip
    pipe = PixArtSigmaPipeline(
        tokenizer=tok, text_encoder=t5_encoder(24, pieces), vae=vae(scale=0.13025, size=1024), transformer=net,
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear",
                                              solver_order=2))  # fmt: skip
    pipe.save_pretrained(folder("pixart"))


def vae_alone():
    vae().save_pretrained(folder("vae"))
    half(ControlNetModel(
        block_out_channels=(8, 8), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), layers_per_block=1,
        cross_attention_dim=16, attention_head_dim=2, norm_num_groups=4,
        conditioning_embedding_out_channels=(4, 8))).save_pretrained(folder("controlnet"))  # fmt: skip
    half(AutoencoderTiny(encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
                         num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1))).save_pretrained(folder("vae-tiny"))  # fmt: skip


SCHEDULERS = {
    "euler_a": lambda: EulerAncestralDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    "lms": lambda: LMSDiscreteScheduler(**BETAS, steps_offset=1),
    "dpm": lambda: DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True, steps_offset=1),
    "unipc": lambda: UniPCMultistepScheduler(**BETAS, steps_offset=1),
    "lcm": lambda: LCMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True, steps_offset=1),
    "ddim": lambda: DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
}


def schedulers():
    for name, make in SCHEDULERS.items():
        make().save_pretrained(folder("scheduler-" + name))


KINDS = {
    "sd1": sd1, "sdxl": sdxl, "sd3": sd3, "flux": flux, "sd2": sd2,
    "sd1-inpaint": lambda: sd1("sd1-inpaint", 9, StableDiffusionInpaintPipeline),
    "pixart": pixart, "vae": vae_alone, "schedulers": schedulers,
}  # fmt: skip


def verify(path):
    """The whole pipeline loads, each component without a missing key, and runs two steps where it makes pictures."""
    from diffusers import DiffusionPipeline

    index = path / "model_index.json"
    assert index.exists(), path
    pipe = DiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            cls = type(part)
            _, info = cls.from_pretrained(path / name, output_loading_info=True)
            for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
                assert not info[key], f"{path.name}/{name}: {key} {list(info[key])[:5]}"
    kw = {}
    if "inpaint" in path.name:
        from PIL import Image

        kw = dict(image=Image.new("RGB", (64, 64), (9, 99, 200)), mask_image=Image.new("L", (64, 64), 255), strength=1.0)
    out = pipe("the", num_inference_steps=2, height=64, width=64, output_type="np", **kw).images
    assert out.shape[1] == 64 and out.std() > 0, path.name
