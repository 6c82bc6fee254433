"""What other tests play on a CPU, on a device: no waiting in the loop, runs that are recorded, the same bits again, batches that fit.

Where a test needs no device it runs on the CPU as well, so that what is asked of the device is asked for in working words.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS, ddim
from ditkit.engine.distributed import World, averaged, barrier, gather, sum_gradients
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.recorded import RecordedRuns
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.engine.trajectory import sample_latents
from ditkit.models.dit import DiTParams
from tests.closeness import assert_close, evaluated
from tests.engine.devices import CUDA, DEVICES, EVALUATIONS, FAMILIES, model_of, request_of
from tests.models.tiny import inputs

pytestmark = pytest.mark.filterwarnings("default")  # torch may have something to say of a device; what ditkit says is asked for below


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Convolutions in float32 are not rounded to TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever makes the host wait for the device raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _latents(model: Model, request: SamplingRequest, *, overlap: bool = False) -> torch.Tensor:
    return torch.cat([batch.latents for batch in sample(model, request, overlap=overlap)])


@pytest.mark.cuda
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_drawn_without_waiting_for_the_device(family: str, solver: str) -> None:
    model = model_of(family, CUDA)
    request = request_of(model, solver)
    first = sample_latents(model, request, (0, 1))  # loads what is loaded once
    with no_waiting():
        again = sample_latents(model, request, (0, 1))
    assert torch.equal(first, again)


@pytest.mark.cuda
@pytest.mark.parametrize("family", FAMILIES)
def test_a_recorded_run_is_replayed_without_waiting_and_with_the_bits_of_the_launched_one(family: str) -> None:
    model = model_of(family, CUDA)
    request = request_of(model)
    runs, places = RecordedRuns(model, request), []
    for number, batch in enumerate(request.batches()):
        launched = RecordedRuns(model, request)(batch)  # whose first it is
        if number == 2:
            with no_waiting():
                made = runs(batch)
        else:
            made = runs(batch)
        assert torch.equal(made, launched)
        places += [(tape.noise.data_ptr(), id(tape.replay)) for tape in runs._tapes.values() if tape]
    assert runs._tapes[2] is not None and len(places) == 3 and len(set(places)) == 1  # recorded once, and never moved


@pytest.mark.cuda
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["dit", "pixart"])
def test_compiled_graphs_of_every_row_are_recorded_and_say_what_the_eager_network_says(family: str, precision: torch.dtype) -> None:
    torch.compiler.reset()
    model = model_of(family, CUDA, precision)
    request = request_of(model)
    graphs = GraphedNetwork(model.backbone, request.plan, CUDA)
    runs, made = RecordedRuns(model, request, graphs=graphs), []
    for batch in request.batches()[:3]:
        made.append(runs(batch))
        assert torch.equal(made[-1], RecordedRuns(model, request, graphs=graphs)(batch))
        assert_close(made[-1], sample_latents(model, request, batch), _roundings(model))
    assert runs._tapes[2] is not None
    assert torch.equal(runs(request.batches()[0]), made[0])  # launched the first time, now replayed


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_batches_that_overlap_have_the_bits_of_those_that_do_not(family: str, device: torch.device) -> None:
    model = model_of(family, device)
    request = request_of(model)
    alone = _latents(model, request)
    assert torch.equal(_latents(model, request, overlap=True), alone)
    assert torch.equal(_latents(model, request), alone)  # and a rerun has them, too


@pytest.mark.cuda
def test_decoding_beside_the_next_batch_decodes_what_was_drawn() -> None:
    model = model_of("dit", CUDA)
    request = replace(request_of(model), labels=(1,) * 20, seeds=range(20), batch=2)
    for batch in sample(replace(model, recorded=True), request, overlap=True):
        assert torch.equal(batch.latents, batch.pictures)  # pixels are their own latents
        assert torch.equal(batch.latents, RecordedRuns(model, request)(batch.indices).cpu())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_half_precision_is_within_its_roundings_of_float32(family: str, half: torch.dtype, device: torch.device) -> None:
    network: Any = model_of(family, torch.device("cpu"), half).backbone
    exact: Any = model_of(family, device).backbone
    exact.load_state_dict({name: value.float() for name, value in network.state_dict().items()})
    rounded = network.to(device)
    x, t, y = inputs(model_of(family, torch.device("cpu")).backbone)
    y = type(y)(*(None if part is None else part.to(device) for part in y)) if family == "pixart" else y.to(device)
    x, t = x.to(device, half), t.to(device)
    asked = y if family != "pixart" else type(y)(*(None if part is None else part.to(half) for part in y))
    found = rounded(x, rounded.condition(t, asked))
    assert found.dtype == half
    assert_close(found.float(), exact(x.float(), exact.condition(t, y)), _of_half(rounded))


def _of_half(network: nn.Module) -> float:
    """In units of float32: `close` takes the coarser of two dtypes, and both are float32 there."""
    dtype = next(network.parameters()).dtype
    return evaluated(network) * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


def _roundings(model: Model) -> float:
    """Of a guided run, whose latents are float32 whatever the network's precision is."""
    return evaluated(model.backbone, EVALUATIONS, 2.0) * torch.finfo(model.dtype).eps / torch.finfo(torch.float32).eps


@pytest.mark.cuda
def test_a_batch_that_does_not_fit_is_halved_and_makes_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "dit", DiTParams(width=256, depth=4, heads=4, patch=2, input_size=32, classes=5))
    model = model_of("dit", CUDA)
    request = SamplingRequest((0,) * 128, range(128), ddim(linear(), 2), 2.0, batch=128)
    there = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    (whole,) = sample(model, request)
    needed = torch.cuda.max_memory_allocated() - there
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.75 * needed) / total, CUDA)
    try:
        (halved,) = sample(model, request)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, CUDA)
    assert whole.halved == 0 and 1 <= halved.halved <= 2
    assert_close(halved.latents, whole.latents, evaluated(model.backbone, 2, 2.0))


@pytest.mark.parametrize(
    ("backend", "device"), [("gloo", torch.device("cpu")), pytest.param("nccl", CUDA, marks=pytest.mark.cuda)], ids=["gloo", "nccl"]
)
def test_one_process_exchanges_with_itself(backend: str, device: torch.device, tmp_path: Path) -> None:
    """It is told that it is one of two, so that nothing is skipped; there is one, so a sum is its own part and a mean half of it."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        two = World(0, 2)
        layer = nn.Linear(3, 2).to(device)
        layer(torch.ones(4, 3, device=device)).sum().backward()
        assert layer.weight.grad is not None
        wanted = layer.weight.grad.clone()
        sum_gradients(layer.parameters(), two)
        assert torch.equal(layer.weight.grad, wanted)
        assert averaged({"loss": torch.tensor(3.0, device=device)}, two)["loss"].item() == 1.5
        assert gather({"rank": 0}, two)[0] == {"rank": 0}
        barrier(two)
    finally:
        dist.destroy_process_group()
