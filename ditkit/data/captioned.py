"""Pictures with captions, composed on the fly: one object that fills the frame under its bare noun, or a scene of one to four.

The first kind is what a grounded model is asked for once per box, in every shape of box; the second is what people ask for.
Shapes: B batch, H W picture, C h w latent, L tokens of a caption.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.data.captions import ARTICLELESS, COLOURS, all_shown, caption, one
from ditkit.data.pool import Kind, Pool
from ditkit.data.scenes import Box, Scene, arrange, background, facing, paste, resized, to_uint8
from ditkit.data.sprites import Sprites
from ditkit.text.vocabulary import PAD

BARE = 0.8  # of pictures of one object that fills the frame, the share of those under the noun alone
NAMED = 7 / 15  # of backgrounds that are not white, the share of the plain ones that have a name
OBJECTS = (0.17, 0.43, 0.25, 0.15)  # of the others, those of 1, 2, 3 and 4
TWIN = 0.25  # chance that a further object is one of those already there
SQUARE = 3  # how much more often a square is drawn than another shape
TRIES = 20


@dataclass(frozen=True)
class Mixture:
    """Which pictures are drawn how often: shares of those of one object that fills the frame, and of those on white.

    `small` is the share of batches of one object that fills a frame as small as a box: a patch that is put into one is denoised so.
    With `mirror` every object is shown the other way round as often as it is drawn.
    """

    filling: float
    white: float
    small: float = 0.0
    mirror: bool = True


class Captioned(NamedTuple):
    scene: Scene
    caption: str


def captioned(sprites: Sprites, rng: np.random.Generator, height: int, width: int, mixture: Mixture) -> Captioned:
    """A picture and its caption; pairs of nouns that are held out never share one."""
    if rng.random() < mixture.filling:
        return _filling(sprites, rng, height, width, mixture)
    labels = _company(sprites, rng, 1 + int(rng.choice(4, p=OBJECTS)))
    canvas, colour = _backdrop(rng, height, width, mixture.white)
    scene = _arranged(sprites, rng, canvas, labels, mirror=mixture.mirror)
    nouns = [sprites.class_names[sprites.labels[index]] for index in scene.sprites]
    boxes = [in_pixels(box, height, width) for box in scene.boxes]
    return Captioned(scene, caption(nouns, boxes, rng, min(height, width), colour))


def anywhere(sprites: Sprites, rng: np.random.Generator, height: int, width: int, labels: Sequence[int]) -> Scene:
    """A scene of these things on white as training shows them: somewhere, in some size."""
    return _arranged(sprites, rng, np.ones((height, width, 3), np.float32), labels, mirror=True)


def _arranged(sprites: Sprites, rng: np.random.Generator, canvas: np.ndarray, labels: Sequence[int], *, mirror: bool) -> Scene:
    height, width = canvas.shape[:2]
    unit = (height * width) ** 0.5
    most = min(unit * {1: 0.9, 2: 0.62}.get(len(labels), 0.48), height, width)
    indices = [_sprite_of(sprites, rng, label) for label in labels]
    return arrange(sprites, rng, canvas, indices, 0.26 * unit, most, mirror=mirror)


def in_pixels(box: Box, height: int, width: int) -> Box:
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def _filling(sprites: Sprites, rng: np.random.Generator, height: int, width: int, mixture: Mixture) -> Captioned:
    """One object as large as the shorter side allows, at times stretched a little along the longer one."""
    canvas, _ = _backdrop(rng, height, width, mixture.white)
    index = _sprite_of(sprites, rng, int(rng.integers(len(sprites.class_names))))
    side = min(height, width) * rng.uniform(0.8, 1.0)
    stretch = rng.uniform(1.0, 1.5) if rng.random() < 0.7 else 1.0
    tall, wide = (int(min(side * (stretch if length > side / 0.8 else 1.0), length)) for length in (height, width))
    top, left = (int((length - own) / 2 * rng.uniform(0.5, 1.5)) for length, own in ((height, tall), (width, wide)))
    paste(canvas, resized(facing(sprites, index, rng, mirror=mixture.mirror), wide, tall), left, top)
    box = (left / width, top / height, (left + wide) / width, (top + tall) / height)
    noun = sprites.class_names[sprites.labels[index]]
    return Captioned(Scene(to_uint8(canvas), (index,), (box,)), noun if rng.random() < BARE else one(noun))


def _backdrop(rng: np.random.Generator, height: int, width: int, white: float) -> tuple[np.ndarray, str | None]:
    """A background, with probability `white` white, and what its colour is called if it is a plain one that has a name."""
    kind = rng.random()
    if kind >= white + NAMED * (1 - white):
        return background(rng, height, width), None
    colour = "white" if kind < white else str(rng.choice(list(COLOURS)))
    spread = 0.0 if colour == "white" else 0.06
    shade = np.clip(np.array(COLOURS[colour]) + rng.uniform(-spread, spread, 3), 0, 1)
    return np.broadcast_to(shade.astype(np.float32), (height, width, 3)).copy(), colour


def _company(sprites: Sprites, rng: np.random.Generator, count: int) -> list[int]:
    """Labels that may share a scene: fewer than `count` if the classes hardly go together."""
    names, labels = sprites.class_names, [int(rng.integers(len(sprites.class_names)))]
    for _ in range(TRIES * count):
        if len(labels) == count:
            break
        label = labels[int(rng.integers(len(labels)))] if rng.random() < TWIN else int(rng.integers(len(names)))
        twins = label in labels and names[label] in ARTICLELESS
        if not twins and all_shown(names[known] for known in (*labels, label)):
            labels.append(label)
    return labels


def _sprite_of(sprites: Sprites, rng: np.random.Generator, label: int) -> int:
    return int(rng.choice(np.flatnonzero(sprites.labels == label)))


class SceneDraws:
    """Captioned pictures as training sees them: latents by `encode` ([-1, 1] (B, 3, H, W) -> (B, C, h, w)), captions by `tokens` (B, L).

    A batch has one shape (H, W), drawn among `shapes`, or of a small one among `small`; every picture depends on its own seed only.
    With a `pool`, they are the first `pool` pictures of every shape again and again, encoded once and kept in `folder`.
    """

    def __init__(
        self,
        sprites: Sprites,
        encode: Callable[[Tensor], Tensor],
        tokens: Callable[[Sequence[str]], Tensor],
        shapes: Sequence[tuple[int, int]],
        mixture: Mixture,
        small: Sequence[tuple[int, int]] = (),
        *,
        pool: int = 0,
        folder: Path = Path(),
    ) -> None:
        self.sprites, self.encode, self.tokens, self.shapes, self.mixture, self.small = sprites, encode, tokens, shapes, mixture, small
        self.chances = torch.tensor([float(SQUARE if height == width else 1) for height, width in shapes])
        self.pool = Pool(folder, pool, self._one) if pool else None

    def draw(self, generator: torch.Generator, batch: int, rows: slice) -> tuple[Tensor, Tensor]:
        """Latents (rows, C, h, w) and the numbers of their captions' tokens (rows, L), as many as the longest caption has."""
        kind = self._kind(generator)
        seeds = torch.randint(self.pool.size if self.pool else 2**62, (batch,), generator=generator)[rows].tolist()
        latents, tokens = self.pool.take(kind, seeds) if self.pool else self._pictures(kind, seeds)
        return latents, tokens[:, : int((tokens != PAD).sum(1).max())]

    def _kind(self, generator: torch.Generator) -> Kind:
        filling, white, small = self.mixture.filling, self.mixture.white, self.mixture.small
        if small and float(torch.rand((), generator=generator)) < small:
            return Kind(*self.small[int(torch.randint(len(self.small), (), generator=generator))], 1.0, white)
        return Kind(*self.shapes[int(torch.multinomial(self.chances, 1, generator=generator))], filling, white)

    def _pictures(self, kind: Kind, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        mixture = Mixture(kind.filling, kind.white, mirror=self.mixture.mirror)
        drawn = [captioned(self.sprites, np.random.default_rng(seed), kind.height, kind.width, mixture) for seed in seeds]
        images = from_uint8(torch.from_numpy(np.stack([picture.scene.image for picture in drawn])).movedim(-1, 1))
        return self.encode(images), self.tokens([picture.caption for picture in drawn])

    def _one(self, kind: Kind, number: int) -> tuple[Tensor, Tensor]:
        """By itself, for how a picture is rounded may depend on those it is encoded with."""
        latents, tokens = self._pictures(kind, [number])
        return latents[0], tokens[0]
