"""A forecast: the output of something that is not computed, from its outputs where it last was.

This knows tensors and evaluations only: the something may be a branch of a network, a network as a whole, or any other callable.

A cell says what becomes of it at one evaluation: weights w of its last outputs, newest first, for the forecast sum_j w_j K_j (Shen et al.
2026, arXiv 2604.26365, whose one linear form all formulas of Taylor's kind are). No weights mean that it is called, (1,) that its last
output is held. In terms of differences, K_0 + c_1 K_0 + c_2 (K_0 - K_1) + c_3 (K_0 - K_2) has weights (1 + c_1 + c_2 + c_3, -c_2, -c_3).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ditkit.errors import PlanMismatch

Cell = tuple[float, ...]
"""Weights of the last outputs, newest first; none of them: the place is called."""

CALLED: Cell = ()
HELD: Cell = (1.0,)
MOST = 3  # outputs that a forecast is made from


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
    if cell == HELD:
        return outputs[0]
    newest, *earlier = cell
    if earlier and math.isclose(newest + earlier[0], 1, rel_tol=0, abs_tol=1e-12):
        made, rest = torch.lerp(outputs[0], outputs[1], earlier[0]), 2
    else:
        made, rest = outputs[0] * newest, 1
    for weight, output in zip(cell[rest:], outputs[rest:], strict=False):
        made = made.add_(output, alpha=weight)
    return made


class Place:
    """Something that is called at some evaluations of a run and forecast at others, as its `column` of cells says.

    Make a new one for every run; evaluations come in order. No more outputs are kept than a later evaluation needs.
    """

    def __init__(self, column: Sequence[Cell | None], outputs: tuple[Tensor, ...] = ()) -> None:
        self._column, self._kept = column, remembered(column)
        self.outputs = outputs

    def __call__(self, evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
        """The output at this evaluation, calling `compute` if it is not forecast."""
        cell = self._column[evaluation]
        assert cell is not None, "this evaluation is forecast as a whole"
        output = forecast(cell, self.outputs) if cell else compute()
        outputs = self.outputs if cell else (output, *self.outputs)
        self.outputs = outputs[: self._kept[evaluation]]
        return output
