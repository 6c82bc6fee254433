"""How far the end of a run moves with each evaluation, in closed form where data are Gaussian."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from ditkit.cache.forecast import Place
from ditkit.diffusion.prediction import Kind, Prediction
from ditkit.diffusion.schedule import linear, linear_flow
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.routing.miniature import Miniature
from tests.closeness import near, summed

EVALUATIONS = 8
CHAIN = summed(16 * EVALUATIONS**2)  # every entry of a triangular system goes through a formula


def _size(solver: Solver) -> float:
    """Of an end that no network answers to: these numbers cancel."""
    return 1 / solver.levels[0].alpha


def test_of_gaussian_data_ddim_turns_by_the_angle_between_levels() -> None:
    """A perfect network says sigma x for data of unit variance: from angle a to b (tan = sigma / alpha) x is scaled by cos(a - b), and
    one of noise more adds sin(b - a) / alpha."""
    solver = SOLVERS["ddim"](linear(), EVALUATIONS)
    angles = [math.atan2(level.sigma, level.alpha) for level in solver.levels] + [0.0]
    turns = [a - b for a, b in pairwise(angles)]
    for evaluation, gain in enumerate(Miniature.of(solver, "epsilon", 1.0).gains({})):
        later = math.prod(math.cos(turn) for turn in turns[evaluation + 1 :])
        assert float(gain) == near(math.sin(turns[evaluation]) / solver.levels[evaluation].alpha * later, CHAIN, size=_size(solver))


def _end(solver: Solver, kind: Kind, variance: float, column: list[tuple[float, ...]], loud: int) -> float:
    """Where a run from 0 ends that obeys the column and is told one too much at the `loud` evaluation."""
    place = Place(column)

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        level = solver.levels[evaluation]
        x0 = level.alpha * variance / (level.alpha**2 * variance + level.sigma**2) * x
        exact = Prediction(x0, "sample")
        means = {
            "epsilon": exact.to_epsilon,
            "velocity": exact.to_velocity,
            "score": exact.to_score,
            "sample": exact.to_x0,
            "v": exact.to_v,
        }
        value = means[kind](x, level)
        if evaluation != loud:
            return Prediction(place(evaluation, lambda: value), kind, torch.zeros_like(x))
        if not column[evaluation]:
            return Prediction(place(evaluation, lambda: value + 1), kind, torch.zeros_like(x))
        return Prediction(place(evaluation, lambda: value) + 1, kind, torch.zeros_like(x))

    x, state = torch.zeros(1, dtype=torch.float64), solver.init(torch.zeros(solver.draws, 1).double() if solver.draws else None)
    for step in range(solver.steps):
        x, state = solver.step(denoise, x, step, state)
    return abs(float(x))


@pytest.mark.parametrize("solver", ["ddim", "ddpm", "dpm-solver-2", "dpm-solver++"])
@pytest.mark.parametrize("kind", ["epsilon", "sample", "score", "v"])
def test_gains_are_what_a_run_under_the_plan_ends_at(solver: str, kind: Kind) -> None:
    made = SOLVERS[solver](linear(), EVALUATIONS)
    gains = Miniature.of(made, kind, 4.0).gains({3: {2: 1.5, 1: -0.5}, 5: {4: 1.0}, 6: {4: 1.25, 2: -0.25}})
    column = [(), (), (), (1.5, -0.5), (), (1.0,), (1.25, -0.25), ()]
    for loud, gain in enumerate(gains):
        assert float(gain) == near(_end(made, kind, 4.0, column, loud), CHAIN, size=_size(made))


def test_what_is_forecast_later_takes_no_error_back() -> None:
    miniature = Miniature.of(SOLVERS["ddim"](linear(), EVALUATIONS), "epsilon", 4.0)
    held = {evaluation: {0: 1.0} for evaluation in range(2, EVALUATIONS)}
    assert miniature.gains(held)[1] > miniature.gains({})[1]
    assert np.isfinite(miniature.gains(held)).all()


def test_a_flow_has_gains_up_to_the_data_itself_whichever_way_its_velocity_points() -> None:
    made = SOLVERS["heun"](linear_flow(), EVALUATIONS)
    assert made.levels[-1].sigma == 0
    ahead, back = (Miniature.of(made, kind, 1.0).gains({4: {3: 1.0}}) for kind in ("velocity", "reversed velocity"))
    assert np.isfinite(ahead).all() and ahead.tolist() == back.tolist()


def test_v_of_gaussian_data_of_unit_variance_is_nothing_so_no_error_is_answered_to() -> None:
    """alpha noise - sigma x0 of the same x, which is alpha x and sigma x of it: the sample stays where it is."""
    made = SOLVERS["ddim"](linear(), EVALUATIONS)
    miniature = Miniature.of(made, "v", 1.0)
    assert miniature.answers.tolist() == [near(0.0, size=1.0)] * EVALUATIONS
    assert miniature.gains({}).tolist() == np.abs(miniature.inputs[-1]).tolist()
