"""The weights of a place's forecasts in closed form, fitted while the place runs with them.

Where a cell is forecast, the place is called all the same, with what the run so far feeds it; the weights are solved for, and the run goes
on with the forecast. So every weight is fitted to the inputs it will meet, errors of earlier cells included, and one run fits a plan.
Like `Place`, this knows tensors and evaluations only. Nothing is kept but sums of products: whatever comes in batches is fitted over all.

Shapes: J outputs that a forecast is made from, N numbers of an output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ditkit.cache.forecast import CALLED, HELD, Cell, forecast, remembered
from ditkit.errors import RequestError

RIDGE = 1e-3  # of the diagonal
DIGITS = 6  # of a weight, in a plan's file
PIECE = 2**22  # numbers of an output that are multiplied at a time


def drafted(column: Sequence[Cell | None], order: int) -> tuple[Cell | None, ...]:
    """The same cells, with every forecast made from the last `order` outputs, or from as many as there are by then."""
    computed, cells = 0, []
    for cell in column:
        computed += cell == CALLED
        cells.append((*HELD, *[0.0] * (min(order, computed) - 1)) if cell else cell)
    return tuple(cells)


@dataclass
class Sums:
    """Of one cell: products of the differences K_0, K_0 - K_1, ... with each other (J, J) and with F - K_0 (J), |F - K_0|^2 and |F|^2."""

    basis: Tensor
    wanted: Tensor
    change: float = 0.0
    size: float = 0.0

    @classmethod
    def of(cls, outputs: int) -> "Sums":
        return cls(torch.zeros(outputs, outputs, dtype=torch.float64), torch.zeros(outputs, dtype=torch.float64))

    def add(self, outputs: Sequence[Tensor], truth: Tensor) -> None:
        flat = [output.reshape(-1) for output in (*outputs, truth)]
        for piece in zip(*(each.split(PIECE) for each in flat), strict=True):
            newest, *earlier, now = (part.double() for part in piece)
            rows_JN = torch.stack([newest, *(newest - output for output in earlier), now - newest])
            products = (rows_JN @ rows_JN.T).cpu()
            self.basis += products[:-1, :-1]
            self.wanted += products[:-1, -1]
            self.change += float(products[-1, -1])
            self.size += float(now.square().sum())

    def coefficients(self) -> Tensor:
        """c (J) that minimise |F - K_0 - c_1 K_0 - c_2 (K_0 - K_1) - ...|^2."""
        diagonal = self.basis.diagonal()
        return torch.linalg.solve(self.basis + torch.diag(RIDGE * diagonal + 1e-30), self.wanted)

    def weights(self) -> Cell:
        """The same as weights of K_0, K_1, ..."""
        c1, *rest = self.coefficients().tolist()
        return tuple(round(weight, DIGITS) for weight in (1 + c1 + sum(rest), *(-each for each in rest)))

    def residual(self) -> float:
        """|F - forecast|^2 / |F|^2, what the fit leaves over."""
        c = self.coefficients()
        left = self.change - 2 * float(c @ self.wanted) + float(c @ self.basis @ c)
        return max(left, 0.0) / max(self.size, 1e-30)


@dataclass
class Fit:
    """What is known of a place's forecasts: sums for each cell of its `column` that has weights, however many these are now."""

    column: tuple[Cell | None, ...]
    sums: dict[int, Sums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sums |= {at: Sums.of(len(cell)) for at, cell in enumerate(self.column) if cell}

    def cells(self) -> tuple[Cell | None, ...]:
        """The column with the weights that were found; raises `RequestError` before anything was."""
        if any(not sums.size for sums in self.sums.values()):
            raise RequestError("a plan is calibrated on runs of the model, and there was none")
        return tuple(self.sums[at].weights() if cell else cell for at, cell in enumerate(self.column))

    def residuals(self) -> dict[int, float]:
        """By evaluation, what each forecast leaves over of its place's output, as a share of its square."""
        return {at: sums.residual() for at, sums in self.sums.items()}


class FittedPlace:
    """A place during one run of the calibration, in `Place`'s stead. Make a new one for every batch."""

    def __init__(self, fit: Fit) -> None:
        self._fit, self._kept = fit, remembered(fit.column)
        self._outputs: tuple[Tensor, ...] = ()

    def __call__(self, evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
        """The output where the place is called, elsewhere what is forecast of it."""
        cell = self._fit.column[evaluation]
        output = compute()
        if cell is None:
            return output
        if cell:
            sums = self._fit.sums[evaluation]
            sums.add(self._outputs[: len(cell)], output)
            output = forecast(sums.weights(), self._outputs)
        outputs = self._outputs if cell else (output, *self._outputs)
        self._outputs = outputs[: self._kept[evaluation]]
        return output
