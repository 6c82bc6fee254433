"""Pipelines of every kind run by a plan: as often called as it says, to the numbers that it says, and left as they were."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ditkit
from ditkit.cache.plan import CachePlan, read_plan
from ditkit.errors import PlanMismatch, RequestError
from ditkit.pipelines.denoiser import find
from tests.closeness import assert_close, evaluated
from tests.pipelines.tiny import NOTHING, PIPELINES, Made, tiny

diffusers: Any = import_module("diffusers")  # its types are those of its real checkpoints
pytestmark = pytest.mark.filterwarnings("ignore:::diffusers")  # of what it will do otherwise one day
STEPS = 6
GUIDANCE = 7.5  # the most that any of the pipelines has by default


def ran(made: Made, seed: int = 0, steps: int = STEPS, **more: Any) -> Tensor:
    """The latents, or pictures, of one run."""
    pipe, arguments = made
    asked = {"output_type": "latent", **arguments(seed), **more}
    return torch.as_tensor(pipe(**asked, num_inference_steps=steps, generator=torch.Generator().manual_seed(seed), return_dict=False)[0])


def calibrated(made: Made, budget: float = 0.5, **more: Any) -> CachePlan:
    pipe, arguments = made
    return ditkit.calibrate(pipe, [arguments(1), arguments(2)], STEPS, budget, **more)


def computing_all(plan: CachePlan) -> CachePlan:
    return replace(plan, compute=tuple((True,) * len(row) for row in plan.compute), forecast={})


class Counted:
    """How often a pipeline's denoiser, or any module, is really called."""

    def __init__(self, pipe: Any) -> None:
        self.calls = 0
        (pipe if isinstance(pipe, nn.Module) else find(pipe).module).register_forward_pre_hook(self._called)

    def _called(self, *_: Any) -> None:
        self.calls += 1

    def during(self, run: Callable[[], Any]) -> int:
        before = self.calls
        run()
        return self.calls - before


@pytest.fixture(scope="module", params=PIPELINES)
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    yield tiny(request.param)


@pytest.fixture(scope="module")
def plan(made: Made) -> CachePlan:
    return calibrated(made)


@pytest.fixture
def pixart() -> Made:
    return tiny("PixArt-alpha")


def test_a_plan_that_computes_everything_changes_no_bit(made: Made, plan: CachePlan) -> None:
    plain = ran(made)
    with ditkit.accelerate(made[0], computing_all(plan)):
        assert torch.equal(ran(made), plain)
    assert torch.equal(ran(made), plain)


def test_the_denoiser_is_called_exactly_as_often_as_the_plan_says(made: Made, plan: CachePlan) -> None:
    counted = Counted(made[0])
    with ditkit.accelerate(made[0], plan):
        assert counted.during(lambda: ran(made)) == sum(map(sum, plan.compute)) < plan.evaluations * len(plan.sites)
    assert counted.during(lambda: ran(made)) == plan.evaluations * len(plan.sites)


