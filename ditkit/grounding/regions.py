"""From boxes to the cells of a latent and of a token grid, and to the size of an object's own picture."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ditkit.grounding.layout import Box
from ditkit.grounding.rules import Rules
from ditkit.models.aspect_bins import Bin, nearest


class Region(NamedTuple):
    """Rows and columns from `top` and `left` up to, not including, `bottom` and `right`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> int:
        return self.bottom - self.top

    @property
    def columns(self) -> int:
        return self.right - self.left


def on_grid(box: Box, rows: int, columns: int, rules: Rules) -> Region:
    """The box in tokens, as the attention maps see it: edges rounded to the nearest token, or as published towards zero."""
    if rules.aligned:
        return Region(*_span(box.top, box.bottom, rows), *_span(box.left, box.right, columns))
    inside = _clipped(box)
    return Region(int(inside.top * rows), int(inside.bottom * rows), int(inside.left * columns), int(inside.right * columns))


def in_latent(box: Box, height: int, width: int, patch: int, rules: Rules) -> Region:
    """The cells that are cropped and replaced: whole patches, or as published an even number of cells anywhere."""
    if rules.aligned:
        return Region(*(patch * edge for edge in on_grid(box, height // patch, width // patch, rules)))
    inside = _clipped(box)
    return Region(*_even_span(inside.top, inside.bottom, height), *_even_span(inside.left, inside.right, width))


def aspect(box: Box, height: int, width: int, region: Region, rules: Rules) -> tuple[int, int]:
    """Height and width by which an object's own picture is chosen: those of the crop, or as published of the box in whole pixels."""
    if rules.aligned:
        return region.rows, region.columns
    inside = _clipped(box)
    return _pixels(inside.top, inside.bottom, height), _pixels(inside.left, inside.right, width)


class Place(NamedTuple):
    """Where in a latent a box is, and how large (h, w) the latent of its object's own picture is; both that and the crop in cells."""

    region: Region
    height: int
    width: int


def place(box: Box, height: int, width: int, patch: int, pixels: int, sizes: Sequence[Bin], rules: Rules) -> Place:
    """The box in a latent of that height and width, whose cells are `pixels` wide; objects are pictured in one of `sizes`."""
    region = in_latent(box, height, width, patch, rules)
    size = nearest(sizes, *aspect(box, height * pixels, width * pixels, region, rules))
    return Place(region, size.height // pixels, size.width // pixels)


def mask(regions: Iterable[Region], rows: int, columns: int) -> Tensor:
    """1 in the regions and 0 elsewhere, float32 (rows, columns)."""
    inside = torch.zeros(rows, columns)
    for region in regions:
        inside[region.top : region.bottom, region.left : region.right] = 1
    return inside


def _span(first: float, last: float, cells: int) -> tuple[int, int]:
    """The nearest whole cells; of a box thinner than one, the cell that its middle is in."""
    start, end = round(first * cells), round(last * cells)
    if start >= end:
        start = min(int((first + last) / 2 * cells), cells - 1)
        end = start + 1
    return start, end


def _clipped(box: Box) -> Box:
    """Edges at 1 lie just inside, so that they round to the last cell (published)."""
    return Box(box.left, box.top, min(box.right, 1 - 1e-9), min(box.bottom, 1 - 1e-9))


def _even_span(first: float, last: float, cells: int) -> tuple[int, int]:
    """Published: both edges rounded down, the last one included; an odd number of cells grows by one, or at the border shrinks by one.

    A box in the last cell alone comes out empty there; here it is the last two cells.
    """
    start, final = int(first * cells), int(last * cells)
    if (final - start) % 2 == 0:
        final += 1
        if final >= cells:
            final -= 2
    return (start, final + 1) if final > start else (max(cells - 2, 0), cells)


def _pixels(first: float, last: float, side: int) -> int:
    """Published: both edges rounded down, the last pixel included."""
    return min(int(last * side), side - 1) - int(first * side) + 1
