"""What samples are asked for in words reaches the network as classes do: once, whatever the batch, the steps and the plan."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from ditkit.cache.policies import every, everything
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS, Solver
from ditkit.engine import conditioning
from ditkit.engine.conditioning import ConditioningTable
from ditkit.engine.conditions import PromptTable, conditions
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.engine.trajectory import sample_latents
from ditkit.errors import RequestError
from ditkit.models.pixart import PixArt
from ditkit.models.spec import Defaults, ModelSpec
from tests.closeness import assert_close, close, evaluated
from tests.models.tiny import PIXART, drawn, prompts

DEVICE = torch.device("cpu")


@pytest.fixture(params=[False, True], ids=["plain", "of many scales"])
def model(request: pytest.FixtureRequest) -> Model:
    params = replace(PIXART, micro_conditions=request.param)
    backbone: Any = drawn(PixArt(params))
    spec = ModelSpec("tiny", "pixart", params, "linear", "pixels", 8, 8, Defaults("ddim", 4, 4.5), text="t5", shape=(8, 12))
    return Model(spec, backbone, load_codec("pixels"), DEVICE)


def table(model: Model) -> PromptTable:
    """Three prompts, led away from the fourth row."""
    assert isinstance(model.backbone, PixArt)
    return PromptTable(("one", "two", "three"), prompts(model.backbone.params, 4), (3, 3, 3))


def solver(name: str = "ddim", evaluations: int = 4) -> Solver:
    return SOLVERS[name](linear(), evaluations)


def request(model: Model, **changes: Any) -> SamplingRequest:
    values: dict[str, Any] = {"labels": (0, 1, 2, 0), "seeds": (7, 8, 9, 10), "solver": solver(), "guidance": 3.0, "batch": 4, **changes}
    return SamplingRequest(prompts=table(model), **values)


def latents(model: Model, asked: SamplingRequest) -> torch.Tensor:
    return torch.cat([batch.latents for batch in sample(model, asked)])


def roundings(model: Model) -> float:
    return evaluated(model.backbone, 4, 3.0)


@pytest.mark.parametrize("name", ["ddim", "dpm-solver-2", "dpm-solver++"])
def test_a_sample_does_not_depend_on_the_prompts_of_others(model: Model, name: str) -> None:
    whole = latents(model, request(model, solver=solver(name)))
    assert whole.shape == (4, 4, 8, 12)
    assert_close(latents(model, request(model, solver=solver(name), batch=1)), whole, roundings(model))
    assert not close(whole[0], latents(model, request(model, labels=(1, 1, 2, 0), solver=solver(name)))[0], roundings(model))


def test_a_prompt_may_have_a_null_of_its_own(model: Model) -> None:
    shared, own = request(model), replace(request(model), prompts=replace(table(model), null=(3, 0, 3)))
    before, after = latents(model, shared), latents(model, own)
    changed = [not close(a, b, roundings(model)) for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, False, False]


def test_plans_and_graphs_change_nothing_that_they_should_not(model: Model) -> None:
    plain = request(model)
    everywhere = replace(plain, plan=everything(model.backbone.sites, plain.solver.times))
    assert torch.equal(latents(model, plain), latents(model, everywhere))
    planned = replace(plain, plan=every(2, model.backbone.sites, plain.solver.times))
    graphs = GraphedNetwork(model.backbone, planned.plan, DEVICE, backend="eager")
    compiled = sample_latents(model, planned, range(4), graphs=graphs)
    assert_close(compiled, latents(model, planned), roundings(model))
    assert not close(latents(model, plain), compiled, roundings(model))


def test_keys_are_taken_once_and_do_not_cut_the_table_into_pieces(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    said = conditions(model.backbone, table(model), [0, 2, 0], DEVICE, guided=True)
    assert (dict(said.own), dict(said.null)) == ({0: 0, 2: 1}, {0: 2, 2: 2})
    times = solver(evaluations=6).times
    vectors = model.backbone.condition(torch.zeros(1, 1), said.columns).vectors
    monkeypatch.setattr(conditioning, "PIECE_BYTES", 6 * vectors.numel() * 4)  # room for all six, though none for the keys beside them
    pieces: list[int] = []
    condition = model.backbone.condition
    monkeypatch.setattr(model.backbone, "condition", lambda t, y: (pieces.append(len(t)), condition(t, y))[1])
    at = ConditioningTable(model.backbone, times, said, DEVICE).rows([0, 2, 0], guided=True)
    first, last = at(0), at(5)
    assert pieces == [1, 6]
    assert first.keys is last.keys and first.values is last.values and not torch.equal(first.vectors, last.vectors)
    assert [len(value) for value in tree_leaves(first)] == [6] * 4
    assert torch.equal(first.keys[0], first.keys[2]) and torch.equal(first.keys[3], first.keys[4])


def test_prompts_are_for_models_that_read_them(model: Model) -> None:
    with pytest.raises(RequestError, match="^tiny has prompts 0 to 2, not 3$"):
        request(model, labels=(0, 1, 2, 3)).check_fits(model)
    with pytest.raises(RequestError, match="^tiny reads prompts$"):
        replace(request(model), prompts=None).check_fits(model)
    deaf = replace(model, spec=replace(model.spec, text=None))
    with pytest.raises(RequestError, match="^tiny reads no prompts; ask it for classes$"):
        request(model).check_fits(deaf)


def test_pictures_come_in_the_size_that_is_asked_for(model: Model) -> None:
    spec = replace(model.spec, params=replace(PIXART, channels=3, micro_conditions=model.spec.params != PIXART), guided_channels=6)
    backbone: Any = drawn(PixArt(spec.params))  # pyright: ignore[reportArgumentType]
    [batch] = sample(replace(model, spec=spec, backbone=backbone), request(model, picture=(6, 6)))
    assert batch.latents.shape == (4, 3, 8, 12)
    assert batch.pictures.shape == (4, 3, 6, 6)