def test_a_run_by_a_plan_equals_an_independent_replay(made: Made, plan: CachePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    with ditkit.accelerate(made[0], plan):
        fast = ran(made)
    module, own = find(made[0]).module, type(find(made[0]).module).forward
    outputs: list[list[Tensor]] = [[] for _ in plan.sites]
    calls = iter([(row, site) for row in range(plan.evaluations) for site in range(len(plan.sites))])

    def forward(*args: Any, **kwargs: Any) -> Any:
        row, site = next(calls)
        if plan.compute[row][site]:
            returned = own(module, *args, **kwargs)
            outputs[site].insert(0, returned[0].clone())
            return returned
        weights = plan.forecast.get((row, site), (1.0,))
        made = sum(weight * output for weight, output in zip(weights, outputs[site], strict=False))
        return (made,) if kwargs.get("return_dict") is False else SimpleNamespace(sample=made)

    monkeypatch.setattr(module, "forward", forward)
    replayed = ran(made)
    assert_close(fast, replayed, evaluated(module, STEPS, GUIDANCE))
    assert not torch.equal(fast, replayed.new_zeros(fast.shape)) and next(calls, None) is None


def test_a_plan_that_was_saved_is_the_same_and_names_what_it_is_for(made: Made, plan: CachePlan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan
    assert plan.model == type(made[0]).__name__ and plan.solver == type(made[0].scheduler).__name__
    with ditkit.accelerate(made[0], plan):
        fast = ran(made)
    with ditkit.accelerate(made[0], str(tmp_path / "plan.json")):
        assert torch.equal(ran(made), fast)
        assert torch.equal(ran(made), fast)  # a new call is a new run


def test_a_forecast_is_nearer_than_holding_the_last_output(pixart: Made) -> None:
    plain, plan = ran(pixart, 7), calibrated(pixart)
    errors = []
    for each in (plan, replace(plan, forecast={})):
        with ditkit.accelerate(pixart[0], each):
            errors.append(float((ran(pixart, 7) - plain).norm()))
    assert errors[0] < errors[1]


def test_a_pipeline_is_left_as_it_was_also_by_an_exception(pixart: Made) -> None:
    pipe, module = pixart[0], pixart[0].transformer
    before, plan = (type(pipe), type(module), set(vars(module))), calibrated(pixart)
    with ditkit.accelerate(pipe, plan):
        assert isinstance(module, before[1]) and type(module).__name__ == before[1].__name__
        assert "forward" not in vars(module)
    assert (type(pipe), type(module), set(vars(module))) == before
    with pytest.raises(ZeroDivisionError), ditkit.accelerate(pipe, plan):
        raise ZeroDivisionError
    with pytest.raises(PlanMismatch), ditkit.accelerate(pipe, plan):
        ran(pixart, steps=STEPS + 1)
    assert (type(pipe), type(module), set(vars(module))) == before and not module._forward_hooks and not module._forward_pre_hooks


def test_the_innermost_of_nested_contexts_counts_and_the_outer_one_goes_on_after_it(pixart: Made) -> None:
    counted = Counted(pixart[0])
    half, most = calibrated(pixart, 0.5), calibrated(pixart, 0.84)
    with ditkit.accelerate(pixart[0], half):
        with ditkit.accelerate(pixart[0], most):
            assert counted.during(lambda: ran(pixart)) == 5
        assert counted.during(lambda: ran(pixart)) == 3


def test_two_pipelines_at_once_even_with_one_network(pixart: Made) -> None:
    pipe, arguments = pixart
    other = tiny("SD3")
    scheduler = diffusers.DDIMScheduler()
    shared = diffusers.PixArtAlphaPipeline(NOTHING, NOTHING, pipe.vae, pipe.transformer, scheduler)
    shared.set_progress_bar_config(disable=True)
    plain, counted = ran((shared, arguments)), Counted(pipe)
    with ditkit.accelerate(pipe, calibrated(pixart)), ditkit.accelerate(other[0], calibrated(other)):
        assert counted.during(lambda: ran(pixart)) == 3
        assert torch.equal(ran((shared, arguments)), plain)  # of another pipeline: computed
        ran(other)
        with ditkit.accelerate(shared, calibrated((shared, arguments))):
            assert counted.during(lambda: ran((shared, arguments))) == 3
            assert counted.during(lambda: ran(pixart)) == 3


def test_several_pictures_of_one_prompt_are_those_of_a_batch(pixart: Made) -> None:
    with ditkit.accelerate(pixart[0], calibrated(pixart)):
        assert ran(pixart, num_images_per_prompt=3).shape[0] == 3
        assert ran(pixart).shape[0] == 1


def test_a_compiled_denoiser_runs_by_a_plan_too(pixart: Made) -> None:
    plan = calibrated(pixart)
    with ditkit.accelerate(pixart[0], plan):
        fast = ran(pixart)
    pixart[0].transformer = torch.compile(pixart[0].transformer, backend="eager")
    with ditkit.accelerate(pixart[0], plan):
        assert torch.equal(ran(pixart), fast)
    kind: type = type(pixart[0].transformer)
    assert kind.__name__ == "OptimizedModule" and kind.__base__ is nn.Module


@pytest.mark.parametrize("way", ["disk", "group"])
def test_an_offloaded_denoiser_runs_by_a_plan_and_is_not_fetched_for_a_call_that_is_spared(pixart: Made, way: str, tmp_path: Path) -> None:
    library: Any = pytest.importorskip("accelerate")
    plan, (pipe, _) = calibrated(pixart), pixart
    with ditkit.accelerate(pipe, plan):
        fast = ran(pixart)
    if way == "disk":
        for name, module in (("transformer", pipe.transformer), ("vae", pipe.vae)):
            library.disk_offload(module, tmp_path / name, execution_device=torch.device("cpu"))
    else:
        where = torch.device("cpu")
        pipe.transformer.enable_group_offload(onload_device=where, offload_device=where, offload_type="block_level", num_blocks_per_group=1)
    with ditkit.accelerate(pipe, plan):
        counted = Counted(pipe.transformer.transformer_blocks[0])
        assert torch.equal(ran(pixart), fast)
        assert counted.during(lambda: ran(pixart)) == sum(map(sum, plan.compute)) < STEPS


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (STEPS + 1, "evaluation 1 is at time 832, this run's is at time 856; use its 6 evaluations"),
        (STEPS - 1, "evaluation 1 is at time 832, this run's is at time 799"),
    ],
)
def test_another_number_of_steps_is_refused_at_its_first_other_time(pixart: Made, steps: int, words: str) -> None:
    with ditkit.accelerate(pixart[0], calibrated(pixart)), pytest.raises(PlanMismatch, match=words):
        ran(pixart, steps=steps)


