"""dit-emoji as a diffusers pipeline: its runs by a plan beside the engine's own, and beside cache-dit's."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import ditkit
from ditkit.cache.policies import spread_whole
from ditkit.cache.words import steps_mask
from ditkit.config.schema import DDIMConfig, ForecastCache
from ditkit.diffusion.noise import SampleNoise
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.metrics.bootstrap import mean_interval
from ditkit.metrics.fidelity import relative_errors
from ditkit.results.progress import NoProgress
from ditkit.tasks.bench.peers import DBCache, as_backbone, cached
from ditkit.tasks.shared import build
from ditkit.tasks.shared.calibrated import calibrated

diffusers: Any = import_module("diffusers")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:::diffusers")]
COUNT, FITTED, STEPS, BUDGET = 32, 16, 20, 0.5
SHRUNK = 20  # what a pipeline's picture is cut off at, in latents
NULL = 1000  # the class that the pipeline takes for none


@pytest.fixture(scope="module")
def model() -> Model:
    return ditkit.load("dit-emoji")


@pytest.fixture(scope="module")
def request_(model: Model) -> SamplingRequest:
    solver = build.solver(DDIMConfig(grid=f"ddim{STEPS}"), model.spec, STEPS)
    labels = tuple(111 * index // COUNT for index in range(COUNT))
    return SamplingRequest(labels, tuple(range(1000, 1000 + COUNT)), solver, guidance=2.0, batch=8)


@pytest.fixture
def pipe(model: Model, request_: SamplingRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same network, noise and time grid in diffusers' hands; its pictures are the latents, shrunk."""
    network = as_backbone(model.backbone).transformer
    for block in network.transformer_blocks:
        own = block.norm1.emb.class_embedder
        table = torch.nn.Embedding(NULL + 1, own.embedding_table.embedding_dim).requires_grad_(False)
        table.weight[:111], table.weight[NULL] = own.embedding_table.weight[:111], own.embedding_table.weight[111]
        own.embedding_table, own.num_classes = table, NULL
    codec = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)
    codec.register_to_config(scaling_factor=1.0)
    codec.decode = lambda latents: SimpleNamespace(sample=latents / SHRUNK)
    scheduler = diffusers.DDIMScheduler(beta_start=1e-4, beta_end=2e-2, clip_sample=False)
    noise = SampleNoise(request_.seeds).draw(1, model.spec.sample_shape, model.device)[0]
    drawn: Callable[..., Tensor] = lambda shape, generator, **_: noise[generator.initial_seed()].expand(shape).clone()  # noqa: E731
    monkeypatch.setattr("diffusers.pipelines.dit.pipeline_dit.randn_tensor", drawn)
    made = diffusers.DiTPipeline(network, codec, scheduler)
    made.set_progress_bar_config(disable=True)
    return made


def latents(
    pipe: Any, labels: Sequence[int], around: Callable[[], AbstractContextManager[Any]] = nullcontext, steps: int = STEPS
) -> Tensor:
    """Of every label's run, each in a context of its own: cache-dit's cache knows no end of a run by itself."""
    runs = []
    for seed, label in enumerate(labels):
        generator = torch.Generator().manual_seed(seed)
        with around():
            picture = pipe([label], 2.0, generator, steps, "np", False)[0]
        runs.append((2 * torch.as_tensor(picture).movedim(-1, 1) - 1) * SHRUNK)
    return torch.cat(runs)


@contextmanager
def in_cache_dits_hands(network: Any, cache: DBCache) -> Iterator[None]:
    library = cached(network, cache)
    try:
        yield
    finally:
        library.disable_cache(network)


def test_half_of_the_calls_end_as_near_as_the_engine_s_own_plan_and_nearer_than_cache_dit(
    pipe: Any, model: Model, request_: SamplingRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of docs/accelerate.md, which `-s` shows; its times count on an idle machine only."""
    monkeypatch.setenv("DITKIT_CACHE", str(tmp_path))
    plain, full = timed(lambda: latents(pipe, request_.labels))

    def error(name: str, run: Callable[[], Tensor]) -> float:
        made, seconds = timed(run)
        errors = relative_errors(made, plain)
        interval = mean_interval(errors)
        print(f"| {name} | {seconds / full:.2f} | {float(errors.mean()):.4f} [{interval.low:.4f}, {interval.high:.4f}] |")
        return float(errors.mean())

    plan = ditkit.calibrate(pipe, request_.labels[::2], STEPS, BUDGET, guidance_scale=2.0)
    with ditkit.accelerate(pipe, plan):
        own = error("ditkit", lambda: latents(pipe, request_.labels))
    error("half of the steps", lambda: latents(pipe, request_.labels, steps=round(BUDGET * STEPS)))
    by_engine = calibrated(ForecastCache(budget=BUDGET, order=2, samples=FITTED), model, request_, NoProgress(), "calibrating")
    ends = [torch.cat([sample_latents(model, replace(request_, plan=each), at) for at in request_.batches()]) for each in (None, by_engine)]
    assert own <= 1.05 * float(relative_errors(ends[1], ends[0]).mean())
    pytest.importorskip("cache_dit")
    even = spread_whole(BUDGET, (), plan.sites, plan.times)  # better for it than the steps that were chosen for other forecasts
    for order in (0, 1, 2):
        around = partial(in_cache_dits_hands, pipe.transformer, DBCache(taylor=order, steps=tuple(steps_mask(even))))
        name = f"cache-dit, every other call, {f'Taylor {order}' if order else 'held'}"
        assert own < error(name, partial(latents, pipe, request_.labels, around))


def timed(run: Callable[[], Tensor]) -> tuple[Tensor, float]:
    started = time.perf_counter()
    return run(), time.perf_counter() - started
