"""Weights in closed form: the least squares they should be, over any batches, fitted to what the run so far feeds the place."""

import pytest
import torch

from ditkit.cache.fit import Fit, FittedPlace, Sums, drafted
from ditkit.cache.forecast import CALLED, HELD, Cell
from ditkit.errors import RequestError
from tests.closeness import assert_close, near

COLUMN: tuple[Cell | None, ...] = (CALLED, CALLED, (1.0, 0.0), CALLED, (1.0, 0.0))


def _outputs(seed: int, samples: int = 6) -> list[torch.Tensor]:
    """What a place says at each evaluation: smooth in its number, different for every sample."""
    generator = torch.Generator().manual_seed(seed)
    start, slope, bend = torch.randn(3, samples, 40, generator=generator)
    return [start + 0.3 * e * slope + 0.05 * e * e * bend for e in range(len(COLUMN))]


def _ran(fit: Fit, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    place = FittedPlace(fit)
    return [place(evaluation, lambda output=output: output) for evaluation, output in enumerate(outputs)]


def test_a_draft_forecasts_from_as_many_outputs_as_there_are_by_then() -> None:
    column = (CALLED, HELD, CALLED, None, HELD, CALLED, HELD)
    assert drafted(column, 3) == (CALLED, (1.0,), CALLED, None, (1.0, 0.0), CALLED, (1.0, 0.0, 0.0))


def test_the_weights_are_the_least_squares_of_the_differences() -> None:
    outputs = [output.double() for output in _outputs(0)]
    sums = Sums.of(2)
    sums.add((outputs[1], outputs[0]), outputs[2])
    basis = torch.stack([outputs[1].flatten(), (outputs[1] - outputs[0]).flatten()], 1)
    c1, c2 = torch.linalg.lstsq(basis, (outputs[2] - outputs[1]).flatten()).solution.tolist()
    assert sums.weights() == near((1 + c1 + c2, -c2), within=2e-3)  # the ridge: a thousandth of the diagonal


def test_a_residual_is_what_the_forecast_leaves_over() -> None:
    fit = Fit(COLUMN)
    outputs = _outputs(1)
    made = _ran(fit, outputs)
    for evaluation in (2, 4):
        left = float((outputs[evaluation] - made[evaluation]).square().sum() / outputs[evaluation].square().sum())
        assert fit.residuals()[evaluation] == near(left, dtype=torch.float32, size=1.0, within=1e-5)  # weights are rounded to a millionth


def test_no_fit_leaves_over_more_than_holding_does() -> None:
    fit = Fit(COLUMN)
    outputs = _outputs(2)
    _ran(fit, outputs)
    for evaluation in (2, 4):
        held = float((outputs[evaluation] - outputs[evaluation - 1]).square().sum() / outputs[evaluation].square().sum())
        assert fit.residuals()[evaluation] <= held


def test_batches_are_fitted_together() -> None:
    at_once, in_parts = Fit(COLUMN), Fit(COLUMN)
    outputs = _outputs(3)
    _ran(at_once, outputs)
    for rows in (slice(0, 2), slice(2, 6)):
        _ran(in_parts, [output[rows] for output in outputs])
    for cell, other in zip(at_once.cells(), in_parts.cells(), strict=True):
        assert cell == (other if not cell else near(other, within=1e-5))


def test_the_run_goes_on_with_the_forecast() -> None:
    fit = Fit(COLUMN)
    outputs = _outputs(4)
    made = _ran(fit, outputs)
    cell = fit.cells()[4]
    assert cell is not None
    assert_close(made[4], cell[0] * outputs[3] + cell[1] * outputs[1])
    assert torch.equal(made[3], outputs[3]) and not torch.equal(made[4], outputs[4])


def test_without_a_run_there_is_nothing_to_fit() -> None:
    with pytest.raises(RequestError, match="a plan is calibrated on runs of the model, and there was none"):
        Fit(COLUMN).cells()
