"""Training the small autoencoder: afresh, on from weights, or their decoder alone, under models that know the latents already."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ditkit.codecs.registry import load_codec, save_residual
from ditkit.codecs.residual import ResidualAutoencoder
from ditkit.config.schema import TrainConfig
from ditkit.data.images import SpritePictures, variants
from ditkit.data.latents import encode_pictures
from ditkit.data.sprites import Sprites, load_sprites
from ditkit.files.tensors import State
from ditkit.training.autoencoder import AutoencoderTask, picture_batch

NAME = "ae-emoji"
PATCH_STREAM, PATCH_PICTURES = 1, 512  # from which the linear shortcut starts
SCALE_VARIANTS = 8  # of each sprite, over which the latents are scaled to unit variance


def autoencoder(config: TrainConfig, where: torch.device) -> tuple[AutoencoderTask, Callable[[State, Path], None]]:
    """The task, and what writes its weights. Where the decoder alone is trained, the encoder's and the latents' scale stay bit for bit."""
    sprites, scale = load_sprites(str(config.data.path)), None
    if config.init:
        codec = load_codec(NAME, config.init)
        module: Any = codec.module
        if config.transfer == "decoder":
            scale = codec.scale
        for part in module.decoding if config.transfer == "decoder" else (module,):
            part.requires_grad_(True)
    else:
        module = ResidualAutoencoder()
        module.start_from_patches(picture_batch(sprites, PATCH_STREAM, 0, PATCH_PICTURES))
    task = AutoencoderTask(module.to(where).train(), sprites, batch=config.batch, seed=config.seed, small=config.scenes.small)

    def write(state: State, file: Path) -> None:
        task.module.cpu().load_state_dict(state)
        save_residual(task.module, file, scale or scale_of(task.module, sprites), torch.float16)

    return task, write


@torch.inference_mode()
def scale_of(module: ResidualAutoencoder, sprites: Sprites) -> float:
    """What takes the latents of single sprites on white, which models learn first, to unit variance."""
    pictures = SpritePictures(sprites)
    latents = encode_pictures(pictures, lambda images: module.encode(images)[0], variants(pictures, SCALE_VARIANTS, mirror=True))
    return 1 / latents.values.std().item()
