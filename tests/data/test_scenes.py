"""Composed pictures: inside their frame, apart from each other, and the same for the same generator."""

import numpy as np
import pytest

from ditkit.data.scenes import autoencoder_picture, compose, judge_picture, overlap, paste, small_things
from ditkit.data.sprites import Sprites


@pytest.fixture
def sprites() -> Sprites:
    rng = np.random.default_rng(0)
    return Sprites(rng.integers(0, 256, (5, 64, 64, 4), dtype=np.uint8), np.arange(5), tuple("abcde"), ("flat",) * 5)


def test_objects_lie_inside_and_hardly_overlap(sprites: Sprites) -> None:
    for seed in range(20):
        scene = compose(sprites, np.random.default_rng(seed), 96, 64, objects=4)
        assert scene.image.shape == (96, 64, 3) and len(scene.boxes) == len(scene.sprites) >= 1
        for index, box in enumerate(scene.boxes):
            assert 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
            assert all(overlap(box, other) < 0.1 for other in scene.boxes[:index])


def test_a_picture_depends_on_its_generator_only(sprites: Sprites) -> None:
    for make in (autoencoder_picture, small_things, lambda *args: judge_picture(*args)[0]):
        first, second, other = (make(sprites, np.random.default_rng(seed)) for seed in (3, 3, 4))
        assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_small_things_are_a_sixth_to_half_as_large_as_their_picture() -> None:
    opaque = Sprites(np.zeros((1, 64, 64, 4), np.uint8) + np.array([255, 0, 255, 255], np.uint8), np.zeros(1, int), ("a",), ("flat",))
    shares = [(small_things(opaque, np.random.default_rng(seed)) == (255, 0, 255)).all(-1).mean() for seed in range(20)]
    assert 3 / 6**2 * 0.8 < min(shares) < max(shares) < 7 / 2**2  # three to seven of them, of which the edges are blended


def test_overlap_is_the_share_of_the_smaller_box() -> None:
    assert overlap((0, 0, 1, 1), (0.25, 0.25, 0.75, 0.75)) == 1
    assert overlap((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == 0.5
    assert overlap((0, 0, 0.5, 1), (0.5, 0, 1, 1)) == 0


def test_pasting_cuts_at_the_edge_and_blends_by_alpha() -> None:
    canvas = np.ones((4, 4, 3), np.float32)
    half_black = np.zeros((4, 4, 4), np.float32)
    half_black[..., 3] = 0.5
    paste(canvas, half_black, 2, -2)
    assert canvas[:2, 2:].max() == 0.5 and canvas[2:].min() == 1 and canvas[:, :2].min() == 1
    paste(canvas, half_black, 9, 9)
