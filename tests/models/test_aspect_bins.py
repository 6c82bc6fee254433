import pytest
import torch

from ditkit.errors import RequestError
from ditkit.models.aspect_bins import bins, nearest_bin, resize_and_crop
from tests.closeness import FORMULA, assert_close, near
from tests.golden_files import golden, golden_json


@pytest.mark.parametrize("image_size", [256, 512, 1024])
def test_the_shapes_hold_about_as_many_pixels_as_the_square_one(image_size: int) -> None:
    shapes = bins(image_size)
    assert len(shapes) == 33
    assert list(shapes) == sorted(shapes)
    for aspect, height, width in shapes:
        assert 0.9 <= height * width / image_size**2 <= 1.01
        assert height % 16 == width % 16 == 0  # whole patches
        assert height / width == near(aspect, within=0.04)


def test_the_shapes_of_the_small_pixart_are_as_large_and_fit_its_patches() -> None:
    shapes = bins(128)
    assert list(shapes) == sorted(shapes) and {(128, 128), (88, 184), (184, 88)} <= {shape[1:] for shape in shapes}
    for aspect, height, width in shapes:
        assert 0.97 <= height * width / 128**2 <= 1
        assert height % 8 == width % 8 == 0  # a patch is two latents of four pixels
        assert height / width == near(aspect, within=0.01)
    assert nearest_bin(100, 230, 128) == (0.48, 88, 184)


def test_the_published_bins_are_chosen() -> None:
    reference = golden_json("groundit_box_utils")
    for case in reference["bins"]:
        for size in (256, 512, 1024):
            assert list(nearest_bin(case["height"], case["width"], size)[1:]) == case[str(size)]
    for case in reference["aspect_ratio_bins"]:
        assert list(nearest_bin(case["aspect_ratio"], 1, 512)[1:]) == case["512"]


def test_a_size_without_bins_is_refused() -> None:
    with pytest.raises(RequestError, match="^PixArt was trained on shapes around 128, 256, 512, 1024 and 2048 pixels, not 64$"):
        nearest_bin(64, 64, 64)


def test_pictures_are_resized_and_cropped_as_published() -> None:
    reference = golden("pixart_resize_and_crop")
    for case in range(4):
        expected = reference[f"out.case{case}"]
        given = reference[f"in.case{case}"]
        places = max(given.shape)  # which are rounded, and move the weights by so much
        assert_close(resize_and_crop(given, *expected.shape[2:]), expected, FORMULA + places)


@pytest.mark.parametrize("side", range(30, 60))
def test_the_picture_has_the_shape_asked_for_whatever_the_rounding(side: int) -> None:
    assert resize_and_crop(torch.zeros(1, 3, 49, 37), side, 41).shape == (1, 3, side, 41)
