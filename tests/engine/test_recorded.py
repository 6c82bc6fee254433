"""A run that is recorded and replayed makes the bits of the same run launched, whatever its plan, its seeds and its labels.

What a CUDA graph does is played on the CPU: every operator of one run is recorded with the tensors it was given, and a replay does the same
operators again with the same tensors, knowing nothing but what the buffers then hold.
"""

import gc
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.recorded import RecordedRuns, Run, cuda_graph
from ditkit.engine.sampler import sample
from ditkit.engine.trajectory import sample_latents
from tests.closeness import assert_close, evaluated
from tests.engine.devices import EVALUATIONS, model_of, request_of

CPU = torch.device("cpu")


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


class Graph(Played):
    """In place of torch's CUDA graph."""

    @contextmanager
    def capture(self, stream: torch.device, capture_error_mode: str) -> Iterator[None]:
        assert (stream, capture_error_mode) == (CPU, "thread_local")
        with self:
            yield


def played(run: Run, device: torch.device) -> Run:
    """As `cuda_graph`."""
    with Played() as record:
        out = run()

    def replay() -> Tensor:
        record.replay()
        return out.clone()

    return replay


@pytest.mark.parametrize(
    ("family", "solver"), [("dit", name) for name in SOLVERS] + [(name, "ddim") for name in ("uvit", "pixart", "dit3d")]
)
def test_a_replayed_run_makes_the_bits_of_the_launched_one(family: str, solver: str) -> None:
    model = model_of(family, CPU)
    request = request_of(model, solver)
    runs = RecordedRuns(model, request, record=played)
    for batch in request.batches():
        made = runs(batch)
        assert torch.equal(made, RecordedRuns(model, request)(batch))  # whose first it is
        assert_close(made, sample_latents(model, request, batch), evaluated(model.backbone, EVALUATIONS, 2.0))
    assert set(runs._tapes) == {2}  # the last batch is of one, and the first of its size


def test_completing_a_cloud_can_be_recorded() -> None:
    model = model_of("dit3d", CPU)
    request = request_of(model, known=torch.linspace(-1, 1, 60).reshape(3, 20))
    runs = RecordedRuns(model, request, record=played)
    for batch in request.batches()[:3]:
        made = runs(batch)
        assert torch.equal(made, RecordedRuns(model, request)(batch))
        assert request.known is not None and torch.equal(made[..., :20], request.known.expand(2, -1, -1))


def test_a_graphed_network_can_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # which does not run under a mode that records
    model = model_of("dit", CPU)
    request = request_of(model)
    graphs = GraphedNetwork(model.backbone, request.plan, CPU)
    runs = RecordedRuns(model, request, graphs=graphs, record=played)
    for batch in request.batches()[:3]:
        assert torch.equal(runs(batch), RecordedRuns(model, request, graphs=graphs)(batch))


def test_replays_are_counted_as_runs_are() -> None:
    model, counted = model_of("dit", CPU), []
    request = request_of(model)
    runs = RecordedRuns(model, request, counted.append, record=played)
    for batch in request.batches():
        runs(batch)
    assert counted == [2] * (3 * EVALUATIONS) + [1] * EVALUATIONS


def test_buffers_stay_where_they_are() -> None:
    model = model_of("dit", CPU)
    request = request_of(model)
    runs = RecordedRuns(model, request, record=played)
    places = []
    for batch in request.batches()[:3]:
        runs(batch)
        places += [(tape.noise.data_ptr(), tape.columns.data_ptr()) for tape in runs._tapes.values() if tape]
    assert len(places) == 2 and len(set(places)) == 1


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


@pytest.mark.parametrize("family", ["dit", "pixart", "dit3d"])
def test_all_that_a_replay_reads_stays_as_long_as_the_tape(family: str) -> None:
    """A CUDA graph knows addresses alone: whatever was made before it and is read by it must not be freed."""
    model = model_of(family, CPU)
    request = request_of(model, known=torch.zeros(3, 20)) if family == "dit3d" else request_of(model)
    read: list[StorageWeakRef] = []

    def watched(run: Run, device: torch.device) -> Run:
        with Played() as record:
            out = run()
        made: set[int] = set()
        for _, args, kwargs, returned in record.calls:
            given, new = (_storages(tree) for tree in ((args, kwargs), returned))
            read.extend(StorageWeakRef(storage) for storage in given if storage.data_ptr() not in made)
            made |= {storage.data_ptr() for storage in new} - {storage.data_ptr() for storage in given}
        return out.clone

    runs = RecordedRuns(model, request, record=watched)
    for batch in request.batches()[:2]:
        runs(batch)
    gc.collect()
    assert len(read) > len(list(model.backbone.parameters())) and not any(each.expired() for each in read)


def test_what_cannot_be_recorded_is_launched_and_said_once() -> None:
    model = model_of("dit", CPU)
    request = request_of(model)

    def full(run: Run, device: torch.device) -> Run:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    runs = RecordedRuns(model, request, record=full)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = [runs(batch) for batch in request.batches()]
    assert [str(each.message) for each in said] == ["no CUDA graph is recorded: batches of 2 are launched one by one (CUDA out of memory.)"]
    for latents, batch in zip(made, request.batches(), strict=True):
        assert torch.equal(latents, RecordedRuns(model, request)(batch))


def test_a_recorded_model_samples_what_the_launched_one_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordedRuns.__init__, "__defaults__", (None, None, played))
    launched = model_of("dit", CPU)
    request = request_of(launched, "dpm-solver++")
    first, second = (
        torch.cat([batch.latents for batch in sample(model, request)]) for model in (launched, replace(launched, recorded=True))
    )
    assert_close(second, first, evaluated(launched.backbone, EVALUATIONS, 2.0))


def test_a_cuda_graph_is_recorded_once_and_gives_a_copy_at_each_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch's graph played: where there is no device this is as near as one comes."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Graph.capture)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: device)
    x, ran = torch.ones(3), []
    replay = cuda_graph(lambda: (ran.append(1), (x + 1) * 2)[1], CPU)
    first = replay()
    x.fill_(4)
    second = replay()
    assert ran == [1] and first.tolist() == [4] * 3 and second.tolist() == [10] * 3 and first.data_ptr() != second.data_ptr()
