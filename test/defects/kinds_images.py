"""Defects of diffusers folders and single-file checkpoints."""
import math

from planting import (
    all_of, as_type, dropped, edit, put, raw, removed, reshaped, setting, text, values, weights, without,
)  # fmt: skip

I, U, V, S = "model_index.json", "unet/config.json", "vae/config.json", "scheduler/scheduler_config.json"
T, D, TT = "text_encoder/config.json", "transformer/config.json", "tokenizer/tokenizer_config.json"
UW, VW, TW = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
DW = "transformer/diffusion_pytorch_model.safetensors"
OWN = ["pipeline.unpublished-value"]
SHAPE = ["component.shape-mismatch"]
# the config has other parts than the file: one or the other lacks a place
PLACE = SHAPE + ["component.tensor-missing", "component.tensor-unexpected"]


def gone(folder):
    def plant(root):
        for path in sorted((root / folder).rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (root / folder).rmdir()

    return plant


def gone_from(file, *parts):
    """Every tensor with one of these in its name."""
    return weights(lambda m: [m.drop(n) for n in list(m.header) if any(p in n for p in parts)], file)


PIPELINE = [
    ("index no JSON", "sd1", text(I, "{"), ["json.malformed"]),
    ("index without a class", "sd1", without(I, "_class_name"), ["pipeline.malformed"]),
    ("index leads elsewhere", "sd1", edit(I, lambda i: put(i, "../unet", ["diffusers", "UNet2DConditionModel"])), ["pipeline.malformed"]),
    ("UNet not in the index", "sd1", without(I, "unet"), ["pipeline.component-absent"]),
    ("VAE not in the index", "sdxl", without(I, "vae"), ["pipeline.component-absent"]),
    ("text encoder not in the index", "sd1", without(I, "text_encoder"), ["pipeline.component-absent"]),
    ("tokenizer not in the index", "sd1", without(I, "tokenizer"), ["pipeline.component-absent"]),
    ("second tokenizer not in the index", "sdxl", without(I, "tokenizer_2"), ["pipeline.component-absent"]),
    ("folder missing", "sd1", gone("vae"), ["component.missing"]),
    ("scheduler's folder missing", "flux", gone("scheduler"), ["component.missing"]),
    ("weights missing", "sd1", removed(UW), ["component.no-weights"]),
    ("weights of the VAE missing", "flux", removed(VW), ["component.no-weights"]),
    ("config of a component missing", "sd1", removed(U), ["component.no-config"]),
    ("config of the scheduler missing", "sd3", removed(S), ["component.no-config"]),
    ("tokenizer's files missing", "sd1", removed("tokenizer/tokenizer.json"), ["component.no-tokenizer"]),
    ("class of another component", "sd1", setting(I, "unet", ["diffusers", "UNet2DModel"]), ["component.class-mismatch"]),
    ("class of another scheduler", "sdxl", setting(I, "scheduler", ["diffusers", "DDIMScheduler"]), ["component.class-mismatch"]),
    ("class of another encoder", "sdxl", setting(T, "architectures", ["T5EncoderModel"]), ["component.class-mismatch"]),
    ("pipeline of another family", "sd1", setting(I, "_class_name", "StableDiffusionXLPipeline"),
     ["pipeline.component-absent"]),
    ("weights cut short", "sd1", raw(lambda d: d[:-64], UW), ["safetensors.truncated", "safetensors.offsets"]),
    ("tensor missing", "sd1", weights(dropped("mid_block"), UW), ["component.tensor-missing"]),
    ("tensor missing in the VAE", "sd3", weights(dropped("decoder.conv_in.bias"), VW), ["component.tensor-missing"]),
    ("tensor missing in the encoder", "sdxl", weights(dropped("layers.0.mlp.fc1.bias"), TW), ["component.tensor-missing"]),
    ("tensor missing in the transformer", "flux", weights(dropped("x_embedder.bias"), DW), ["component.tensor-missing"]),
    ("block missing", "pixart", weights(lambda m: [m.drop(n) for n in list(m.header) if "transformer_blocks.1." in n], DW),
     ["component.shape-mismatch", "component.tensor-missing"]),
    ("matrix of another shape", "sd1", weights(reshaped("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", [8, 24]), UW),
     ["component.shape-mismatch"]),
    ("weights as bytes", "sd1", weights(as_type("conv_in.weight", "U8"), UW), ["tensor.f8-as-bytes", "tensor.dtype"]),
]  # fmt: skip

FIELDS = [
    ("channels in", "sd1", setting(U, "in_channels", 8), SHAPE + ["pipeline.disagreement"]),
    ("channels out", "sd1", setting(U, "out_channels", 8), SHAPE + ["pipeline.disagreement"]),
    ("text width of the UNet", "sd1", setting(U, "cross_attention_dim", 32), SHAPE + ["pipeline.disagreement"]),
    ("widths of the blocks", "sd1", setting(U, "block_out_channels", [16, 16]), SHAPE),
    ("one block more", "sd1", setting(U, "block_out_channels", [8, 8, 8]), SHAPE),
    ("layers a block", "sd1", setting(U, "layers_per_block", 2), SHAPE + ["component.tensor-missing"]),
    ("kinds of blocks exchanged", "sd1", setting(U, "down_block_types", ["DownBlock2D", "CrossAttnDownBlock2D"]), PLACE),
    ("kinds of blocks too few", "sd1", setting(U, "down_block_types", ["CrossAttnDownBlock2D"]), SHAPE + ["component.invalid-value"]),
    ("transformer layers of a block", "sdxl", setting(U, "transformer_layers_per_block", [1, 3]), SHAPE + ["component.tensor-missing"]),
    ("width of the pooled text", "sdxl", setting(U, "projection_class_embeddings_input_dim", 96), SHAPE),
    ("time ids left out", "sdxl", setting(U, "addition_embed_type", None), PLACE),
    ("width of time ids", "sdxl", setting(U, "addition_time_embed_dim", 16), SHAPE + ["pipeline.disagreement"]),
    ("linear projections", "sd2", setting(U, "use_linear_projection", False), SHAPE),
    ("activation of the UNet", "sd1", setting(U, "act_fn", "relu"), OWN),
    ("sine and cosine exchanged", "sd1", setting(U, "flip_sin_to_cos", False), OWN),
    ("frequencies shifted", "sd1", setting(U, "freq_shift", 1), OWN),
    ("epsilon of the UNet", "sd1", setting(U, "norm_eps", 0.01), OWN),
    ("groups of the norms", "sd1", setting(U, "norm_num_groups", 3), ["component.invalid-value", "component.shape-mismatch"]),
    ("heads no divisor", "sd1", setting(U, "attention_head_dim", 3), ["component.invalid-value"]),
    ("scale of the middle block", "sd1", setting(U, "mid_block_scale_factor", 2), OWN),
    ("time embedding of another kind", "sd1", setting(U, "time_embedding_type", "fourier"), OWN),
    ("padding of downsamplers", "sd1", setting(U, "downsample_padding", 0), OWN),
    ("class of cross attention", "sd1", setting(U, "only_cross_attention", True), OWN + SHAPE),
    ("latents of the VAE", "sd1", setting(V, "latent_channels", 16), SHAPE + ["pipeline.disagreement"]),
    ("factor of the VAE", "sd1", setting(V, "scaling_factor", 0.13025), OWN),
    ("factor of the VAE a little off", "sdxl", setting(V, "scaling_factor", 0.1315), OWN),
    ("factor of the VAE missing", "sdxl", without(V, "scaling_factor"), ["vae.factor-missing"]),
    ("factor of the VAE a text", "sdxl", setting(V, "scaling_factor", "0.13025"), ["component.invalid-value", "vae.factor-missing"]),
    ("shift of the VAE missing", "sd3", without(V, "shift_factor"), ["vae.factor-missing"]),
    ("shift of the VAE", "flux", setting(V, "shift_factor", 0.0609), OWN),
    ("factor of FLUX in SD 3", "sd3", setting(V, "scaling_factor", 0.3611), OWN),
    ("factor of the VAE in PixArt", "pixart", setting(V, "scaling_factor", 0.18215), OWN),
    ("activation of the VAE", "sd1", setting(V, "act_fn", "relu"), OWN),
    ("widths of the VAE", "sd1", setting(V, "block_out_channels", [4, 4, 4, 8]), SHAPE),
    ("layers of the VAE", "sd1", setting(V, "layers_per_block", 2), PLACE),
    ("convolutions of the VAE", "sd1", setting(V, "use_quant_conv", False), PLACE),
    ("channels of pictures", "sd1", setting(V, "in_channels", 4), SHAPE),
    ("attention of the VAE", "sd1", setting(V, "mid_block_add_attention", False), PLACE),
    ("width of the text encoder", "sd1", setting(T, "hidden_size", 32), SHAPE + ["pipeline.disagreement"]),
    ("layers of the text encoder", "sd1", setting(T, "num_hidden_layers", 3), SHAPE),
    ("heads of the text encoder", "sd1", setting(T, "num_attention_heads", 3), ["component.invalid-value"]),
    ("activation of the text encoder", "sd1", setting(T, "hidden_act", "gelu"), OWN),
    ("activation of the large text encoder", "sdxl", setting("text_encoder_2/config.json", "hidden_act", "quick_gelu"), OWN),
    ("epsilon of the text encoder", "sd1", setting(T, "layer_norm_eps", 0.1), OWN + ["component.invalid-value"]),
    ("positions of the text encoder", "sd1", setting(T, "max_position_embeddings", 64), SHAPE + ["text-encoder.too-long"]),
    ("end of text of the encoder", "sd1", setting(T, "eos_token_id", 5), ["special-token.disagrees"]),
    ("vocabulary of the encoder", "sd1", setting(T, "vocab_size", 200), SHAPE),
    ("projection of the encoder", "sdxl", setting("text_encoder_2/config.json", "projection_dim", 32), SHAPE + ["pipeline.disagreement"]),
    ("tokens beyond the positions", "sd1", setting(TT, "model_max_length", 512), ["text-encoder.too-long"]),
    ("padding of the second tokenizer", "sdxl", setting("tokenizer_2/tokenizer_config.json", "pad_token", "<|endoftext|>"), OWN),
    ("padding of the tokenizer", "sd1", setting(TT, "pad_token", "a"), OWN),
    ("width of the large text", "sd3", setting("text_encoder_3/config.json", "d_model", 64), SHAPE + ["pipeline.disagreement"]),
    ("head width of T5", "flux", setting("text_encoder_2/config.json", "d_kv", 16), SHAPE),
    ("heads of T5", "flux", setting("text_encoder_2/config.json", "num_heads", 3), SHAPE),
    ("activation of T5", "flux", setting("text_encoder_2/config.json", "feed_forward_proj", "gated-silu"), OWN),
    ("gate of T5", "flux", setting("text_encoder_2/config.json", "feed_forward_proj", "relu"), PLACE),
    ("buckets of T5", "flux", setting("text_encoder_2/config.json", "relative_attention_num_buckets", 64), SHAPE),
    ("distance of T5", "flux", setting("text_encoder_2/config.json", "relative_attention_max_distance", 64), OWN),
    ("heads of the transformer", "flux", setting(D, "num_attention_heads", 4), SHAPE),
    ("head width of the transformer", "sd3", setting(D, "attention_head_dim", 4), SHAPE),
    ("layers of the transformer", "sd3", setting(D, "num_layers", 3), SHAPE),
    ("single layers of the transformer", "flux", setting(D, "num_single_layers", 1), SHAPE),
    ("axes of rotation", "flux", setting(D, "axes_dims_rope", [2, 2, 2]), ["component.invalid-value"]),
    ("guidance left out", "flux", setting(D, "guidance_embeds", False), PLACE),
    ("guidance wanted", "flux", weights(lambda m: [m.drop(n) for n in list(m.header) if "guidance_embedder" in n], DW), SHAPE + ["component.tensor-missing"]),
    ("patches of the transformer", "sd3", setting(D, "patch_size", 4), SHAPE),
    ("width of pooled text", "flux", setting(D, "pooled_projection_dim", 32), SHAPE + ["pipeline.disagreement"]),
    ("positions of the transformer", "sd3", setting(D, "pos_embed_max_size", 16), SHAPE),
    ("norms of queries", "sd3", setting(D, "qk_norm", "rms_norm"), SHAPE + ["component.tensor-missing"]),
    ("channels out of PixArt", "pixart", setting(D, "out_channels", 4), SHAPE),
    ("captions of PixArt", "pixart", setting(D, "caption_channels", 48), SHAPE + ["pipeline.disagreement"]),
    ("bias of PixArt", "pixart", setting(D, "attention_bias", False), PLACE),
]  # fmt: skip

SCHEDULE = [
    ("class of another family", "sd1", setting(S, "_class_name", "FlowMatchEulerDiscreteScheduler"),
     ["scheduler.wrong-family", "component.class-mismatch"]),
    ("diffusion in a flow model", "flux", all_of(setting(S, "_class_name", "EulerDiscreteScheduler"), setting(I, "scheduler", ["diffusers", "EulerDiscreteScheduler"])), ["scheduler.wrong-family"]),
    ("prediction unknown", "sd1", setting(S, "prediction_type", "eps"), ["scheduler.invalid-value"]),
    ("prediction of v in SD 1", "sd1", setting(S, "prediction_type", "v_prediction"), OWN),
    ("prediction of the sample", "sdxl", setting(S, "prediction_type", "sample"), OWN),
    ("prediction of noise in SD 2", "sd2", setting(S, "prediction_type", "epsilon"), OWN),
    ("prediction missing in SD 2", "sd2", without(S, "prediction_type"), OWN + ["scheduler.field-missing"]),
    ("spacing unknown", "sd1", setting(S, "timestep_spacing", "lineer"), ["scheduler.invalid-value"]),
    ("spacing of another", "sdxl", setting(S, "timestep_spacing", "linspace"), ["scheduler.other-choice"]),
    ("betas reversed", "sd1", all_of(setting(S, "beta_start", 0.012), setting(S, "beta_end", 0.00085)), ["scheduler.invalid-value"]),
    ("betas above one", "sd1", setting(S, "beta_end", 1.2), ["scheduler.invalid-value"]),
    ("betas a text", "sd1", setting(S, "beta_start", "0.00085"), ["scheduler.invalid-value"]),
    ("beta missing", "sd1", without(S, "beta_start"), OWN + ["scheduler.field-missing"]),
    ("betas of another model", "sdxl", setting(S, "beta_end", 0.02), OWN),
    ("betas on another curve", "sd1", setting(S, "beta_schedule", "linear"), OWN),
    ("curve of betas missing", "sd1", without(S, "beta_schedule"), OWN + ["scheduler.field-missing"]),
    ("steps in training", "sd1", setting(S, "num_train_timesteps", 500), OWN),
    ("steps in training zero", "sd1", setting(S, "num_train_timesteps", 0), ["scheduler.invalid-value"]),
    ("steps shifted", "sd1", setting(S, "steps_offset", 0), OWN),
    ("last alpha", "sd1", setting(S, "set_alpha_to_one", True), OWN),
    ("samples clipped", "scheduler-ddim", setting("scheduler_config.json", "clip_sample", True), OWN),
    ("zero terminal noise", "sdxl", setting(S, "rescale_betas_zero_snr", True), OWN),
    ("two spacings of sigmas", "sdxl", all_of(setting(S, "use_karras_sigmas", True), setting(S, "use_beta_sigmas", True)), ["scheduler.invalid-value"]),
    ("trained betas too few", "sd1", setting(S, "trained_betas", [0.1, 0.2]), ["scheduler.invalid-value"]),
    ("shift zero", "sd3", setting(S, "shift", 0.0), ["scheduler.invalid-value"]),
    ("shift of another", "sd3", setting(S, "shift", 30.0), OWN),
    ("dynamic shift left out", "flux", setting(S, "use_dynamic_shifting", False), OWN),
    ("dynamic shifts exchanged", "flux", all_of(setting(S, "base_shift", 1.15), setting(S, "max_shift", 0.5)), ["scheduler.invalid-value"]),
    ("order of the solver", "scheduler-dpm", setting("scheduler_config.json", "solver_order", 7), ["scheduler.invalid-value"]),
    ("algorithm unknown", "scheduler-dpm", setting("scheduler_config.json", "algorithm_type", "dpm+++"), ["scheduler.invalid-value"]),
    ("class missing", "scheduler-ddim", without("scheduler_config.json", "_class_name"), ["component.no-class"]),
    ("class unknown", "scheduler-ddim", setting("scheduler_config.json", "_class_name", "DDIMMScheduler"), ["scheduler.unknown-class"]),
    ("VAE alone with another factor", "vae", setting("config.json", "scaling_factor", 0.2), OWN),
    ("tiny VAE with a shift", "vae-tiny", setting("config.json", "shift_factor", 0.1159), OWN),
    ("tiny VAE with another factor", "vae-tiny", setting("config.json", "scaling_factor", 0.18215), OWN),
    ("VAE alone with other latents", "vae", setting("config.json", "latent_channels", 8), SHAPE),
]  # fmt: skip

X, F, A = "sd1.safetensors", "flux1-tiny-dev.safetensors", "vae.safetensors"
CHECKPOINTS = [
    ("block of the UNet missing", "checkpoint-sd1", weights(lambda m: [m.drop(n) for n in list(m.header) if "input_blocks.1." in n], X), ["checkpoint.block-missing"]),
    ("tensor of the UNet missing", "checkpoint-sd1", weights(dropped("diffusion_model.input_blocks.0.0.bias"), X), ["checkpoint.tensor-missing"]),
    ("middle of the UNet missing", "checkpoint-sd1", gone_from(X, "middle_block."), ["checkpoint.block-missing"]),
    ("end of the middle missing", "checkpoint-sd1", gone_from(X, "middle_block.1.", "middle_block.2."), ["checkpoint.block-missing"]),
    ("attention of a block missing", "checkpoint-sd1", gone_from(X, "input_blocks.1.1."), ["checkpoint.block-missing"]),
    ("attention on the way up missing", "checkpoint-sd1", gone_from(X, "output_blocks.2.1."), ["checkpoint.block-missing"]),
    ("upsampler missing", "checkpoint-sd1", gone_from(X, "output_blocks.1.1.conv."), ["checkpoint.block-missing"]),
    ("convolutions of the VAE missing", "checkpoint-sd1", gone_from(X, "quant_conv."), ["checkpoint.block-missing", "checkpoint.tensor-missing"]),
    ("attention of the VAE missing", "checkpoint-sd1", gone_from(X, "decoder.mid.attn_1."), ["checkpoint.block-missing"]),
    ("tensor of the VAE missing", "checkpoint-sd1", weights(dropped("first_stage_model.decoder.conv_in.bias"), X), ["checkpoint.tensor-missing"]),
    ("tensor of the encoder missing", "checkpoint-sd1", weights(dropped("layers.0.mlp.fc1.bias"), X), ["checkpoint.tensor-missing"]),
    ("metadata of another model", "checkpoint-sd1", weights(lambda m: put(m.metadata, "modelspec.architecture", "stable-diffusion-xl-v1-base"), X), ["checkpoint.metadata"]),
    ("prediction of another model", "checkpoint-sd1", weights(lambda m: put(m.metadata, "modelspec.prediction_type", "v"), X), ["checkpoint.prediction"]),
    ("VAE of another model", "checkpoint-sd1", weights(reshaped("first_stage_model.decoder.conv_in.weight", [4, 16, 3, 3]), X), ["checkpoint.disagreement"]),
    ("encoder of another model", "checkpoint-sd1", weights(lambda m: [m.resize(n, [16, 24] if m.header[n][1][0] == 16 else [m.header[n][1][0], 24])
     for n in m.header if n.endswith("attn2.to_k.weight") or n.endswith("attn2.to_v.weight")], X), ["checkpoint.disagreement"]),
    ("block of FLUX missing", "checkpoint-flux", weights(lambda m: [m.drop(n) for n in list(m.header) if n.startswith("single_blocks.0.")], F), ["checkpoint.block-missing"]),
    ("tensor of FLUX missing", "checkpoint-flux", weights(dropped("txt_in.bias"), F), ["checkpoint.tensor-missing"]),
    ("tensor of a lone VAE missing", "checkpoint-vae", weights(dropped("encoder.conv_in.bias"), A), ["checkpoint.tensor-missing"]),
    ("block of a lone VAE missing", "checkpoint-vae", weights(lambda m: [m.drop(n) for n in list(m.header) if n.startswith("decoder.up.1.")], A), ["checkpoint.block-missing"]),
    ("checkpoint cut short", "checkpoint-sd1", raw(lambda d: d[:-1000], X), ["safetensors.truncated", "safetensors.offsets"]),
    ("NaN in a checkpoint", "checkpoint-sd1", values("decoder.conv_in.bias", lambda v: put(v, 1, math.nan), X), ["tensor.not-finite"], "values"),
]  # fmt: skip

KINDS = {"pipeline": PIPELINE, "component fields": FIELDS, "noise schedule": SCHEDULE, "single files": CHECKPOINTS}
