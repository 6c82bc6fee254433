import pytest
import torch

from ditkit.grounding.layout import Box
from ditkit.grounding.regions import Region, aspect, in_latent, mask, on_grid
from ditkit.grounding.rules import DEFAULT, PUBLISHED
from ditkit.models.aspect_bins import nearest_bin
from tests.golden_files import golden_json


def test_published_crops_and_object_pictures_are_reproduced() -> None:
    seen = 0
    for case in golden_json("groundit_box_utils")["cases"]:
        height, width = case["height"], case["width"]
        for phrase, boxes in enumerate(case["bboxes"]):
            for index, corners in enumerate(boxes):
                box, (left, top, right, bottom) = Box(*corners), case["latent_inclusive"][phrase][index]
                region = in_latent(box, height // 8, width // 8, 2, PUBLISHED)
                assert region == Region(top, bottom + 1, left, right + 1)
                shape = aspect(box, height, width, region, PUBLISHED)
                assert list(shape) == case["region_hw_pixel"][phrase][index]
                for size in (256, 512, 1024):
                    assert list(nearest_bin(*shape, size)[1:]) == case[f"object_image_hw_{size}"][phrase][index]
                seen += 1
    assert seen > 20


def test_mended_boxes_are_whole_patches_and_maps_and_crops_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        left, top, right, bottom = torch.rand(4, generator=generator).tolist()
        box = Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        tokens = on_grid(box, 16, 24, DEFAULT)
        assert 0 <= tokens.top < tokens.bottom <= 16
        assert 0 <= tokens.left < tokens.right <= 24
        assert in_latent(box, 32, 48, 2, DEFAULT) == Region(*(2 * edge for edge in tokens))
        assert all(
            abs(edge / 24 - wanted) <= 0.5 / 24 or tokens.columns == 1
            for edge, wanted in zip(tokens[2:], (box.left, box.right), strict=True)
        )


@pytest.mark.parametrize(
    ("box", "tokens"),
    [
        (Box(0.99, 0.1, 1, 0.5), Region(1, 5, 9, 10)),  # empty in the published code
        (Box(0, 0, 1, 1), Region(0, 10, 0, 10)),
        (Box(0.31, 0.999, 0.32, 1), Region(9, 10, 3, 4)),
        (Box(0.32, 0.0, 0.33, 0.01), Region(0, 1, 3, 4)),
    ],
)
def test_no_box_is_ever_empty(box: Box, tokens: Region) -> None:
    assert on_grid(box, 10, 10, DEFAULT) == tokens
    published = in_latent(box, 20, 20, 2, PUBLISHED)
    assert published.rows >= 2 and published.columns >= 2


def test_a_mask_is_the_union_of_its_regions() -> None:
    both = mask([Region(0, 2, 0, 2), Region(1, 3, 1, 3)], 4, 4)
    assert both.sum() == 7
    assert both[3].sum() == both[:, 3].sum() == 0
