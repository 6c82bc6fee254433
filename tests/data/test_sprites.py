"""Sprites are chosen by their names."""

import numpy as np
import pytest

from ditkit.data.sprites import Sprites, of_classes, of_styles
from ditkit.errors import DataError


@pytest.fixture
def sprites() -> Sprites:
    rng = np.random.default_rng(0)
    return Sprites(rng.integers(0, 256, (5, 64, 64, 4), dtype=np.uint8), np.arange(5), tuple("abcde"), ("flat",) * 5)


def test_classes_are_chosen_by_name_and_labelled_in_the_order_asked(sprites: Sprites) -> None:
    chosen = of_classes(sprites, ["d", "b"])
    assert chosen.class_names == ("d", "b") and chosen.labels.tolist() == [1, 0] and len(chosen.styles) == 2
    assert np.array_equal(chosen.rgba, sprites.rgba[[1, 3]])
    with pytest.raises(DataError, match=r"there are no drawings of x, but of a, b, c, d, e: say which with scenes\.nouns="):
        of_classes(sprites, ["a", "x"])


def test_styles_are_chosen_by_name_and_classes_that_none_draws_are_left_out(sprites: Sprites) -> None:
    mixed = Sprites(sprites.rgba, np.array([2, 0, 1, 2, 1]), ("a", "b", "c"), ("flat", "round", "flat", "round", "line"))
    chosen = of_styles(mixed, ["line", "flat"])
    assert chosen.class_names == ("b", "c") and chosen.labels.tolist() == [1, 0, 0] and chosen.styles == ("flat", "flat", "line")
    assert np.array_equal(chosen.rgba, mixed.rgba[[0, 2, 4]])
    with pytest.raises(
        DataError, match=r"there are no drawings in the style oval, but in flat, round, line: say which with scenes\.styles="
    ):
        of_styles(mixed, ["oval"])
