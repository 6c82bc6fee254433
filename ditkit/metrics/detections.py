"""What was seen in a picture, and how well it lies in a box.

Shapes: H W picture. A box is left, top, right and bottom edge as fractions of width and height.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from ditkit.data.box_prompts import Box


class Detection(NamedTuple):
    """Something of class `name`, how sure the detector is (0 ... 1), where it is, and its pixels (H, W) where the detector tells them."""

    name: str
    score: float
    box: Box
    mask: Tensor | None = None


class Detector(Protocol):
    """Anything that finds things of given names; every metric of this kind takes any."""

    def detect(self, picture_3HW: Tensor, names: Sequence[str]) -> list[Detection]:
        """What there is of these names in a picture in [-1, 1]."""
        ...


def area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union; 0 for two empty boxes."""
    shared = area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    together = area(one) + area(other) - shared
    return shared / together if together else 0.0


def surest(detections: Iterable[Detection], name: str) -> Detection | None:
    """The detection of that name with the highest score."""
    return max((found for found in detections if found.name == name), key=lambda found: found.score, default=None)


def distinct(detections: Iterable[Detection], height: int, width: int) -> list[Detection]:
    """Without those in the same box, to the pixel, as one before: HRS counts a place once, whatever it is called."""
    seen: dict[tuple[int, ...], Detection] = {}
    for found in detections:
        left, top, right, bottom = found.box
        seen.setdefault((int(left * width), int(top * height), int(right * width), int(bottom * height)), found)
    return list(seen.values())
