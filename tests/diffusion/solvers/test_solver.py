"""What every solver promises, whatever its mathematics."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, linear_flow
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.diffusion.solvers.runge_kutta import RUNGE_KUTTAS
from ditkit.errors import ScheduleError
from tests.closeness import assert_close, near, summed, tolerance
from tests.diffusion.gaussian import Gaussian, run

FLOW = linear_flow().of("epsilon")  # whose ends are left out, where a prediction of noise tells no x0
VARIANTS: dict[str, Callable[[int], Solver]] = {
    "ddim": lambda n: SOLVERS["ddim"](linear(), n),
    "ddim eta": lambda n: SOLVERS["ddim"](linear(), n, eta=1.0),
    "ddpm learned": lambda n: SOLVERS["ddpm"](linear(), n),
    "ddpm fixed": lambda n: SOLVERS["ddpm"](linear(), n, variance="fixedsmall"),
    "dpm-solver-2": lambda n: SOLVERS["dpm-solver-2"](linear(), n),
    "dpm-solver++ diffusers": lambda n: SOLVERS["dpm-solver++"](linear(), n, grid="diffusers"),
    "dpm-solver++ pixart": lambda n: SOLVERS["dpm-solver++"](linear(), n, grid="pixart"),
    "dpm-solver++ karras": lambda n: SOLVERS["dpm-solver++"](linear(), n, grid="karras"),
    "lcm": lambda n: SOLVERS["lcm"](linear(), n),
    "dmd": lambda n: SOLVERS["dmd"](linear(), n),
    "euler": lambda n: SOLVERS["euler"](linear(), n),
    "ddim of a flow": lambda n: SOLVERS["ddim"](FLOW, n, shift=3.0, eta=0.5),
    "dpm-solver++ of a flow": lambda n: SOLVERS["dpm-solver++"](FLOW, n, grid="logsnr"),
    **{f"{name} of a flow": lambda n, name=name: SOLVERS[name](FLOW, n) for name in RUNGE_KUTTAS},
    **{f"{name} of a flow": lambda n, name=name: SOLVERS[name](FLOW, n) for name in ("euler-maruyama", "stochastic-heun")},
    "euler-maruyama to the end": lambda n: SOLVERS["euler-maruyama"](FLOW, n, last="none"),
}
each_variant = pytest.mark.parametrize("build", VARIANTS.values(), ids=VARIANTS.keys())
each_name = pytest.mark.parametrize("name", SOLVERS)


def noise_for(solver: Solver, seeds: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    noise = SampleNoise(seeds).draw(1 + solver.draws, shape)
    return noise[0], noise[1:] if solver.draws else None


@each_variant
@pytest.mark.parametrize("evaluations", [1, 2, 3, 9, 10, 20, 21])
def test_a_run_makes_exactly_the_evaluations_asked_for_in_order(build: Callable[[int], Solver], evaluations: int) -> None:
    solver, asked = build(evaluations), list[int]()
    x, noise = noise_for(solver, (0,), (2, 3))

    def denoise(x: Tensor, e: int) -> Prediction:
        asked.append(e)
        return Prediction(torch.zeros_like(x), variance=torch.zeros_like(x))

    run(solver, denoise, x, noise)
    assert asked == list(range(evaluations))
    assert len(solver.times) == len(solver.levels) == evaluations
    assert list(solver.times) == sorted(solver.times, reverse=True)
    assert all(isinstance(time, float) for time in solver.times)


@each_name
@pytest.mark.parametrize("evaluations", [1, 2, 9, 20])
def test_a_run_that_starts_later_stays_below_that(name: str, evaluations: int) -> None:
    solver, whole = (SOLVERS[name](schedule, evaluations) for schedule in (linear().below(0.5), linear()))
    assert len(solver.times) == evaluations and max(solver.times) <= 499
    assert all(level.sigma <= linear().level(499).sigma + tolerance(1) for level in solver.levels)
    assert solver.name == whole.name


@each_variant
def test_a_sample_does_not_depend_on_its_batch(build: Callable[[int], Solver]) -> None:
    solver = build(6)

    def denoise(x: Tensor, e: int) -> Prediction:
        return Prediction(torch.tanh(x * (1 + e)), variance=torch.sin(x))

    x, noise = noise_for(solver, (1, 2, 3), (4,))
    together = run(solver, denoise, x, noise)[-1]
    for i, seed in enumerate((1, 2, 3)):
        x, noise = noise_for(solver, (seed,), (4,))
        assert_close(run(solver, denoise, x, noise)[-1][0], together[i], summed(6 * 16))


@each_variant
def test_a_step_asks_the_device_for_nothing(build: Callable[[int], Solver]) -> None:
    solver = build(5)
    x = torch.empty(2, 3, device="meta")  # has no numbers to give and mixes with no tensor of the host
    noise = torch.empty(solver.draws, 2, 3, device="meta") if solver.draws else None
    for state in run(solver, lambda x, e: Prediction(torch.empty_like(x), variance=torch.empty_like(x)), x, noise):
        assert state.is_meta


@each_variant
def test_a_run_can_be_repeated_from_any_step_because_nothing_is_kept(build: Callable[[int], Solver]) -> None:
    solver = build(7)
    x, noise = noise_for(solver, (5,), (8,))

    def denoise(x: Tensor, e: int) -> Prediction:
        return Prediction(0.5 * x, "sample", torch.zeros_like(x))

    state = solver.init(noise)
    for k in range(solver.steps):
        once, state_once = solver.step(denoise, x, k, state)
        twice, _ = solver.step(denoise, x, k, state)
        assert torch.equal(once, twice)
        x, state = once, state_once


@each_variant
def test_a_half_precision_network_leaves_the_sample_in_float32(build: Callable[[int], Solver]) -> None:
    solver = build(5)
    x, noise = noise_for(solver, (5,), (8,))
    trajectory = run(solver, lambda x, e: Prediction(x.bfloat16(), variance=torch.zeros_like(x).bfloat16()), x, noise)
    assert all(x.dtype == torch.float32 for x in trajectory)


@each_variant
def test_every_kind_of_prediction_gives_the_same_trajectory(build: Callable[[int], Solver]) -> None:
    solver, target = build(8), Gaussian(0.5, 0.3)
    x, noise = noise_for(solver, (5,), (8,))
    x, noise = x.double(), None if noise is None else noise.double()

    def denoise(x: Tensor, e: int, kind: str) -> Prediction:
        level, variance = solver.levels[e], torch.zeros_like(x)
        epsilon = target.epsilon(x, level)
        x0 = Prediction(epsilon).to_x0(x, level)
        match kind:
            case "sample":
                return Prediction(x0, "sample", variance)
            case "v":
                vp = math.hypot(level.alpha, level.sigma) == near(1)  # where it means something
                return Prediction(level.alpha * epsilon - level.sigma * x0, "v", variance) if vp else Prediction(x0, "sample", variance)
            case _:
                return Prediction(epsilon, "epsilon", variance)

    plain = run(solver, lambda x, e: denoise(x, e, "epsilon"), x, noise)
    roundings = summed(8 * 16) / min(min(level[:2]) for level in solver.levels)  # what conversions divide by
    for kind in ("sample", "v"):
        assert_close(run(solver, lambda x, e, kind=kind: denoise(x, e, kind), x, noise), plain, roundings)


@each_name
def test_a_solver_knows_its_name(name: str) -> None:
    assert SOLVERS[name](linear(), 4).name == name


@each_name
def test_no_evaluations_are_too_few(name: str) -> None:
    with pytest.raises(ScheduleError, match="a sampler needs at least 1 evaluation, not 0"):
        SOLVERS[name](linear(), 0)
