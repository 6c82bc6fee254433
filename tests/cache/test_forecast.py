"""A forecast is a weighted sum of the last outputs, and no output is kept longer than one is made from it."""

import gc
import weakref
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ditkit.cache.forecast import CALLED, HELD, TOGETHER, Cell, Place, check_column, forecast, plain, remembered, stretches
from ditkit.errors import PlanMismatch
from tests.closeness import assert_close, summed

OUTPUTS = tuple(torch.randn(4, 5, generator=torch.Generator().manual_seed(seed)) for seed in range(3))


@pytest.mark.parametrize("cell", [(0.5,), (1.7, -0.7), (1.2, -0.4), (2.0, -1.5, 0.5), (1.1, 0.3, -0.2)])
def test_a_forecast_is_the_weighted_sum_of_the_last_outputs(cell: Cell) -> None:
    expected = torch.stack([weight * output.double() for weight, output in zip(cell, OUTPUTS, strict=False)]).sum(0)
    made = forecast(cell, OUTPUTS)
    most = sum(abs(weight) for weight in cell) * float(torch.stack(OUTPUTS).abs().max())
    assert_close(made, expected, summed(2 * len(cell)), size=most)
    assert all(made.data_ptr() != output.data_ptr() for output in OUTPUTS)


def test_weights_of_the_difference_form_are_those_of_the_sum() -> None:
    c1, c2, c3 = 0.1, 0.8, -0.3
    newest, before, earlier = (output.double() for output in OUTPUTS)
    expected = newest + c1 * newest + c2 * (newest - before) + c3 * (newest - earlier)
    assert_close(forecast((1 + c1 + c2 + c3, -c2, -c3), (newest, before, earlier)), expected)


def test_the_coefficients_1_0_0_hold_the_output_itself() -> None:
    assert plain((1.0, 0.0, 0.0)) == HELD
    assert forecast(HELD, OUTPUTS) is OUTPUTS[0]


def test_weights_in_the_middle_may_be_zero() -> None:
    assert plain((1.5, 0.0, -0.5)) == (1.5, 0.0, -0.5)
    assert plain((0.0, 0.0)) == (0.0,)


def _values(column: Sequence[Cell | None]) -> list[float]:
    """What a place says at each evaluation, called with the evaluation's own number."""
    place = Place(column)
    return [place(at, lambda at=at: torch.tensor(float(at))).item() for at, cell in enumerate(column) if cell is not None]


def test_a_stretch_is_no_longer_than_a_computed_branch_has_room_for() -> None:
    cell = (1.5, -0.5)
    columns = [stretch.columns for stretch in stretches([cell] * (2 * TOGETHER + 2))]
    assert columns == [range(TOGETHER), range(TOGETHER, 2 * TOGETHER), range(2 * TOGETHER, 2 * TOGETHER + 2)]
    assert stretches([CALLED, cell, None, cell, HELD, HELD]) == []


def test_a_place_forecasts_from_the_outputs_that_were_computed_never_from_forecasts() -> None:
    column = (CALLED, CALLED, (2.0, -1.0), (3.0, -2.0), CALLED, (2.0, -1.0), HELD)
    assert _values(column) == [0, 1, 2, 3, 4, 7, 4]  # from 1 and 0, from 1 and 0, and from 4 and 1


def test_evaluations_at_which_nobody_comes_by_change_nothing() -> None:
    assert _values((CALLED, None, CALLED, None, (2.0, -1.0))) == [0, 2, 4]


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        ((CALLED, CALLED, CALLED), (0, 0, 0)),
        ((CALLED, HELD, HELD, CALLED), (1, 1, 0, 0)),
        ((CALLED, CALLED, (2.0, -1.0), CALLED), (1, 2, 0, 0)),
        ((CALLED, CALLED, CALLED, (1.0, 1.0, -1.0)), (1, 2, 3, 0)),
        ((CALLED, HELD, CALLED, CALLED, (1.0, 1.0, -1.0)), (1, 1, 2, 3, 0)),
        ((CALLED, None, HELD, None, CALLED), (1, 1, 0, 0, 0)),
    ],
)
def test_no_more_is_remembered_than_a_later_evaluation_needs(column: tuple[Cell | None, ...], kept: tuple[int, ...]) -> None:
    assert remembered(column) == kept


def test_an_output_is_freed_once_no_forecast_needs_it() -> None:
    place = Place((CALLED, CALLED, CALLED, (2.0, -1.0), CALLED))
    made: list[weakref.ref[Tensor]] = []
    alive = []
    for evaluation in range(5):
        output = place(evaluation, lambda: torch.zeros(3))
        made.append(weakref.ref(output))
        del output
        gc.collect()
        alive.append(sum(reference() is not None for reference in made))
    assert alive == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ((CALLED, (1.0, float("nan"))), "the forecast of it in row 1 has a weight that is not a finite number"),
        ((CALLED, (float("inf"),)), "the forecast of it in row 1 has a weight that is not a finite number"),
        ((HELD,), "the forecast of it in row 0 remembers 1 outputs, where 0 were computed before it"),
        ((CALLED, HELD, (1.5, -0.5)), "the forecast of it in row 2 remembers 2 outputs, where 1 were computed before it"),
        ((CALLED,) * 4 + ((1.0, 1.0, 1.0, -2.0),), "the forecast of it in row 4 has 4 weights; at most 3 outputs are remembered"),
    ],
)
def test_a_forecast_that_cannot_be_made_is_refused_in_words(column: tuple[Cell, ...], message: str) -> None:
    with pytest.raises(PlanMismatch) as caught:
        check_column(column, "it")
    assert str(caught.value) == message
