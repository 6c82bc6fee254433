"""Runs whose numbers stop being finite: found without looking while they run, and named."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ditkit.cache.policies import every
from ditkit.codecs.codec import Codec
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear, named
from ditkit.diffusion.solvers import SOLVERS
from ditkit.diffusion.solvers.adaptive import dopri5
from ditkit.engine.finite import Fault, checked, first_fault, said
from ditkit.engine.model import Model
from ditkit.engine.race import Contender, race
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.engine.trajectory import sample_latents
from ditkit.errors import RequestError
from ditkit.execution import Site
from ditkit.models.registry import build, find
from tests.models.tiny import DIT, UVIT, drawn

EVALUATIONS = 4
FAMILIES = {"dit": DIT, "uvit": UVIT}


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    """A tiny network in float16."""
    spec = replace(find("dit-emoji"), name="tiny", family=request.param, params=FAMILIES[request.param], codec="pixels", guided_channels=4)
    network = drawn(build(spec)).requires_grad_(False).half()
    return Model(spec, network, load_codec("pixels"), torch.device("cpu"), torch.float16)


def request(**changes: Any) -> SamplingRequest:
    values = {"labels": (0, 1, 2), "seeds": (5, 6, 7), "solver": SOLVERS["ddim"](linear(), EVALUATIONS), "guidance": 2.0, "batch": 3}
    return SamplingRequest(**{**values, **changes})


def blocks(model: Model) -> list[Any]:
    network: Any = model.backbone
    return list(network._blocks())


def overflowing(part: nn.Module, at: int, runs: int = EVALUATIONS) -> None:
    """The part's output is too large for float16 from the evaluation `at` on, in every run."""
    calls = 0

    def grown(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return output * 1e6 if (calls - 1) % runs >= at else output

    part.register_forward_hook(grown)


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("branch", ["attn", "mlp"])
def test_the_first_evaluation_and_block_are_named(model: Model, at: int, branch: str) -> None:
    overflowing(getattr(blocks(model)[1], branch), at)
    (batch,) = sample(model, request())
    assert batch.spoiled == (0, 1, 2)
    fault = first_fault(model, request(), batch)
    assert fault == Fault(at, Site(1, branch))
    assert str(fault) == f"in evaluation {at + 1}, in block 1 ({branch})"


def test_what_overflows_after_the_blocks_is_named_too(model: Model) -> None:
    network: Any = model.backbone
    overflowing(network.final_layer.linear if model.spec.family == "dit" else network.decoder_pred, 1)
    (batch,) = sample(model, request())
    assert str(first_fault(model, request(), batch)) == "in evaluation 2, after the last block"


def test_a_solver_that_chooses_its_times_ends_there_and_tells_as_well(model: Model) -> None:
    flowing = replace(model, spec=replace(model.spec, prediction="velocity"))
    asked = request(labels=(0,), seeds=(5,), solver=dopri5(named("linear-flow"), 60), guidance=1.0)
    overflowing(blocks(model)[1].mlp, 2, runs=3)  # at the third evaluation it looks no further
    (batch,) = sample(flowing, asked)
    assert batch.spoiled == (0,) and first_fault(flowing, asked, batch) == Fault(2, Site(1, "mlp"))


def test_under_a_plan_the_block_that_computed_it_is_named(model: Model) -> None:
    plan = every(2, model.backbone.sites, request().solver.times)
    overflowing(blocks(model)[0].mlp, 1, runs=2)  # in the second of the two evaluations that compute
    (batch,) = sample(model, request(plan=plan))
    assert first_fault(model, request(plan=plan), batch) == Fault(2, Site(0, "mlp"))


def test_only_the_samples_that_are_not_finite_are_spoiled(model: Model) -> None:
    network: Any = model.backbone
    table = network.y_embedder.embedding_table if model.spec.family == "dit" else network.label_emb
    table.weight[1] = torch.inf
    batches = list(sample(model, request(batch=2)))
    assert [batch.spoiled for batch in batches] == [(1,), ()]
    with pytest.warns(UserWarning, match=r"^the numbers of 1 of 3 samples stopped being finite in float16, first in evaluation 1, "):
        assert len(list(checked(model, request(batch=2), batches))) == 2


class Loud(nn.Module):
    """A decoder that is too loud."""

    def decode(self, latents: Tensor) -> Tensor:
        return latents[:, :3] / 0


def test_a_decoder_that_overflows_is_named(model: Model) -> None:
    loud = replace(model, codec=Codec("loud", Loud(), 1, 4, 1.0))  # pyright: ignore[reportArgumentType]
    (batch,) = sample(loud, request())
    assert batch.latents.isfinite().all() and batch.spoiled == (0, 1, 2)
    with pytest.raises(RequestError) as raised:
        list(checked(loud, request(), [batch]))
    where = "first in the decoder of the latents: use runtime.precision=bfloat16 or runtime.precision=float32"
    assert str(raised.value) == f"the numbers of 3 of 3 samples stopped being finite in float16, {where}"


def test_what_is_advised_is_a_precision_that_holds_more() -> None:
    fault = Fault(0, Site(3, "mlp"))
    assert said(fault, torch.bfloat16, 4.0).endswith("in block 3 (mlp): use runtime.precision=float32")
    assert said(fault, torch.float32, 4.0).endswith("their weights, or a guidance of 4, are too large for it")


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: reading a number out of a tensor."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "_local_scalar_dense" in str(function) or "is_nonzero" in str(function)
        return function(*args, **(kwargs or {}))


def test_nothing_in_the_loop_waits_to_find_out(model: Model) -> None:
    overflowing(blocks(model)[0].attn, 0)
    with Waits() as waits:
        latents = sample_latents(model, request(), (0, 1, 2))
    assert waits.count == 0 and latents.isnan().any()
    with Waits() as waits:
        bool(latents.isnan().any())
    assert waits.count  # it does see one


def test_a_comparison_with_numbers_that_are_not_finite_is_refused(model: Model) -> None:
    overflowing(blocks(model)[0].attn, 0)
    with pytest.raises(
        RequestError, match=r"^the numbers of 3 samples of 'uncached' stopped being finite in float16, first in evaluation 1, in block 0"
    ):
        race([Contender("uncached", "uncached", model, request())])
