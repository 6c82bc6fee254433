import pytest
import torch

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import gvp_flow, linear_flow, vp_flow
from ditkit.diffusion.solvers import stochastic
from ditkit.diffusion.solvers.stochastic import FORMS
from ditkit.errors import ScheduleError
from tests.closeness import assert_close, near, spread, summed
from tests.diffusion.gaussian import Gaussian, run

NAMES = ("euler-maruyama", "stochastic-heun")
PATHS = {"linear": linear_flow(), "gvp": gvp_flow(), "vp": vp_flow().of("velocity")}
SAMPLES = 20_000


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_drawn_anew_the_samples_are_those_of_the_data(name: str, path, form: str) -> None:
    """Up to chance, and a hundredth for the steps: with 400 evaluations of the perfect denoiser."""
    target, begin = Gaussian(0.5, 0.6), path if form != "sbdm" or path.name == "vp" else path.of("velocity", 0.05)
    solver = stochastic(name, begin, 400, form=form, last="euler")
    noise = SampleNoise((3,)).draw(1 + solver.draws, (SAMPLES,))
    start = solver.levels[0]
    x = start.alpha * target.mu + target.deviation(start) * noise[0]
    end = run(solver, target.denoiser(solver, "velocity"), x, noise[1:])[-1]
    assert float(end.mean()) == near(target.mu, within=target.std * spread(SAMPLES) + 0.01)
    assert float(end.std()) == near(target.std, within=target.std * spread(2 * SAMPLES) + 0.01)


@pytest.mark.parametrize(
    ("name", "last", "evaluations", "draws"),
    [
        ("euler-maruyama", "mean", 20, 19),
        ("euler-maruyama", "none", 20, 20),
        ("stochastic-heun", "mean", 21, 10),
        ("stochastic-heun", "tweedie", 20, 10),
    ],
)
def test_as_many_evaluations_as_asked_for_and_one_draw_a_noisy_step(name: str, last, evaluations: int, draws: int) -> None:
    solver = stochastic(name, linear_flow(), evaluations, last=last)
    assert (len(solver.times), solver.draws, solver.steps) == (evaluations, draws, draws + (last != "none"))


def test_without_diffusion_it_is_euler() -> None:
    solver = stochastic("euler-maruyama", linear_flow(), 11, norm=0.0, last="none")
    x, noise = torch.ones(4), torch.randn(11, 4)
    assert_close(run(solver, lambda x, e: Prediction(torch.full_like(x, 0.5), "velocity"), x, noise)[-1], torch.full((4,), 1.5), summed(22))


def test_on_the_linear_path_the_last_steps_euler_and_tweedie_agree() -> None:
    target, x = Gaussian(0.7, 0.4), torch.linspace(-2, 2, 9, dtype=torch.float64)
    ends = []
    for last in ("euler", "tweedie"):
        solver = stochastic("euler-maruyama", linear_flow(), 5, last=last)
        ends.append(run(solver, target.denoiser(solver, "velocity"), x, torch.zeros(4, 9, dtype=torch.float64))[-1])
    assert_close(*ends)


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ScheduleError, match="the diffusion form is 'constant', .* or 'increasing-decreasing', not 'sgma'"):
        stochastic("euler-maruyama", linear_flow(), 20, form="sgma")
    with pytest.raises(ScheduleError, match="the last step is 'mean', 'tweedie', 'euler' or 'none', not 'last'"):
        stochastic("euler-maruyama", linear_flow(), 20, last="last")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ScheduleError, match="'sbdm' is infinite where this path is noise alone; begin later with sampler.edge=0.05"):
        stochastic("euler-maruyama", linear_flow(), 20, form="sbdm")
    with pytest.raises(ScheduleError, match="at the end of this path no score is told; keep a last step"):
        stochastic("stochastic-heun", linear_flow(), 20, last="none")
    with pytest.raises(ScheduleError, match="between 0 and 1 long, not 1"):
        stochastic("euler-maruyama", linear_flow(), 20, last_step=1.0)
    with pytest.raises(ScheduleError, match="begins at flow time 0.98 cannot end at 0.96; lower sampler.last_step"):
        stochastic("euler-maruyama", linear_flow().below(0.02), 20)


def test_a_run_of_one_evaluation_goes_the_whole_way() -> None:
    solver = stochastic("euler-maruyama", linear_flow(), 1, last="tweedie")
    x = run(solver, lambda x, e: Prediction(torch.full_like(x, 2.0) - x, "velocity"), torch.randn(4))[-1]
    assert_close(x, torch.full((4,), 2.0), size=5.0)
