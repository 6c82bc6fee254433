"""A forecast: the output of something that is not computed, from its outputs where it last was.

This knows tensors and evaluations only: the something may be a branch of a network, a network as a whole, or any other callable.

A cell says what becomes of it at one evaluation: weights w of its last outputs, newest first, for the forecast sum_j w_j K_j (Shen et al.
2026, arXiv 2604.26365, whose one linear form all formulas of Taylor's kind are). No weights mean that it is called, (1,) that its last
output is held. In terms of differences, K_0 + c_1 K_0 + c_2 (K_0 - K_1) + c_3 (K_0 - K_2) has weights (1 + c_1 + c_2 + c_3, -c_2, -c_3).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ditkit.errors import PlanMismatch

Cell = tuple[float, ...]
"""Weights of the last outputs, newest first; none of them: the place is called."""

CALLED: Cell = ()
HELD: Cell = (1.0,)
MOST = 3  # outputs that a forecast is made from
TOGETHER = 8  # forecasts at most are made at once: as much memory as an MLP takes, whose hidden layer is 4 outputs wide and there twice


def plain(cell: Cell) -> Cell:
    """The same forecast without weights of zero at its end, so that (1, 0, 0) is held and remembers nothing more."""
    last = max((place for place, weight in enumerate(cell) if weight), default=0)
    return cell[: last + 1]


def check_column(column: Sequence[Cell | None], what: str) -> None:
    """Raise `PlanMismatch` unless every forecast has finite weights for no more outputs than were computed before it."""
    computed = 0
    for evaluation, cell in enumerate(column):
        if not cell:
            computed += cell == CALLED
            continue
        forecast = f"the forecast of {what} in row {evaluation}"
        if not all(map(math.isfinite, cell)):
            raise PlanMismatch(f"{forecast} has a weight that is not a finite number")
        if len(cell) > MOST:
            raise PlanMismatch(f"{forecast} has {len(cell)} weights; at most {MOST} outputs are remembered")
        if len(cell) > computed:
            raise PlanMismatch(f"{forecast} remembers {len(cell)} outputs, where {computed} were computed before it")


def remembered(column: Sequence[Cell | None]) -> tuple[int, ...]:
    """How many of a place's last outputs are kept after each evaluation (E): those that a later one needs. None: nobody comes by."""
    kept = [0] * len(column)
    for evaluation in reversed(range(len(column) - 1)):
        later, cell = kept[evaluation + 1], column[evaluation + 1]
        if cell is None:
            kept[evaluation] = later
        else:
            kept[evaluation] = max(len(cell), later) if cell else max(0, later - 1)
    return tuple(kept)


def forecast(cell: Cell, outputs: Sequence[Tensor]) -> Tensor:
    """sum_j w_j K_j, in as few passes over memory as there are: none to hold, one fused multiply-add where two weights add up to one."""
    return outputs[0] if cell == HELD else forecasts(cell, [outputs])[0]


def forecasts(cell: Cell, outputs: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The same of several places by the same weights: as many launches for all of them as for one, and the same bits."""
    newest, *earlier = cell
    known = [list(each) for each in zip(*(kept[: len(cell)] for kept in outputs), strict=True)]
    if earlier and math.isclose(newest + earlier[0], 1, rel_tol=0, abs_tol=1e-12):
        made, rest = torch._foreach_lerp(known[0], known[1], earlier[0]), 2  # pyright: ignore[reportPrivateImportUsage]
    else:
        made, rest = torch._foreach_mul(known[0], newest), 1  # pyright: ignore[reportPrivateImportUsage]
    for weight, each in zip(cell[rest:], known[rest:], strict=True):
        torch._foreach_add_(made, each, alpha=weight)  # pyright: ignore[reportPrivateImportUsage]
    return list(made)


class Stretch(NamedTuple):
    """Cells of one evaluation that follow each other and are forecast by the same weights."""

    columns: range
    cell: Cell


def stretches(row: Sequence[Cell | None]) -> list[Stretch]:
    """Those of the cells of one evaluation, in the order in which they are called: of two or more, and no more than `TOGETHER`."""
    found: list[Stretch] = []
    start = 0
    for end in range(1, len(row) + 1):
        cell = row[start]
        if end == len(row) or row[end] != cell or end - start == TOGETHER:
            if cell and cell != HELD and end - start > 1:
                found.append(Stretch(range(start, end), cell))
            start = end
    return found


class Place:
    """Something that is called at some evaluations of a run and forecast at others, as its `column` of cells says.

    Make a new one for every run; evaluations come in order. No more outputs are kept than a later evaluation needs.
    """

    def __init__(self, column: Sequence[Cell | None], outputs: tuple[Tensor, ...] = ()) -> None:
        self._column, self._kept = column, remembered(column)
        self.outputs = outputs

    def __call__(self, evaluation: int, compute: Callable[[], Tensor], made: Tensor | None = None) -> Tensor:
        """The output at this evaluation, calling `compute` if it is not forecast; `made` is its forecast if there is one already."""
        cell = self._column[evaluation]
        assert cell is not None, "this evaluation is forecast as a whole"
        output = made if made is not None else forecast(cell, self.outputs) if cell else compute()
        outputs = self.outputs if cell else (output, *self.outputs)
        self.outputs = outputs[: self._kept[evaluation]]
        return output
