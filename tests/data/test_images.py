"""Labelled pictures from folders and sprite sheets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ditkit.data.images import SpritePictures, centre_crop, files_digest, load_pictures, variants
from ditkit.data.scenes import Sprites
from ditkit.errors import DataError


def folder(tmp_path: Path) -> Path:
    for name, value in (("bird", 10), ("ant", 200)):
        (tmp_path / name).mkdir()
        pixels = np.zeros((8, 12, 3), np.uint8)
        pixels[:, :6] = value
        Image.fromarray(pixels).save(tmp_path / name / "0.png")
    return tmp_path


def sprites() -> Sprites:
    rgba = np.zeros((1, 64, 64, 4), np.uint8)
    rgba[0, :, :32] = (255, 0, 0, 255)
    return Sprites(rgba, np.array([0]), ("half",), ("flat",))


def test_a_folder_per_class_gives_labels_in_alphabetical_order(tmp_path: Path) -> None:
    pictures = load_pictures(folder(tmp_path), 4)
    assert pictures.class_names == ("ant", "bird")
    assert pictures.labels.tolist() == [0, 1]
    assert pictures.picture(0, 0).shape == (4, 4, 3)


def test_odd_variants_are_mirrored(tmp_path: Path) -> None:
    for pictures in (load_pictures(folder(tmp_path), 4), SpritePictures(sprites())):
        assert np.array_equal(pictures.picture(0, 1), pictures.picture(0, 0)[:, ::-1])


def test_only_variants_that_differ_are_used(tmp_path: Path) -> None:
    pictures = load_pictures(folder(tmp_path), 4)
    assert list(variants(pictures, 8, mirror=True)) == [0, 1]
    assert list(variants(pictures, 8, mirror=False)) == [0]
    assert list(variants(SpritePictures(sprites()), 3, mirror=False)) == [0, 2, 4]


def test_the_crop_is_centred() -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    assert (np.asarray(centre_crop(Image.fromarray(pixels), 10)) == 255).all()


def test_a_sprite_stands_on_white_and_a_half_transparent_edge_does_not_darken() -> None:
    picture = SpritePictures(sprites()).picture(0, 0)
    assert (picture[:4] == 255).all()
    assert (picture[20, 10] == (255, 0, 0)).all()
    assert (picture[..., 0] >= 254).all()  # red over white never loses red


def test_changed_data_has_another_digest(tmp_path: Path) -> None:
    path = folder(tmp_path)
    before = files_digest(path)
    assert files_digest(path) == before
    (path / "ant" / "1.png").write_bytes(b"new")
    assert files_digest(path) != before


def test_what_is_no_sprite_sheet_says_why(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="is not a sprite sheet"):
        load_pictures(tmp_path / "other.npz", 64)
    (tmp_path / "broken.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="is not a sprite sheet"):
        load_pictures(tmp_path / "broken.npz", 64)
