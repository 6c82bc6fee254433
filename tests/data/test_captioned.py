"""Captioned pictures: in every shape, with captions in known words, and without the pairs that are held out."""

import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from ditkit.config.schema import ScenesConfig
from ditkit.data.captioned import COLOURS, Mixture, SceneDraws, anywhere, captioned, in_pixels
from ditkit.data.captions import counted, held_out, words
from ditkit.data.sprites import Sprites
from ditkit.models.aspect_bins import bins
from ditkit.text.vocabulary import PAD

NOUNS: tuple[str, ...] = tuple(json.loads((files("ditkit") / "assets" / "classes" / "emoji.json").read_text(encoding="utf-8")))
USUAL = Mixture(ScenesConfig().filling, ScenesConfig().white)
SHAPES = [(shape.height, shape.width) for shape in bins(128)]


@pytest.fixture(scope="module")
def sprites() -> Sprites:
    """Opaque squares of one colour, two of each class."""
    rng = np.random.default_rng(0)
    rgba = np.full((2 * len(NOUNS), 64, 64, 4), 255, np.uint8)
    rgba[..., :3] = rng.integers(0, 256, (2 * len(NOUNS), 1, 1, 3))
    return Sprites(rgba, np.arange(2 * len(NOUNS)) // 2, NOUNS, ("flat",) * 2 * len(NOUNS))


def test_every_scene_can_be_read_and_holds_no_pair_that_is_held_out(sprites: Sprites) -> None:
    known = set(words(NOUNS))
    sizes: Counter[int] = Counter()
    for seed in range(700):
        height, width = SHAPES[seed % len(SHAPES)]
        scene, said = captioned(sprites, np.random.default_rng(seed), height, width, USUAL)
        nouns = [NOUNS[sprites.labels[index]] for index in scene.sprites]
        assert scene.image.shape == (height, width, 3)
        assert not any(held_out(*pair) for pair in combinations(nouns, 2))
        assert set(said.replace(",", "").split()) <= known
        for noun, count in Counter(nouns).items():
            assert counted(noun, count).removeprefix("a ").removeprefix("an ") in said
        sizes[len(nouns)] += 1
    assert set(sizes) == {1, 2, 3, 4}


def test_of_ten_pictures_three_are_of_one_object_filling_the_frame_under_its_bare_noun(sprites: Sprites) -> None:
    bare = []
    for index, (height, width) in enumerate(SHAPES):
        for seed in range(100):
            scene, said = captioned(sprites, np.random.default_rng((index, seed)), height, width, USUAL)
            x0, y0, x1, y1 = in_pixels(scene.boxes[0], height, width)
            if said in NOUNS and max(x1 - x0, y1 - y0) >= 0.78 * min(height, width):
                bare.append((x1 - x0) / (y1 - y0))
                assert abs((x0 + x1) / 2 - width / 2) < width / 5 and abs((y0 + y1) / 2 - height / 2) < height / 5
    assert len(bare) > 0.3 * 100 * len(SHAPES)
    assert 1 / 1.6 < min(bare) < max(bare) < 1.6  # proportions are kept, nearly


def test_an_object_lies_where_its_box_says(sprites: Sprites) -> None:
    for seed in range(20):
        scene, _ = captioned(sprites, np.random.default_rng(seed), 72, 128, USUAL)
        x0, y0, x1, y1 = in_pixels(scene.boxes[-1], 72, 128)
        pixel = scene.image[int((y0 + y1) / 2), int((x0 + x1) / 2)]
        assert np.abs(pixel.astype(int) - sprites.rgba[scene.sprites[-1]][0, 0, :3]).max() <= 1


def test_a_colour_in_a_caption_is_that_of_the_background(sprites: Sprites) -> None:
    found = 0
    for seed in range(300):
        scene, said = captioned(sprites, np.random.default_rng(seed), 96, 96, USUAL)
        if "background" not in said:
            continue
        found += 1
        colour = np.array(COLOURS[said.split()[-2]])
        inside = np.zeros((96, 96), bool)
        for box in scene.boxes:
            x0, y0, x1, y1 = (round(edge) for edge in in_pixels(box, 96, 96))
            inside[y0:y1, x0:x1] = True
        assert np.abs(scene.image[~inside] / 255 - colour).max() < 0.07
    assert found > 30


def test_a_picture_depends_on_its_generator_only(sprites: Sprites) -> None:
    first, second, other = (captioned(sprites, np.random.default_rng(seed), 96, 96, USUAL) for seed in (3, 3, 4))
    assert np.array_equal(first.scene.image, second.scene.image) and first.caption == second.caption
    assert not np.array_equal(first.scene.image, other.scene.image)


def test_a_mixture_of_only_filling_objects_on_white_is_that(sprites: Sprites) -> None:
    for seed in range(40):
        scene, said = captioned(sprites, np.random.default_rng(seed), 64, 64, Mixture(filling=1, white=1))
        assert len(scene.sprites) == 1 and "background" not in said
        assert (scene.image[0, 0] == 255).all() or min(scene.boxes[0][:2]) < 1 / 64
    drawn = [captioned(sprites, np.random.default_rng(seed), 64, 64, Mixture(filling=0, white=1)) for seed in range(60)]
    named = [said for _, said in drawn if "background" in said]
    assert named and all(said.endswith("on a white background") for said in named)


def test_things_face_both_ways_or_as_they_are_drawn(sprites: Sprites) -> None:
    halves = np.zeros((1, 64, 64, 4), np.uint8)
    halves[..., 3], halves[:, :, :32, 0], halves[:, :, 32:, 2] = 255, 255, 255  # red on the left, blue on the right
    corn = Sprites(halves, np.array([0]), ("corn",), ("flat",))

    def as_drawn(filling: float, mirror: bool) -> int:
        mixture, times = Mixture(filling, white=1, mirror=mirror), 0
        for seed in range(20):
            red, _, blue = captioned(corn, np.random.default_rng(seed), 64, 64, mixture).scene.image.astype(float).mean(0).T
            times += int(red.argmin() > blue.argmin())  # on white, red is least where blue is
        return times

    for filling in (0, 1):
        assert as_drawn(filling, mirror=False) == 20 and 0 < as_drawn(filling, mirror=True) < 20


def test_things_anywhere_are_those_that_were_asked_for_on_white(sprites: Sprites) -> None:
    for seed in range(20):
        scene = anywhere(sprites, np.random.default_rng(seed), 96, 128, [3, 5])
        assert [int(sprites.labels[index]) for index in scene.sprites] in ([3, 5], [3])  # the second finds no room at times
        outside = np.ones((96, 128), bool)
        for box in scene.boxes:
            x0, y0, x1, y1 = (round(edge) for edge in in_pixels(box, 96, 128))
            outside[y0:y1, x0:x1] = False
            assert 0.25 * (96 * 128) ** 0.5 < x1 - x0 <= 0.62 * (96 * 128) ** 0.5
        assert (scene.image[outside] == 255).all()


def test_few_classes_make_fewer_objects_rather_than_none(sprites: Sprites) -> None:
    corn = Sprites(sprites.rgba[:1], np.array([0]), ("corn",), ("flat",))
    assert {len(captioned(corn, np.random.default_rng(seed), 96, 96, USUAL).scene.sprites) for seed in range(30)} == {1}


def test_a_batch_has_one_shape_and_its_rows_do_not_depend_on_each_other(sprites: Sprites) -> None:
    def draw(seed: int, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        draws = SceneDraws(sprites, lambda images: images, lambda captions: torch.tensor([[len(said)] for said in captions]), SHAPES, USUAL)
        return draws.draw(torch.Generator().manual_seed(seed), 4, rows)

    shapes: Counter[tuple[int, ...]] = Counter()
    for seed in range(40):
        images, tokens = draw(seed, slice(0, 2))
        assert len(images) == len(tokens) == 2 and images.min() >= -1 and images.max() <= 1
        shapes[tuple(images.shape[2:])] += 1
    assert shapes[128, 128] == max(shapes.values()) and len(shapes) >= 6
    whole, part = draw(5, slice(0, 4)), draw(5, slice(1, 3))
    assert all(torch.equal(all_of_it[1:3], some) for all_of_it, some in zip(whole, part, strict=True))


def test_small_pictures_show_one_thing_each_as_often_as_asked(sprites: Sprites) -> None:
    mixture = Mixture(filling=0, white=0.3, small=0.4)
    said: list[str] = []

    def heard(captions: Sequence[str]) -> torch.Tensor:
        said.extend(captions)
        return torch.zeros(len(captions), 1)

    draws = SceneDraws(sprites, lambda images: images, heard, SHAPES, mixture, [(24, 32)])
    small = 0
    for seed in range(100):
        said.clear()
        shape = draws.draw(torch.Generator().manual_seed(seed), 4, slice(0, 4))[0].shape[2:]
        small += shape == (24, 32)
        assert shape != (24, 32) or all(caption.removeprefix("a ").removeprefix("an ") in NOUNS for caption in said)
    assert 30 <= small <= 50


def test_captions_are_as_long_as_the_longest_in_their_batch(sprites: Sprites) -> None:
    def tokens(captions: Sequence[str]) -> torch.Tensor:
        lengths = [len(said.split()) for said in captions]
        return torch.tensor([[7] * length + [PAD] * (60 - length) for length in lengths])

    draws = SceneDraws(sprites, lambda images: images, tokens, SHAPES, USUAL)
    lengths = set()
    for seed in range(5):
        drawn = draws.draw(torch.Generator().manual_seed(seed), 4, slice(0, 4))[1]
        assert bool((drawn[:, -1] != PAD).any()) and drawn.shape[1] < 60
        lengths.add(drawn.shape[1])
    assert len(lengths) > 1


def test_a_pool_shows_the_same_pictures_again_whatever_is_left_of_it(sprites: Sprites, tmp_path: Path) -> None:
    encoded: list[int] = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        encoded.append(len(images))
        return images[:, :, ::8, ::8]

    def drawn(folder: Path) -> list[torch.Tensor]:
        draws = SceneDraws(sprites, encode, lambda captions: torch.full((len(captions), 3), 5), [(64, 64)], USUAL, pool=3, folder=folder)
        return [draws.draw(torch.Generator().manual_seed(seed), 8, slice(2, 8))[0] for seed in range(4)]

    first = drawn(tmp_path / "pool")
    assert len(encoded) <= 4 and set(encoded) == {1}  # three pictures, and the one that shows the shapes
    assert len(torch.cat(first).flatten(1).unique(dim=0)) == 3
    (file,) = (tmp_path / "pool").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + bytes(10) + whole[len(whole) // 2 + 10 :])  # one is damaged
    assert all(map(torch.equal, first, drawn(tmp_path / "pool"))) and file.read_bytes() == whole
    assert all(map(torch.equal, first, drawn(tmp_path / "another")))
