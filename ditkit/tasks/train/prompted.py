"""Training a model that is asked in words: its pictures, its captions and its text encoder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from ditkit.codecs.codec import Codec
from ditkit.config.schema import TrainConfig
from ditkit.data.captioned import Mixture, SceneDraws
from ditkit.data.captions import words
from ditkit.data.images import files_digest
from ditkit.data.sprites import Sprites, of_classes, of_styles
from ditkit.errors import CheckpointError, ConfigError
from ditkit.models.aspect_bins import bins
from ditkit.models.spec import ModelSpec
from ditkit.results.progress import Progress
from ditkit.tasks.shared.prompts import FOLDER
from ditkit.text.encoder import ENCODERS, load_encoder
from ditkit.text.small import SIZES, fresh_encoder, word_vocabulary
from ditkit.text.vocabulary import SPIECE, Vocabulary
from ditkit.training.trainer import STATE


def trained_encoder(spec: ModelSpec) -> str:
    """The name of the text encoder that is trained with the model; raises `ConfigError` if it is not one that ditkit trains."""
    if spec.text not in SIZES:
        raise ConfigError(f"{spec.name} reads prompts through {spec.text}, which ditkit does not train; train pixart-emoji")
    return spec.text


def vocabulary_of(sprites: Sprites) -> bytes:
    """A token for every word of the captions that these sprites can get."""
    return word_vocabulary(words(sprites.class_names))


def scene_draws(
    config: TrainConfig, spec: ModelSpec, sprites: Sprites, vocabulary: bytes, codec: Codec, where: torch.device, progress: Progress
) -> SceneDraws:
    """Captioned scenes as they are asked for, in the model's shapes unless in one square."""
    asked = config.scenes
    reader, tokens = Vocabulary(vocabulary), ENCODERS[trained_encoder(spec)].tokens

    @torch.inference_mode()
    def encode(images: torch.Tensor) -> torch.Tensor:
        return codec.encode(images.to(where)).cpu()

    side, step = asked.side, codec.factor * spec.params.patch
    if side and side % step:
        raise ConfigError(f"scenes.side={side} is not a multiple of {step}, the pixels along a side of {spec.name}'s tokens")
    shapes = [(side, side)] if side else [(known.height, known.width) for known in bins(spec.image_size)]
    shown = of_styles(sprites, asked.styles) if asked.styles else sprites
    if asked.nouns:
        shown = of_classes(shown, shown.class_names[: asked.nouns] if isinstance(asked.nouns, int) else asked.nouns)
    sides = range(spec.image_size // 4 // step * step or step, spec.image_size // 2 + 1, step)
    small = [(height, width) for height in sides for width in sides]
    mixture = Mixture(asked.filling, asked.white, asked.small, config.data.mirror)
    folder = _pool_folder(config, codec, shown, progress) if asked.pool else Path()
    return SceneDraws(
        shown, encode, lambda captions: reader.encode(captions, tokens)[0], shapes, mixture, small, pool=asked.pool, folder=folder
    )


def _pool_folder(config: TrainConfig, codec: Codec, shown: Sprites, progress: Progress) -> Path:
    """Named after all that its pictures come from. A training that finds another one, or none, says that it fills a new one."""
    data = config.data
    known = [files_digest([Path(str(data.path))]), codec.name, dict(codec.origin), shown.class_names, shown.styles, data.mirror]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]
    folder = Path(data.cache or config.out) / f"pool-{digest}"
    if (Path(config.out) / STATE).exists() and not folder.exists():
        progress.note(f"{folder}, the pool of encoded pictures, is gone, or of another codec or data: its pictures are encoded again")
    return folder


def starting_encoder(config: TrainConfig, spec: ModelSpec, vocabulary: bytes, progress: Progress) -> Any:
    """The encoder that lies beside the weights to start from, as training or ditkit itself puts it there, or a fresh one, which is said.

    Raises `CheckpointError` if the one beside has other words.
    """
    name, init = trained_encoder(spec), config.init
    encoder = fresh_encoder(name, len(Vocabulary(vocabulary)))
    beside = [Path(init).parent / folder for folder in (FOLDER, str(ENCODERS[name].asset))] if init else []
    folder = next((place for place in beside if place.is_dir()), None)
    if init and not folder and not (Path(config.out) / STATE).exists():
        progress.note(f"there is no text encoder beside {init} ({FOLDER}/): a fresh one learns the words from the beginning")
    if folder:
        if (folder / SPIECE).read_bytes() != vocabulary:
            raise CheckpointError(f"{folder} was trained on captions of other words than these sprites'; move it away to start it afresh")
        encoder.load_state_dict(load_encoder(folder).state_dict())
    return encoder
