"""Things in boxes, judged: for the commands that measure whether everything is where it should be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.data.captioned import anywhere
from ditkit.data.scenes import Scene, put_into_boxes
from ditkit.data.sprites import Sprites
from ditkit.grounding.layout import Layout
from ditkit.metrics.grounding import BoxJudge, CropJudge, DetectorJudge, Verdict, class_of
from ditkit.metrics.zero_shot import ZeroShotDetector
from ditkit.models.judge import JUDGED, load_judge
from ditkit.tasks.shared import classes

JUDGE = "judge"
REAL = "sprites in the boxes"
ANYWHERE = "sprites anywhere"


@dataclass(frozen=True)
class Pictures:
    """One line of the table: pictures, read one at a time, and what each was asked to show."""

    name: str
    count: int
    picture: Callable[[int], Tensor]
    prompts: Sequence[str]
    layouts: Sequence[Layout] = ()
    request: Mapping[str, Any] | None = None
    files: Sequence[Path] = ()


def composed(like: Pictures, sprites: Sprites, seed: int) -> Pictures:
    """These drawings put into the boxes of the same layouts, which is what a perfect model could be judged by."""

    def scene(rng: np.random.Generator, labels: Sequence[int], layout: Layout, height: int, width: int) -> Scene:
        chosen = [int(rng.choice(np.flatnonzero(sprites.labels == label))) for label in labels]
        return put_into_boxes(sprites, rng, chosen, layout.boxes, height, width)

    return _drawn(REAL, scene, like, sprites, seed)


def scattered(like: Pictures, sprites: Sprites, seed: int) -> Pictures:
    """These drawings somewhere, as training shows them: what a perfect model comes to that is told no boxes."""

    def scene(rng: np.random.Generator, labels: Sequence[int], layout: Layout, height: int, width: int) -> Scene:
        return anywhere(sprites, rng, height, width, labels)

    return _drawn(ANYWHERE, scene, like, sprites, seed)


def _drawn(
    name: str, scene: Callable[[np.random.Generator, Sequence[int], Layout, int, int], Scene], like: Pictures, sprites: Sprites, seed: int
) -> Pictures:
    """The things of the same layouts, put together by `scene` from a generator of the picture's own."""

    def picture(index: int) -> Tensor:
        layout = like.layouts[index]
        labels = [class_of(text, sprites.class_names) for text in layout.texts]
        made = scene(np.random.default_rng((seed, index)), labels, layout, *like.picture(index).shape[1:])
        return from_uint8(torch.from_numpy(made.image).movedim(-1, 0))

    return Pictures(name, like.count, picture, like.prompts, like.layouts)


def judge_of(detector: str, device: torch.device) -> BoxJudge:
    """The bundled judge, which is small and stays on the CPU, or the detector in a folder."""
    return bundled_judge() if detector == JUDGE else DetectorJudge(ZeroShotDetector(detector, device))


def bundled_judge() -> CropJudge:
    """The judge that ships, with the names of what it knows."""
    return CropJudge(load_judge(), classes.known_classes(JUDGED))


def verdicts_on(pictures: Pictures, judge: BoxJudge, advance: Callable[[], None]) -> list[list[Verdict]]:
    """The verdict on every box of every picture."""
    found = []
    for index, layout in enumerate(pictures.layouts):
        found.append(judge.judge(pictures.picture(index), layout.texts, layout.boxes))
        advance()
    return found
