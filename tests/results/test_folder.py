"""Captions of a grid: readable, and never longer than their picture; and what is no folder of a run."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from ditkit.results.folder import draw_grid
from tests.closeness import near

SIDE = 256


def _letters(*captions: str) -> list[np.ndarray]:
    """The part of the sheet below each of two pictures, dark where there are letters."""
    sheet = draw_grid([Image.new("RGB", (SIDE, SIDE), "white")] * 2, captions).convert("L")
    pixels = np.asarray(sheet)[8 + SIDE :]
    return [pixels[:, 4 + place * (SIDE + 8) : 4 + (place + 1) * (SIDE + 8)] < 200 for place in range(2)]


def test_a_caption_that_is_too_long_ends_in_time_and_says_so() -> None:
    long = "a very long prompt about two hot dogs and many other things that nobody can read below a picture"
    first, second = _letters(long, "cat")
    assert first.any() and second.any()
    only = _letters("", long)
    assert not only[0].any() and only[1].any()


@pytest.mark.parametrize(("captions", "size"), [(("cat", "dog"), 25), (("cat", "a hot dog with very much mustard"), 12)])
def test_letters_are_smaller_where_a_caption_needs_it(captions: tuple[str, str], size: int) -> None:
    rows = np.flatnonzero(_letters(*captions)[0].any(axis=1))
    box = ImageFont.load_default(size=size).getbbox("cat")
    assert len(rows) == near(box[3] - box[1], within=2)


def test_a_picture_of_another_shape_keeps_it() -> None:
    tall = Image.new("RGB", (SIDE // 2, SIDE), "black")
    pixels = np.asarray(draw_grid([Image.new("RGB", (SIDE, SIDE), "white"), tall], ["", ""]).convert("L"))[8 : 8 + SIDE]
    dark = np.flatnonzero((pixels < 128).all(axis=0))
    assert len(dark) == SIDE // 2 and dark[0] == 8 + SIDE + 8 + SIDE // 4
