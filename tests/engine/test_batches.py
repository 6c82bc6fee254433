"""Batches overlap where the device gains by it: begun before the one before is home, yielded in order, and with the same bits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine import batches, transfers
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.engine.trajectory import sample_latents
from ditkit.engine.transfers import Finished, Side, sent
from ditkit.models.spec import Defaults, ModelSpec
from tests.models.tiny import tiny

CPU = torch.device("cpu")


class Busy(Side):
    """A device that is one batch ahead, and says what it does; decoding is put off to the last moment."""

    def __init__(self, device: torch.device, said: list[str]) -> None:
        super().__init__(device)
        self.said = said
        self.begun = 0

    @property
    def ahead(self) -> int:
        return 1

    def start(self, latents: Tensor, decode: Callable[[Tensor], Tensor]) -> Callable[[], Finished]:
        self.begun += 1
        number = self.begun
        self.said.append(f"begin {number}")

        def wait() -> Finished:
            self.said.append(f"home {number}")
            return super(Busy, self).start(latents, decode)()

        return wait


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(batches, "Side", lambda device: Busy(device, said))
    return said


def _model() -> Model:
    network = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", network.params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0))
    return Model(spec, network, load_codec("pixels"), CPU)


def _request(count: int = 6) -> SamplingRequest:
    return SamplingRequest((0,) * count, range(count), ddim(linear(), 2), 2.0, batch=2)


def test_the_next_batch_is_begun_before_one_is_home_and_they_come_in_order(said: list[str]) -> None:
    model, request = _model(), _request()
    made = []
    for batch in sample(model, request, overlap=True):
        said.append(f"yield {batch.indices[0] // 2 + 1}")
        made.append(batch)
    assert said == ["begin 1", "begin 2", "home 1", "yield 1", "begin 3", "home 2", "yield 2", "home 3", "yield 3"]
    assert [batch.indices for batch in made] == [(0, 1), (2, 3), (4, 5)]
    for batch in made:
        assert torch.equal(batch.latents, sample_latents(model, request, batch.indices))


def test_who_does_not_ask_for_overlap_gets_one_batch_after_the_other(said: list[str]) -> None:
    for batch in sample(_model(), _request()):
        said.append(f"yield {batch.indices[0] // 2 + 1}")
    assert said == [f"{what} {number}" for number in (1, 2, 3) for what in ("begin", "home", "yield")]


def test_a_batch_that_does_not_fit_beside_the_one_before_waits_for_it_and_is_not_halved(said: list[str]) -> None:
    model, request = _model(), _request()
    home: list[SampleBatch] = []

    def draw(indices: Sequence[int]) -> Tensor:
        if said.count("begin 1") > said.count("home 1"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sample_latents(model, request, indices)

    for batch in sample(model, replace(request), draw=draw, overlap=True):
        home.append(batch)
    assert said[:3] == ["begin 1", "home 1", "begin 2"]
    assert [(batch.indices, batch.halved) for batch in home] == [((0, 1), 0), ((2, 3), 0), ((4, 5), 0)]


def test_the_seconds_of_batches_add_up_to_those_that_passed(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that overlap share them: each counts from when the one before was home."""
    now = iter([0.0, 1.0, 10.0, 11.0, 20.0, 30.0])  # begin 1, begin 2, home 1, begin 3, home 2, home 3
    monkeypatch.setattr(batches.time, "perf_counter", lambda: next(now))
    assert [batch.seconds for batch in sample(_model(), _request(), overlap=True)] == [10.0, 10.0, 10.0]


def test_on_a_cpu_a_batch_is_home_at_once_and_nothing_is_pinned() -> None:
    side, latents = Side(CPU), torch.randn(2, 4)
    assert side.ahead == 0
    home = side.start(latents, lambda values: values.double() + 1)()
    assert home.latents is latents and torch.equal(home.pictures, latents + 1) and home.pictures.dtype == torch.float32
    assert sent(latents, CPU) is latents


class Stream:
    """In place of a device's stream: says what is asked of it."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said

    def wait_stream(self, other: "Stream") -> None:
        self.said.append(f"{self.name} waits for {other.name}")

    def record_event(self) -> "Stream":
        self.said.append(f"{self.name} is marked")
        return self

    def synchronize(self) -> None:
        self.said.append(f"the host waits for {self.name}")


def test_on_a_gpu_the_side_waits_for_what_was_drawn_and_only_who_asks_waits_for_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    side, main = Stream("side", said), Stream("main", said)

    @contextmanager
    def entered(stream: Stream) -> Iterator[None]:
        said.append(f"in {stream.name}")
        yield
        said.append(f"out of {stream.name}")

    def fetched(value: Tensor) -> Tensor:
        said.append(f"fetch {value.dtype}")
        return value.clone()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda value, stream: said.append(f"memory is {stream.name}'s, too"))
    monkeypatch.setattr(transfers, "_fetched", fetched)
    there = Side(torch.device("cuda"))
    wait = there.start(torch.ones(2), lambda latents: latents.bfloat16() * 2)
    begun = ["side waits for main", "in side", "fetch torch.float32", "fetch torch.float32", "side is marked", "out of side"]
    assert there.ahead == 1 and said == [*begun, "memory is side's, too"]
    home = wait()
    assert said[-1] == "the host waits for side" and home.pictures.tolist() == [2, 2] and home.latents.tolist() == [1, 1]
