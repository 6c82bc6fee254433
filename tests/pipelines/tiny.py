"""Tiny pipelines with random weights, made by diffusers: one of each kind of denoiser, without text encoders and decoders."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch

diffusers: Any = import_module("diffusers")  # its types are those of its real checkpoints
NOTHING: Any = None  # in the place of what a run with embeddings does without
Made = tuple[Any, Callable[[int], Mapping[str, Any]]]
"""A pipeline, and the arguments of its run of some seed beside steps and generator."""


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _words(seed: int, width: int, length: int = 6) -> dict[str, Any]:
    """A prompt and the negative one, read already."""
    mask = torch.ones(1, length)
    own, negative = _noise(seed, 1, length, width), _noise(10_000, 1, length, width)
    return {"prompt_embeds": own, "prompt_attention_mask": mask, "negative_prompt_embeds": negative, "negative_prompt_attention_mask": mask}


def _flow(**options: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**options)


def dit() -> Made:
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8
    )
    return diffusers.DiTPipeline(network, _decoder(), diffusers.DDIMScheduler()), lambda seed: {
        "class_labels": [seed % 10],
        "output_type": "np",
    }


def _pixart(kind: Any, interpolation: int, conditions: bool) -> Made:
    network = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=16,
        caption_channels=12,
        sample_size=8,
        interpolation_scale=interpolation,
        use_additional_conditions=conditions,
    )
    pipe = kind(
        tokenizer=NOTHING, text_encoder=NOTHING, vae=_decoder(), transformer=network, scheduler=diffusers.DPMSolverMultistepScheduler()
    )
    return pipe, lambda seed: _words(seed, 12) | {"negative_prompt": None, "height": 8, "width": 8, "use_resolution_binning": False}


def _decoder() -> Any:
    return diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)


def sd3() -> Made:
    network = diffusers.SD3Transformer2DModel(
        sample_size=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        caption_projection_dim=16,
        pooled_projection_dim=10,
        in_channels=4,
        out_channels=4,
    )
    nothing: dict[str, Any] = dict.fromkeys([f"{part}{which}" for part in ("text_encoder", "tokenizer") for which in ("", "_2", "_3")])
    pipe = diffusers.StableDiffusion3Pipeline(transformer=network, scheduler=_flow(shift=3.0), vae=_decoder(), **nothing)

    def arguments(seed: int) -> Mapping[str, Any]:
        words = {key: value for key, value in _words(seed, 12).items() if "mask" not in key}
        pooled = {"pooled_prompt_embeds": _noise(seed, 1, 10), "negative_pooled_prompt_embeds": _noise(9, 1, 10)}
        return words | pooled | {"height": 8, "width": 8}

    return pipe, arguments


def flux() -> Made:
    network = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=12,
        pooled_projection_dim=10,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    nothing: dict[str, Any] = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    pipe = diffusers.FluxPipeline(scheduler=_flow(), vae=_decoder(), transformer=network, **nothing)
    return pipe, lambda seed: {
        "prompt_embeds": _noise(seed, 1, 6, 12),
        "pooled_prompt_embeds": _noise(seed, 1, 10),
        "height": 8,
        "width": 8,
    }


def sana() -> Made:
    network = diffusers.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=12,
        sample_size=8,
    )
    pipe = diffusers.SanaPipeline(
        tokenizer=NOTHING,
        text_encoder=NOTHING,
        vae=NOTHING,
        transformer=network,
        scheduler=_flow(shift=3.0),
    )
    return pipe, lambda seed: _words(seed, 12) | {"negative_prompt": None, "height": 256, "width": 256, "use_resolution_binning": False}


def qwen() -> Made:
    network = diffusers.QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=12,
        axes_dims_rope=(4, 4, 8),
    )
    pipe = diffusers.QwenImagePipeline(_flow(), NOTHING, NOTHING, NOTHING, network)

    def arguments(seed: int) -> Mapping[str, Any]:
        mask = torch.ones(1, 6, dtype=torch.long)
        words = {"prompt_embeds": _noise(seed, 1, 6, 12), "prompt_embeds_mask": mask}
        negative = {"negative_prompt_embeds": _noise(9, 1, 6, 12), "negative_prompt_embeds_mask": mask, "true_cfg_scale": 3.0}
        return words | negative | {"height": 64, "width": 64}

    return pipe, arguments


def wan() -> Made:
    network = diffusers.WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=12,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
    )
    pipe = diffusers.WanPipeline(NOTHING, NOTHING, NOTHING, _flow(shift=5.0), transformer=network)

    def arguments(seed: int) -> Mapping[str, Any]:
        words = {key: value for key, value in _words(seed, 12).items() if "mask" not in key}
        return words | {"height": 32, "width": 32, "num_frames": 5}

    return pipe, arguments


def ltx() -> Made:
    network = diffusers.LTXVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=2,
        caption_channels=12,
    )
    pipe = diffusers.LTXPipeline(_flow(use_dynamic_shifting=True), NOTHING, NOTHING, NOTHING, network)
    return pipe, lambda seed: _words(seed, 12) | {"height": 64, "width": 64, "num_frames": 9, "max_sequence_length": 6}


def unet() -> Made:
    network = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    scheduler = diffusers.DDIMScheduler()
    pipe = diffusers.StableDiffusionPipeline(
        _decoder(), NOTHING, NOTHING, network, scheduler, NOTHING, NOTHING, requires_safety_checker=False
    )

    def arguments(seed: int) -> Mapping[str, Any]:
        words = {key: value for key, value in _words(seed, 12).items() if "mask" not in key}
        return words | {"height": 8, "width": 8}

    return pipe, arguments


PIPELINES: dict[str, Callable[[], Made]] = {
    "DiT": dit,
    "PixArt-alpha": lambda: _pixart(diffusers.PixArtAlphaPipeline, 1, False),
    "PixArt-Sigma": lambda: _pixart(diffusers.PixArtSigmaPipeline, 2, False),
    "SD3": sd3,
    "FLUX": flux,
    "Sana": sana,
    "Qwen-Image": qwen,
    "Wan": wan,
    "LTX": ltx,
    "U-Net": unet,
}


def tiny(name: str) -> Made:
    """The pipeline of that name, the same weights every time, without a progress bar."""
    torch.manual_seed(0)
    pipe, arguments = PIPELINES[name]()
    network = (getattr(pipe, "transformer", None) or pipe.unet).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # what starts at zero would say nothing
    pipe.set_progress_bar_config(disable=True)
    return pipe, arguments
