import pytest
import torch

from ditkit.diffusion.level import CLEAN
from ditkit.diffusion.schedule import linear_flow
from ditkit.diffusion.solvers.adaptive import dopri5
from ditkit.errors import ScheduleError
from tests.diffusion.gaussian import Gaussian


def test_it_is_as_exact_as_it_is_asked_to_be() -> None:
    target, path, x = Gaussian(0.7, 0.4), linear_flow(), torch.linspace(-2, 2, 9, dtype=torch.float64)
    for rtol in (1e-3, 1e-6):
        end = dopri5(path, 1000, rtol=rtol, atol=rtol).integrate(lambda x, t: target.velocity(x, path.level_at(t)), x)
        assert float((end - target.flow(x, path.level_at(1.0), CLEAN)).abs().max()) < 10 * rtol


def test_more_evaluations_than_allowed_are_not_made() -> None:
    asked = []

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        asked.append(t)
        return torch.sin(50 * x)

    with pytest.raises(ScheduleError, match=r"dopri5 has made its 12 evaluations and is at \d+% of the way; give more --steps"):
        dopri5(linear_flow(), 12).integrate(velocity, torch.ones(3))
    assert len(asked) == 12


def test_its_times_are_not_known_beforehand() -> None:
    solver = dopri5(linear_flow(), 20)
    assert (solver.times, solver.steps, solver.draws) == ((), 0, 0)
