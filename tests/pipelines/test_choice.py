"""A search forecasts the evaluations that a run's end hardly depends on, however many calls a step makes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ditkit
from ditkit.errors import PlanMismatch
from ditkit.pipelines.calibrate import runs_of
from ditkit.pipelines.choice import ending
from tests.pipelines.tiny import tiny

pytestmark = pytest.mark.filterwarnings("ignore:::diffusers")  # of what it will do otherwise one day
STEPS = 8


class Network(nn.Module):
    """Something curved in its time, which no evaluation can be forecast exactly from."""

    def forward(self, x: Tensor, timestep: float) -> tuple[Tensor]:
        return (torch.sin(3 * timestep + x),)


class Weighted:
    """A pipeline whose end is a sum of what its network says, in which every evaluation has its own weight."""

    def __init__(self, weights: list[float], calls: int = 1) -> None:
        self.transformer, self.scheduler = Network(), SimpleNamespace()
        self._weights, self._calls = weights, calls

    def __call__(self, prompt: int, num_inference_steps: int, generator: torch.Generator) -> tuple[Tensor]:
        x = torch.randn(1, 5, generator=generator) + 1e-3 * prompt
        said = [sum(self.transformer(x, timestep=(1 - e / STEPS))[0] for _ in range(self._calls)) for e in range(num_inference_steps)]
        return (sum(weight * output for weight, output in zip(self._weights, said, strict=True)),)  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("light", [(1, 2, 5), (3, 4, 7), (2, 6)])
def test_evaluations_that_hardly_count_are_forecast(light: tuple[int, ...], calls: int) -> None:
    pipe = Weighted([1e-3 if e in light else 1.0 for e in range(STEPS)], calls)
    runs: list[None] = []
    plan = ditkit.calibrate(pipe, [0, 1], STEPS, 1 - len(light) / STEPS, search=True, on_run=lambda: runs.append(None))
    assert tuple(e for e, row in enumerate(plan.compute) if not any(row)) == light
    assert len(plan.sites) == calls and plan.provenance["chosen"] == "by the response"
    assert len(runs) == runs_of(2, STEPS, search=True) == 1 + 2 + 2 * STEPS


@pytest.mark.parametrize("name", ["PixArt-alpha", "Wan"])
def test_real_pipelines_are_searched_and_run_by_what_was_found(name: str) -> None:
    pipe, arguments = tiny(name)
    plan = ditkit.calibrate(pipe, [arguments(1), arguments(2)], 6, 0.5, search=True)
    assert sum(map(all, plan.compute)) == 3 and plan.compute[0][0]
    with ditkit.accelerate(pipe, plan):
        made: Any = pipe(**{"output_type": "latent", **arguments(0)}, num_inference_steps=6, return_dict=False)[0]
    assert torch.as_tensor(made).isfinite().all()


def test_an_end_is_what_a_pipeline_returns_first_as_numbers() -> None:
    ones = torch.ones(2, 3)
    for result in (ones, (ones, None), [ones.numpy()], {"images": ones, "more": 3}):
        assert torch.equal(ending(result), torch.ones(6, dtype=torch.float64))
    with pytest.raises(PlanMismatch, match="the pipeline returns a str, whose distance"):
        ending(("a cat",))
