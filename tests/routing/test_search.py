"""The search finds the choice that is judged best, and judges by what is left over of outputs and how far that moves the end."""

from itertools import combinations

import numpy as np
import pytest

from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.errors import ConfigError
from ditkit.routing.miniature import Miniature
from ditkit.routing.search import best_choice, by_residuals, cheapest, judge, sources
from tests.closeness import near

EVALUATIONS = 7
MINIATURE = Miniature.of(ddim(linear(), EVALUATIONS), "epsilon", 4.0)
OUTPUTS = np.random.default_rng(0).standard_normal((EVALUATIONS, 60)).cumsum(0)  # neighbours are alike
PRODUCTS = OUTPUTS @ OUTPUTS.T


def test_forecasts_are_made_from_the_last_outputs_that_were_computed() -> None:
    assert sources({2, 3, 5}, EVALUATIONS, 2) == {2: (1, 0), 3: (1, 0), 5: (4, 1)}
    assert sources({1, 6}, EVALUATIONS, 3) == {1: (0,), 6: (5, 4, 3)}


def test_a_forecast_is_judged_by_the_least_squares_of_weights_that_add_up_to_one_and_by_its_gain() -> None:
    newest, before = OUTPUTS[4], OUTPUTS[2]
    weight = ((OUTPUTS[5] - newest) @ (before - newest)) / ((before - newest) @ (before - newest))
    left = np.linalg.norm(OUTPUTS[5] - newest - weight * (before - newest))
    held = np.linalg.norm(OUTPUTS[3] - OUTPUTS[2])
    first = judge(PRODUCTS, MINIATURE, 1)(frozenset({3}))
    assert first == near(float(held * MINIATURE.gains({3: {2: 1.0}})[3]))
    both = judge(PRODUCTS, MINIATURE, 2)(frozenset({3, 5}))
    one = judge(PRODUCTS, MINIATURE, 2)(frozenset({5}))
    assert both > one > 0
    gain = MINIATURE.gains({3: {2: 1.0}, 5: {4: 1 - weight, 2: weight}})[5]
    assert both >= left * gain * (1 - 1e-9)


def test_the_search_finds_the_best_of_all_choices() -> None:
    judged = judge(PRODUCTS, MINIATURE, 2)
    for skipped in (2, 4):
        best = min(judged(frozenset(each)) for each in combinations(range(1, EVALUATIONS), skipped))
        assert judged(best_choice(judged, skipped, EVALUATIONS)) == near(best)


def test_the_start_by_residuals_forecasts_first_what_loses_least() -> None:
    judged = judge(PRODUCTS, MINIATURE, 2)
    one, two = (by_residuals(judged, skipped, EVALUATIONS) for skipped in (1, 2))
    assert judged(one) == min(judged(frozenset({e})) for e in range(1, EVALUATIONS)) and one < two
    assert judged(two) == min(judged(one | {e}) for e in range(1, EVALUATIONS) if e not in one)


def test_at_least_one_evaluation_is_computed_and_one_forecast() -> None:
    judged = judge(PRODUCTS, MINIATURE, 2)
    assert best_choice(judged, EVALUATIONS - 1, EVALUATIONS) == frozenset(range(1, EVALUATIONS))
    for skipped in (0, EVALUATIONS):
        with pytest.raises(ConfigError, match=f"from 1 to 6 of 7 evaluations can be forecast, not {skipped}"):
            best_choice(judged, skipped, EVALUATIONS)


def test_an_error_buys_as_many_forecasts_as_stay_within_it() -> None:
    judged = judge(PRODUCTS, MINIATURE, 2)
    most = judged(best_choice(judged, 2, EVALUATIONS))
    assert len(cheapest(judged, most, EVALUATIONS)) >= 2
    assert cheapest(judged, 0.0, EVALUATIONS) == frozenset()
