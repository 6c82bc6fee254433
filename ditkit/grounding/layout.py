"""What is to be where: a prompt, phrases of it, and the boxes of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ditkit.errors import RequestError

MOST_BOXES = 16
LARGEST_SIDE = 16384  # pixels
LIKE_PIXELS = 2  # an edge as large as this is hardly a fraction that went a little too far


class Box(NamedTuple):
    """Left, top, right and bottom edge as fractions of the picture's width and height, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Units:
    """What the edges of boxes are counted in: fractions of a picture, or the pixels of one of that width and height.

    `instead` says what to do about numbers that look like pixels where fractions are expected.
    """

    width: float = 1.0
    height: float = 1.0
    instead: str = "divide pixels by the picture's width and height"

    @property
    def are_pixels(self) -> bool:
        return self.width != 1 or self.height != 1

    def box(self, edges: Sequence[float], phrase: str) -> Box:
        """These edges as fractions; raises `RequestError`, in these units, unless they have an area and lie in the picture."""
        left, top, right, bottom = edges
        shown = f"the box [{', '.join(f'{edge:.12g}' for edge in edges)}] of '{phrase}'"
        if not all(map(math.isfinite, edges)):
            raise RequestError(f"{shown} has an edge that is no finite number")
        if not (left < right and top < bottom):
            raise RequestError(f"{shown} is empty or inverted; a box is left, top, right, bottom, with left < right and top < bottom")
        if min(left, top) < 0 or right > self.width or bottom > self.height:
            raise RequestError(f"{shown} reaches outside the picture{self._limits(max(edges))}")
        if self.are_pixels and max(edges) <= 1:
            raise RequestError(f'{shown} is less than a pixel; its numbers look like fractions, which "units": "fraction" counts')
        return Box(left / self.width, top / self.height, right / self.width, bottom / self.height)

    def _limits(self, most: float) -> str:
        if self.are_pixels:
            return f", which is {self.width:g} x {self.height:g} pixels"
        return "; fractions are from 0 to 1" + (f", {self.instead}" if most >= LIKE_PIXELS else "")


FRACTIONS = Units()


@dataclass(frozen=True)
class Phrase:
    """Words of the prompt, and the boxes that hold them, one thing in each."""

    text: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Layout:
    """A prompt with boxes for its phrases, which later ones are put over earlier ones; no phrases: the plain prompt.

    `height` and `width` in pixels are those of the picture; None is the model's own. Raises `RequestError` for what cannot be.
    """

    prompt: str
    phrases: tuple[Phrase, ...] = ()
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if (self.width is None) != (self.height is None):
            raise RequestError("a layout gives width and height, or neither")
        for name, side in (("width", self.width), ("height", self.height)):
            check_side(name, side)
        if not self.prompt.strip() and self.phrases:
            raise RequestError("a layout with boxes needs a prompt; write what the picture shows")
        for text in (self.prompt, *(phrase.text for phrase in self.phrases)):
            check_text(text)
        for phrase in self.phrases:
            if not phrase.text.strip():
                raise RequestError("a phrase is empty; copy it from the prompt")
            if not phrase.boxes:
                raise RequestError(f"the phrase '{phrase.text}' has no box; give it one or leave it out")
            for box in phrase.boxes:
                FRACTIONS.box(box, phrase.text)
        if len(self.boxes) > MOST_BOXES:
            raise RequestError(f"a layout has at most {MOST_BOXES} boxes, this one has {len(self.boxes)}")

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes, in the order in which they are put into the picture."""
        return tuple(box for phrase in self.phrases for box in phrase.boxes)

    @property
    def texts(self) -> tuple[str, ...]:
        """The phrase of each box."""
        return tuple(phrase.text for phrase in self.phrases for _ in phrase.boxes)


def check_side(name: str, pixels: int | None) -> None:
    if pixels is not None and not 1 <= pixels <= LARGEST_SIDE:
        shown = f"{pixels}" if abs(pixels) < 10**9 else "so many"
        raise RequestError(f"{name} must be from 1 to {LARGEST_SIDE} pixels, not {shown}")


def check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(
            f"{text[: error.start]!r} goes on with half a character (\\u{ord(text[error.start]):04x}); leave it out"
        ) from error