def test_another_scheduler_or_shift_is_refused() -> None:
    made = tiny("SD3")
    pipe, plan = made[0], calibrated(made)
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0)
    with ditkit.accelerate(pipe, plan), pytest.raises(PlanMismatch, match="the plan was made for another run: evaluation 1 is at time 923"):
        ran(made)
    with ditkit.accelerate(pipe, plan):
        pipe.scheduler = diffusers.EulerDiscreteScheduler()
        with pytest.raises(PlanMismatch, match="made for FlowMatchEulerDiscreteScheduler, not for EulerDiscreteScheduler"):
            ran(made)
    with pytest.raises(PlanMismatch, match="not for EulerDiscreteScheduler"), ditkit.accelerate(pipe, plan):
        pytest.fail("ran")


def test_guidance_in_two_calls_is_told_from_none() -> None:
    made = tiny("Wan")
    plan = calibrated(made)
    assert len(plan.sites) == 2
    with ditkit.accelerate(made[0], plan), pytest.raises(PlanMismatch, match="the plan is for 2 calls of the denoiser at each step"):
        ran(made, guidance_scale=1.0)


def test_plans_of_other_pipelines_and_configurations_are_refused_before_anything_runs(pixart: Made) -> None:
    plan = calibrated(pixart)
    for name, words in {
        "SD3": "made for PixArtAlphaPipeline, not for StableDiffusion3Pipeline",
        "PixArt-Sigma": "not for PixArtSigma",
    }.items():
        with pytest.raises(PlanMismatch, match=words), ditkit.accelerate(tiny(name)[0], plan):
            pytest.fail("ran")
    pixart[0].transformer.register_to_config(norm_eps=1e-3)
    with pytest.raises(PlanMismatch, match="another configuration"), ditkit.accelerate(pixart[0], plan):
        pytest.fail("ran")


def test_what_cannot_be_calibrated_says_why(pixart: Made) -> None:
    pipe, arguments = pixart
    with pytest.raises(RequestError, match="at least 2 prompts"):
        ditkit.calibrate(pipe, [arguments(0)], STEPS)
    with pytest.raises(RequestError, match="at least 2 prompts"):
        ditkit.calibrate(pipe, "a cat", STEPS)
    with pytest.raises(PlanMismatch, match="Codec has no transformer and no unet; module= takes one of vae"):
        ditkit.calibrate(Codec(pipe.vae), ["a", "b"], STEPS)
    with pytest.raises(PlanMismatch, match="PixArtAlphaPipeline has no module named 'denoiser'"):
        ditkit.calibrate(pipe, [arguments(0), arguments(1)], STEPS, module="denoiser")


class Codec:
    def __init__(self, vae: nn.Module) -> None:
        self.vae = vae
