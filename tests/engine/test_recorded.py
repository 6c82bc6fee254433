"""A run that is recorded and replayed makes the bits of the same run launched, whatever its plan, its seeds and its labels.

What a CUDA graph does is played on the CPU: every operator of one run is recorded with the tensors it was given, and a replay does the same
operators again with the same tensors, knowing nothing but what the buffers then hold.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.guidance import GuidanceInterval
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.conditions import PromptTable
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.recorded import RecordedRuns
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample, sample_latents
from ditkit.models.spec import Defaults, ModelSpec
from tests.models.tiny import prompts, tiny

CPU = torch.device("cpu")
EVALUATIONS = 6


class Played(TorchDispatchMode):
    """Records every operator that is dispatched, with the very tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        """Everything again; what an operator returned is overwritten with what it returns now."""
        for func, args, kwargs, out in self.calls:
            now = func(*args, **kwargs)
            for old, new in zip(tree_flatten(out)[0], tree_flatten(now)[0], strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def played(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """As `cuda_graph`."""
    with Played() as record:
        out = run()

    def replay() -> Tensor:
        record.replay()
        return out.clone()

    return replay


def _model(family: str) -> Model:
    network = tiny(family).requires_grad_(False)
    points, text = 50 if family == "dit3d" else 0, "t5" if family == "pixart" else None
    spec = ModelSpec("tiny", family, network.params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0), points=points, text=text)
    return Model(spec, network, load_codec("pixels"), CPU)


def _request(model: Model, solver: str, **changes: Any) -> SamplingRequest:
    """Seven samples in batches of two, guided, under a plan with rows of every kind: computed, in part, held, forecast, whole."""
    made = SOLVERS[solver](linear(), EVALUATIONS, **({"variance": "fixedsmall"} if solver == "ddpm" else {}))
    sites = model.backbone.sites
    kinds = [[True] * len(sites), [True] * len(sites), [column % 2 == 0 for column in range(len(sites))], [False] * len(sites)]
    rows = tuple(tuple(kinds[min(evaluation, 3)]) for evaluation in range(EVALUATIONS))
    plan = CachePlan(sites, tuple(made.times), rows, forecast={(2, 1): (1.4, -0.4), (3, 0): (1.5, -0.6)}, whole={4: (1.0,), 5: (1.7, -0.7)})
    params: Any = model.spec.params
    table = PromptTable(("a", "b", "c"), prompts(params, 4), (3, 3, 3)) if model.spec.text else None
    values = {"guidance": 2.0, "interval": GuidanceInterval(high=700.0), "plan": plan, "batch": 2, "prompts": table, **changes}
    return SamplingRequest((0, 1, 2, 2, 1, 0, 1), range(7), made, **values)


@pytest.mark.parametrize(
    ("family", "solver"), [("dit", name) for name in SOLVERS] + [(name, "ddim") for name in ("uvit", "pixart", "dit3d")]
)
def test_a_replayed_run_makes_the_bits_of_the_launched_one(family: str, solver: str) -> None:
    model = _model(family)
    request = _request(model, solver)
    runs = RecordedRuns(model, request, record=played)
    for batch in request.batches():
        assert torch.equal(runs(batch), sample_latents(model, request, batch))
    assert set(runs._tapes) == {2}  # the last batch is of one, and the first of its size


def test_completing_a_cloud_can_be_recorded() -> None:
    model = _model("dit3d")
    request = _request(model, "ddim", known=torch.linspace(-1, 1, 60).reshape(3, 20))
    runs = RecordedRuns(model, request, record=played)
    for batch in request.batches()[:3]:
        assert torch.equal(runs(batch), sample_latents(model, request, batch))


def test_a_graphed_network_can_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # which does not run under a mode that records
    model = _model("dit")
    request = _request(model, "ddim")
    graphs = GraphedNetwork(model.backbone, request.plan, CPU)
    runs = RecordedRuns(model, request, graphs=graphs, record=played)
    for batch in request.batches()[:3]:
        assert torch.equal(runs(batch), sample_latents(model, request, batch, graphs=graphs))


def test_replays_are_counted_as_runs_are() -> None:
    model, counted = _model("dit"), []
    request = _request(model, "ddim")
    runs = RecordedRuns(model, request, counted.append, record=played)
    for batch in request.batches():
        runs(batch)
    assert counted == [2] * (3 * EVALUATIONS) + [1] * EVALUATIONS


def test_buffers_stay_where_they_are() -> None:
    model = _model("dit")
    request = _request(model, "ddim")
    runs = RecordedRuns(model, request, record=played)
    places = []
    for batch in request.batches()[:3]:
        runs(batch)
        places += [(tape.noise.data_ptr(), tape.columns.data_ptr()) for tape in runs._tapes.values() if tape]
    assert len(places) == 2 and len(set(places)) == 1


def test_what_cannot_be_recorded_is_launched_and_said_once() -> None:
    model = _model("dit")
    request = _request(model, "ddim")

    def full(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    runs = RecordedRuns(model, request, record=full)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = [runs(batch) for batch in request.batches()]
    assert [str(each.message) for each in said] == [
        "batches of 2 are not recorded as a CUDA graph, and launched one by one: CUDA out of memory."
    ]
    for latents, batch in zip(made, request.batches(), strict=True):
        assert torch.equal(latents, sample_latents(model, request, batch))


def test_a_recorded_model_samples_what_the_launched_one_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordedRuns.__init__, "__defaults__", (None, None, played))
    launched = _model("dit")
    request = _request(launched, "dpm-solver++")
    recorded = Model(launched.spec, launched.backbone, launched.codec, CPU, recorded=True)
    first, second = (torch.cat([batch.latents for batch in sample(model, request)]) for model in (launched, recorded))
    assert torch.equal(first, second)
