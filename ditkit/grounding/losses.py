"""How far attention is from its boxes (the region- and boundary-aware losses of R&B, Xiao et al. 2023, as GrounDiT uses them).

Shapes: B samples, P phrases, h w token grid.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ditkit.grounding.rules import Rules

SMALL = 1e-4  # published: keeps divisions away from zero
INSIDE, OUTSIDE = 0.4, 0.6  # how the means inside and outside a box weigh in the threshold between them
STEEPNESS = 20.0  # of the soft threshold
BLUR = 3.0  # standard deviation of the 3 x 3 Gaussian, in cells
SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


def grounding_loss(maps_BPhw: Tensor, masks_Phw: Tensor, rules: Rules) -> Tensor:
    """The loss (B,) of attention maps, the mean over phrases; between 0 and 5 and discontinuous where a cell crosses the threshold.

    A phrase adds nothing if it is nowhere above its threshold or overlaps its boxes by `rules.enough`.
    """
    phrases = maps_BPhw.shape[1]
    m = masks_Phw
    n = _stretched(maps_BPhw)
    threshold = _threshold(n, m)
    hit = n > threshold
    found = hit.flatten(2).any(-1)
    detected = detected_boxes(hit, inclusive=rules.inclusive).to(n)
    iou = _total(detected * m) / _total(torch.maximum(detected, m)).clamp(min=1)
    counted = found & (iou < rules.enough)
    w = 1 - iou
    hard = (detected - n).detach() + n  # the detected box, with the gradient of the map
    hard_inside = (detected * m - n).detach() + n
    soft = torch.sigmoid(STEEPNESS * (n - threshold))
    loss = _outside(m * hard_inside, hard, w, found) + _outside(m * soft, soft, 0.5 * w, found)
    if phrases > 1:
        elsewhere = counted & ((maps_BPhw * m).flatten(2).amax(-1) < (maps_BPhw * (1 - m)).flatten(2).amax(-1))
        loss = loss + torch.where(elsewhere, edge_loss(maps_BPhw, m, w), 0)
    return torch.where(counted, loss, 0).sum(1) / phrases


def detected_boxes(hit_BPhw: Tensor, *, inclusive: bool) -> Tensor:
    """The box around the cells that are hit, as booleans; unless `inclusive`, without its last row and column, as published."""
    rows, columns = (_between(hit_BPhw.any(other), inclusive) for other in (-1, -2))
    return rows[..., :, None] & columns[..., None, :]


def edge_loss(maps_BPhw: Tensor, masks_Phw: Tensor, w_BP: Tensor) -> Tensor:
    """1 - w * the share (B, P) of the maps' edges that lies inside the boxes."""
    strength = _edges(maps_BPhw / (maps_BPhw.flatten(2).amax(-1)[..., None, None].detach() + SMALL))
    return 1 - w_BP * _total(strength * masks_Phw[..., 1:-1, 1:-1]) / (_total(strength) + SMALL)


def _stretched(maps_BPhw: Tensor) -> Tensor:
    """Every map from 0 to almost 1."""
    low, high = maps_BPhw.flatten(2).amin(-1), maps_BPhw.flatten(2).amax(-1)
    return (maps_BPhw - low[..., None, None]) / (high - low + SMALL)[..., None, None]


def _threshold(n_BPhw: Tensor, masks_Phw: Tensor) -> Tensor:
    """Between the means inside and outside (B, P, 1, 1); 0 if a phrase's boxes cover everything, infinite if they cover nothing."""
    inside, outside = _total(masks_Phw), _total(1 - masks_Phw)
    between = INSIDE * _total(n_BPhw * masks_Phw) / inside.clamp(min=1) + OUTSIDE * _total(n_BPhw * (1 - masks_Phw)) / outside.clamp(min=1)
    between = torch.where(outside > 0, between, 0)
    return torch.where(inside > 0, between, math.inf)[..., None, None]


def _outside(within_BPhw: Tensor, all_BPhw: Tensor, w_BP: Tensor, found_BP: Tensor) -> Tensor:
    """Twice 1 - w * within / all: once as a function of what is within, once of all, the other taken as constant."""
    within, everything = _total(within_BPhw), torch.where(found_BP, _total(all_BPhw), 1)
    return 2 - w_BP * (within / everything.detach() + within.detach() / everything)


def _edges(maps_BPhw: Tensor) -> Tensor:
    """The gradient's length (B, P, h - 2, w - 2) of the blurred maps; where it is zero, so is its derivative."""
    sobel = SOBEL.to(maps_BPhw)
    flat = maps_BPhw.flatten(0, 1)[:, None]
    blurred = F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="reflect"), _gaussian().to(flat)[None, None])
    horizontal, vertical = (
        F.conv2d(blurred, kernel[None, None]).view(*maps_BPhw.shape[:2], *_inner(maps_BPhw)) for kernel in (sobel, sobel.T)
    )
    squared = horizontal**2 + vertical**2
    return torch.where(squared > 0, torch.where(squared > 0, squared, 1).sqrt(), 0)


def _inner(maps_BPhw: Tensor) -> tuple[int, int]:
    return maps_BPhw.shape[2] - 2, maps_BPhw.shape[3] - 2


def _gaussian() -> Tensor:
    offsets = torch.tensor([-1.0, 0.0, 1.0]) ** 2
    kernel = torch.exp(-(offsets[:, None] + offsets) / (2 * BLUR**2))
    return kernel / kernel.sum()


def _between(hit: Tensor, inclusive: bool) -> Tensor:
    """True from the first place that is hit along the last dimension to the last one."""
    places = torch.arange(hit.shape[-1], device=hit.device)
    first = torch.where(hit, places, hit.shape[-1]).amin(-1, keepdim=True)
    last = torch.where(hit, places, -1).amax(-1, keepdim=True)
    return (places >= first) & (places < last + inclusive)


def _total(values: Tensor) -> Tensor:
    return values.flatten(-2).sum(-1)
