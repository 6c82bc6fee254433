"""Tiny pipelines, made and saved by diffusers as people's are, and the pictures that diffusers itself draws with them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel
from diffusers.pipelines.dit.pipeline_dit import DiTPipeline
from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import PixArtAlphaPipeline
from diffusers.pipelines.pixart_alpha.pipeline_pixart_sigma import PixArtSigmaPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from ditkit.diffusion.noise import SampleNoise
from tests.models.tiny import drawn
from tests.text.tiny import CONFIG as T5_CONFIG
from tests.text.tiny import vocabulary

SIZE = 8  # of latents
WIDTHS = (8, 16)  # of the autoencoder, which makes a latent of 2 x 2 pixels


def seeded(seed: int) -> None:
    torch.manual_seed(seed)


def autoencoder(**more: Any) -> AutoencoderKL:
    """One whose scale and norm groups are not Stable Diffusion's."""
    seeded(1)
    blocks: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * len(WIDTHS),
        "up_block_types": ("UpDecoderBlock2D",) * len(WIDTHS),
    }
    numbers: dict[str, Any] = {"block_out_channels": WIDTHS, "latent_channels": 4, "norm_num_groups": 4, "scaling_factor": 0.6}
    return AutoencoderKL(**{**blocks, **numbers, **more}).eval()


def dit(classes: int = 7, **more: Any) -> DiTTransformer2DModel:
    numbers: dict[str, Any] = {"num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 2, "sample_size": SIZE}
    network = drawn(DiTTransformer2DModel(**{**numbers, "out_channels": 8, "num_embeds_ada_norm": classes, **more}))
    first, *others = network.transformer_blocks
    for block in others:  # a trained DiT has one embedding, which diffusers repeats
        block.norm1.emb.load_state_dict(first.norm1.emb.state_dict())
    return network


def dit_pipeline(transformer: Any = None, scheduler: Any = None, id2label: Any = None, vae: Any = None) -> DiTPipeline:
    own: Any = DDIMScheduler(clip_sample=False)  # as facebook/DiT-XL-2-256 has it
    pipe = DiTPipeline(transformer or dit(), vae or autoencoder(), scheduler or own, id2label)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pixart(**more: Any) -> PixArtTransformer2DModel:
    numbers: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2, "cross_attention_dim": 24}
    numbers |= {"caption_channels": T5_CONFIG["d_model"], "sample_size": SIZE, "out_channels": 8}
    return drawn(PixArtTransformer2DModel(**{**numbers, **more}))


def pixart_pipeline(
    folder: Path, transformer: Any = None, scheduler: Any = None, tokenizer: dict[str, Any] | None = None, sigma: bool = False
) -> Any:
    """With a T5 and its tokenizer as transformers makes them; `folder` is for the vocabulary that the tokenizer is made from."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    seeded(2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(vocabulary())
    parts: dict[str, Any] = {
        "tokenizer": T5Tokenizer.from_pretrained(folder, **(tokenizer or {})),
        "text_encoder": T5EncoderModel(T5Config(**T5_CONFIG)).eval(),
        "vae": autoencoder(),
        "transformer": transformer or pixart(),
        "scheduler": scheduler or DPMSolverMultistepScheduler(),
    }
    pipe = (PixArtSigmaPipeline if sigma else PixArtAlphaPipeline)(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def noise(seed: int, size: int = SIZE, channels: int = 4) -> torch.Tensor:
    """What ditkit begins the picture of that seed with."""
    return SampleNoise((seed,)).draw(1, (channels, size, size))[0]


def picture(made: Any) -> np.ndarray:
    """The first picture of a pipeline's output as integers."""
    return np.asarray(made.images[0], dtype=int)
