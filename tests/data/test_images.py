"""Labelled pictures from folders and sprite sheets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ditkit.data.images import SpritePictures, centre_crop, files_digest, load_pictures, variants
from ditkit.data.sprites import Sprites, load_sprites
from ditkit.errors import DataError


def folder(tmp_path: Path) -> Path:
    for name, value in (("bird", 10), ("ant", 200)):
        (tmp_path / name).mkdir(parents=True)
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
    files = load_pictures(path, 4).files
    before = files_digest(files)
    assert files_digest(files) == before
    (path / "ant" / ".DS_Store").write_bytes(b"new")
    assert files_digest(load_pictures(path, 4).files) == before
    (path / "ant" / "1.png").write_bytes(b"new")
    assert files_digest(load_pictures(path, 4).files) != before


def test_a_sprite_sheet_that_is_not_there_is_called_that(tmp_path: Path) -> None:
    absent = tmp_path / "absent.npz"
    with pytest.raises(DataError) as caught:
        load_pictures(absent, 16)
    assert str(caught.value) == f"no data at {absent}: give a folder with one subfolder of images per class, or an .npz sprite sheet"
    with pytest.raises(DataError) as caught:
        load_sprites(absent)
    assert str(caught.value) == f"no data at {absent}: give an .npz sprite sheet"


def test_what_is_no_sprite_sheet_says_why(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="other.npz is not a sprite sheet: it lacks 'images'$"):
        load_pictures(tmp_path / "other.npz", 64)
    (tmp_path / "broken.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="is not a sprite sheet"):
        load_pictures(tmp_path / "broken.npz", 64)


def many(tmp_path: Path) -> Path:
    """Two classes with pictures, of which one lies deeper, and all that is none."""
    root = folder(tmp_path / "root")
    for name in ("ant/in/1.PNG", ".hidden/0.png", "__MACOSX/0.png", "ant/@eaDir/0.png", "loose.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name)
    for name in ("empty", "words"):
        (root / name).mkdir()
    (root / "words" / "list.txt").write_text("a")
    (root / "bird" / "Thumbs.db").write_bytes(b"")
    return root


def test_only_folders_with_pictures_are_classes_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    root, said = many(tmp_path), []
    pictures = load_pictures(root, 4, note=said.append)
    assert pictures.class_names == ("ant", "bird")
    assert [file.relative_to(root).as_posix() for file in pictures.files] == ["ant/0.png", "ant/in/1.PNG", "bird/0.png"]
    assert said == [
        f"{root}: pictures outside the folders of classes are left out: loose.png",
        f"{root}: 1 file is no picture and is left out: words/list.txt",
        f"{root}: without pictures, and so no classes: empty, words",
    ]


def test_splits_are_not_taken_for_classes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder(tmp_path / split)
    with pytest.raises(DataError, match=r"is divided into train, val, which are no classes; give one of them: .*/train$"):
        load_pictures(tmp_path, 4)
    assert load_pictures(tmp_path / "val", 4).class_names == ("ant", "bird")


def test_pictures_without_a_folder_of_their_class_are_told_where_to_go(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    with pytest.raises(DataError) as caught:
        load_pictures(tmp_path, 4)
    expected = f"expected {tmp_path}/<class>/<image>, each .png, .jpg, .webp or .tif or another format of pictures"
    assert str(caught.value) == f"{tmp_path} holds pictures, but no folders of them by class: {expected}"


def test_sprites_stand_on_the_background_that_is_asked_for() -> None:
    picture = SpritePictures(sprites(), background="#102030").picture(0, 0)
    assert (picture[:4] == (16, 32, 48)).all() and (picture[20, 10] == (255, 0, 0)).all()
