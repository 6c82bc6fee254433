"""Which evaluations are gated, for every solver, and the way there."""

import pytest

from ditkit.diffusion.schedule import linear, named, scaled_linear
from ditkit.diffusion.solvers import SOLVERS, Solver, ddim, ddpm, dpm_solver_2, dpm_solver_pp
from ditkit.errors import ConfigError
from ditkit.routing.gates import Gate, evaluations_of_steps, gates, spare_evaluations


@pytest.mark.parametrize(
    ("solver", "steps"),
    [
        (ddim(linear(), 3), [[0], [1], [2]]),
        (ddpm(linear(), 3), [[0], [1], [2]]),
        (dpm_solver_pp(linear(), 3), [[0], [1], [2]]),
        (dpm_solver_2(scaled_linear(), 4), [[0, 1], [2, 3]]),
        (dpm_solver_2(scaled_linear(), 5), [[0, 1], [2, 3], [4]]),
    ],
)
def test_a_solver_is_asked_which_evaluations_its_steps_make(solver: Solver, steps: list[list[int]]) -> None:
    assert evaluations_of_steps(solver) == steps


def test_every_second_evaluation_reuses_the_one_before() -> None:
    assert gates(ddim(linear(), 5)) == (Gate(0, (0, 1)), Gate(2, (2, 3)))
    assert [gate.evaluation for gate in gates(ddim(linear(), 20))] == list(range(1, 20, 2))


def test_the_start_of_a_second_order_step_reuses_the_midpoint_before() -> None:
    assert gates(dpm_solver_2(scaled_linear(), 6)) == (Gate(0, (0, 1, 2)), Gate(1, (2, 3, 4)))
    assert [gate.evaluation for gate in gates(dpm_solver_2(scaled_linear(), 50))] == list(range(2, 50, 2))


def test_longer_periods_reuse_more_than_once() -> None:
    assert gates(ddim(linear(), 6), 3) == (Gate(0, (0, 1)), Gate(0, (0, 1, 2)), Gate(3, (3, 4)), Gate(3, (3, 4, 5)))
    assert [gate.evaluation for gate in gates(dpm_solver_2(scaled_linear(), 8), 3)] == [2, 3, 5, 6]


def test_a_run_with_nothing_to_gate_is_refused() -> None:
    with pytest.raises(ConfigError, match="a run of 1 evaluations has none that could reuse"):
        gates(ddim(linear(), 1))
    with pytest.raises(ConfigError, match="period must be at least 2, not 1"):
        gates(ddim(linear(), 4), 1)


@pytest.mark.parametrize(
    ("name", "schedule", "spare"),
    [
        ("ddim", "linear", ()),
        ("dpm-solver++", "linear", ()),
        ("dpm-solver-2", "linear", (0, 2, 4)),
        ("midpoint", "linear-flow", (0, 2, 4)),
        ("heun", "linear-flow", ()),
    ],
)
def test_evaluations_that_only_find_the_next_ones_are_spare(name: str, schedule: str, spare: tuple[int, ...]) -> None:
    assert spare_evaluations(SOLVERS[name](named(schedule), 6)) == spare
