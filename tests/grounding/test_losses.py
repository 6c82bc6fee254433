"""The losses against the published ones, and against what a map that lies in its box should cost."""

import pytest
import torch
from torch import Tensor

from ditkit.grounding.layout import Box
from ditkit.grounding.losses import SOBEL, _gaussian, detected_boxes, edge_loss, grounding_loss
from ditkit.grounding.regions import mask, on_grid
from ditkit.grounding.rules import DEFAULT, PUBLISHED, Rules
from tests.closeness import assert_close, near, summed
from tests.golden_files import golden, golden_json

CASES = (
    "one_object",
    "two_objects",
    "three_objects_multi_box",
    "aligned_one",
    "aligned_two",
    "aligned_large_iou_above_0.85",
    "aligned_large_plus_small",
    "box_covers_all",
    "box_smaller_than_one_cell",
)


def masks(boxes: list[list[list[float]]], rows: int, columns: int, rules: Rules = PUBLISHED) -> Tensor:
    return torch.stack([mask([on_grid(Box(*box), rows, columns, rules) for box in group], rows, columns) for group in boxes])


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_are_the_published_ones(name: str) -> None:
    tensors, case = golden("groundit_loss"), golden_json("groundit_loss")["cases"][name]
    maps = tensors[f"in.{name}.attn_maps"].clone().requires_grad_()
    conditional = maps[1].unflatten(0, (case["h"], case["w"]))
    phrases = torch.stack([conditional[..., tokens].sum(-1) for tokens in case["token_positions"]])
    where = masks(case["boxes"], case["h"], case["w"])
    if name == "box_covers_all":  # a box that the published checks of a layout would not let through
        where[0] = 1
    loss = grounding_loss(phrases[None], where, PUBLISHED)
    assert loss.item() == near(tensors[f"out.{name}.loss"].item(), summed(maps[0].numel()), torch.float32, size=1)
    gradient = torch.autograd.grad(loss.sum(), maps)[0][1]
    reference = tensors[f"out.{name}.grad_attn_maps"]
    assert_close(gradient, reference, summed(maps[0].numel()))


def test_the_edge_loss_is_the_published_one() -> None:
    tensors = golden("groundit_loss")
    attention = tensors["in.edge.attn_map"].clone().requires_grad_()
    loss = edge_loss(
        attention.view(1, 1, *attention.shape[-2:]), tensors["in.edge.mask"].view(1, *attention.shape[-2:]), torch.tensor([[0.7]])
    )
    assert_close(loss.view_as(tensors["out.edge.loss_iou_0.3"]), tensors["out.edge.loss_iou_0.3"], summed(attention.numel()))
    assert_close(torch.autograd.grad(loss.sum(), attention)[0], tensors["out.edge.grad"], summed(attention.numel()))
    assert_close(_gaussian(), tensors["aux.gaussian_3x3_sigma3"].squeeze())
    assert torch.equal(SOBEL, tensors["aux.sobel_x"].squeeze())
    assert torch.equal(SOBEL.T, tensors["aux.sobel_y"].squeeze())


def test_a_map_that_fills_its_box_costs_nothing_once_the_box_ends_inclusive() -> None:
    """What keeps the published loop from ever stopping early for a box of 6 x 6 cells."""
    inside = masks([[[0.25, 0.25, 0.75, 0.75]]], 12, 12)
    assert grounding_loss(inside[None], inside, DEFAULT).item() == 0
    published = grounding_loss(inside[None], inside, PUBLISHED).item()
    assert published == near(4 - 2 * (1 - 25 / 36) - (1 - 25 / 36), within=2e-3)  # every share is 1, the soft ones but for the tails


def test_detected_boxes_reach_from_the_first_hit_to_the_last() -> None:
    hit = torch.zeros(1, 1, 5, 6, dtype=torch.bool)
    hit[0, 0, 1, 2] = hit[0, 0, 3, 4] = True
    box = torch.zeros(5, 6, dtype=torch.bool)
    box[1:4, 2:5] = True
    assert torch.equal(detected_boxes(hit, inclusive=True)[0, 0], box)
    box[3], box[:, 4] = False, False
    assert torch.equal(detected_boxes(hit, inclusive=False)[0, 0], box)
    assert not detected_boxes(torch.zeros_like(hit), inclusive=True).any()


def test_samples_and_phrases_are_added_up_apart() -> None:
    maps = torch.rand(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    where = masks([[[0, 0, 0.5, 0.5]], [[0.5, 0.5, 1, 1]]], 8, 8, DEFAULT)
    both = grounding_loss(maps, where, DEFAULT)
    assert_close(both, torch.cat([grounding_loss(maps[:1], where, DEFAULT), grounding_loss(maps[1:], where, DEFAULT)]))
    assert both.shape == (2,)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_maps_have_a_gradient_that_is_a_number(value: float) -> None:
    maps = torch.full((1, 2, 6, 6), value, requires_grad=True)
    where = masks([[[0, 0, 0.5, 0.5]], [[0.5, 0.5, 1, 1]]], 6, 6, DEFAULT)
    (gradient,) = torch.autograd.grad(grounding_loss(maps, where, DEFAULT).sum(), maps)
    assert gradient.isfinite().all()


def test_descending_the_loss_moves_attention_into_the_box() -> None:
    where = masks([[[0.5, 0.5, 1, 1]]], 8, 8, DEFAULT)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(3)).requires_grad_()

    def share() -> float:
        attention = x.detach().flatten().softmax(0).view(8, 8)
        return float((attention * where[0]).sum())

    before = share()
    for _ in range(50):
        loss = grounding_loss(x.flatten(2).softmax(-1).view(1, 1, 8, 8), where, DEFAULT)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        x = (x - 5 * gradient).detach().requires_grad_()
    assert share() > before + 0.2
