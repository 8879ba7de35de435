"""Tiny random pipelines, made on the spot and saved as a folder each: no hub, no download.

Sides of latents are 1/8 of those of pixels unless said otherwise. Weights are seeded, so that the
same pipeline is the same on each run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ("a", "red", "fox", "blue", "hat", "in", "the", "snow", "on", "hill")
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")


def save(kind: str, folder: Path, **scheduler: Any) -> Path:
    """Write the tiny pipeline `kind`, one of KINDS, into `folder`; more is of its scheduler."""
    torch.manual_seed(0)
    pipeline = KINDS[kind]()
    own = pipeline.scheduler
    pipeline.register_modules(scheduler=own.from_config(own.config, **scheduler))
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def load(kind: str, folder: Path) -> Any:
    """The pipeline of diffusers that `save` wrote, without limner."""
    pipeline = getattr(diffusers, type(KINDS[kind]()).__name__).from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def lora(folder: Path, pipeline: Path) -> Path:
    """Write a random LoRA for the attention of the UNet of `pipeline` into `folder`."""
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel.from_pretrained(pipeline, subfolder="unet")
    layers = {}
    for name, module in unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            rows, columns = module.weight.shape
            layers[f"unet.{name}.lora_A.weight"] = torch.randn(2, columns)
            layers[f"unet.{name}.lora_B.weight"] = torch.randn(rows, 2)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pipeline.name}-style.safetensors"
    save_file(layers, path)
    return path


def taesd(folder: Path, n_latents: int = 4) -> Path:
    """Write a tiny random decoder for previews."""
    torch.manual_seed(2)
    small = {"encoder_block_out_channels": (4,) * 4, "decoder_block_out_channels": (4,) * 4}
    blocks = {"num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4}
    tiny = diffusers.AutoencoderTiny(latent_channels=n_latents, **small, **blocks)
    tiny.save_pretrained(folder, safe_serialization=True)
    return folder


def _tokenizer(length: int = 77) -> Any:
    vocabulary = {word: i for i, word in enumerate((*_SPECIAL, *WORDS))}
    built = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    built.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=built,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=length,
    )


def _clip_config(side: int) -> Any:
    return transformers.CLIPTextConfig(
        vocab_size=32,
        hidden_size=side,
        intermediate_size=2 * side,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=side,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _t5(side: int) -> Any:
    config = transformers.T5Config(
        vocab_size=32, d_model=side, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )
    return transformers.T5EncoderModel(config)


def _vae(channels: int, **more: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        **more,
    )


def _unet(**more: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        **more,
    )


def _sd() -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=_vae(4),
        text_encoder=transformers.CLIPTextModel(_clip_config(16)),
        tokenizer=_tokenizer(),
        unet=_unet(cross_attention_dim=16, attention_head_dim=4),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> Any:
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(4),
        text_encoder=transformers.CLIPTextModel(_clip_config(16)),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_clip_config(16)),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=_unet(
            cross_attention_dim=32,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(),
    )


def _sd3() -> Any:
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=32,
            patch_size=2,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=16,
            pos_embed_max_size=96,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16, shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModelWithProjection(_clip_config(16)),
        tokenizer=_tokenizer(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_clip_config(16)),
        tokenizer_2=_tokenizer(),
        text_encoder_3=_t5(32),
        tokenizer_3=_tokenizer(256),
    )


def _flux() -> Any:
    return diffusers.FluxPipeline(
        transformer=diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(4, shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModel(_clip_config(16)),
        tokenizer=_tokenizer(),
        text_encoder_2=_t5(32),
        tokenizer_2=_tokenizer(512),
    )


def _z_image() -> Any:
    tokenizer = _tokenizer(512)
    tokenizer.chat_template = "{% for one in messages %}{{ one['content'] }}{% endfor %}"
    config = transformers.Qwen3Config(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
    )
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(4, shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.Qwen3Model(config),
        tokenizer=tokenizer,
        transformer=diffusers.ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[4, 6, 6],
            axes_lens=[1024, 256, 256],
        ),
    )


def _sana() -> Any:
    """Sides of latents are 1/32 of those of pixels."""
    config = transformers.Gemma2Config(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    channels, layers = (8,) * 6, (1,) * 6
    return diffusers.SanaPipeline(
        tokenizer=_tokenizer(512),
        text_encoder=transformers.Gemma2Model(config),
        vae=diffusers.AutoencoderDC(
            latent_channels=4,
            attention_head_dim=4,
            encoder_block_out_channels=channels,
            decoder_block_out_channels=channels,
            encoder_layers_per_block=layers,
            decoder_layers_per_block=layers,
            encoder_qkv_multiscales=((),) * 6,
            decoder_qkv_multiscales=((),) * 6,
        ),
        transformer=diffusers.SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=8,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            sample_size=32,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def _qwen_image() -> Any:
    text = {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2]},
    }
    seen = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    config = transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config={**seen, "out_hidden_size": 16}
    )
    return diffusers.QwenImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=diffusers.AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            latents_mean=[0.1, 0.0, -0.1, 0.2],
            latents_std=[1.0, 2.0, 1.5, 1.0],
        ),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=_tokenizer(1024),
        transformer=diffusers.QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 6, 6),
        ),
    )


KINDS: dict[str, Callable[[], Any]] = {
    "sd": _sd,
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
    "z_image": _z_image,
    "sana": _sana,
    "qwen_image": _qwen_image,
}
