"""The sampling loop: any backbone, any solver, guided or not, with or without a plan.

Nothing in the loop waits for the device: times, coefficients and plan rows are host numbers known before it starts, and
noise and conditioning are on the device by the first step. Where the device has a stream to spare, a finished batch is decoded and
brought home while the next one is sampled.

Shapes: B samples, R rows of the network's batch, C channels, h w latent.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ditkit.cache.execute import PlanRun
from ditkit.diffusion.guidance import combine
from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.solvers import Denoise, Solver, State
from ditkit.engine.batches import Batches, Draw
from ditkit.engine.completion import anchored, restored
from ditkit.engine.conditioning import ConditioningTable
from ditkit.engine.conditions import Conditions, conditions
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.transfers import sent
from ditkit.execution import PLAIN, Execution

OnStep = Callable[[int], None]
"""Called after every network evaluation with the number of samples it advanced."""

Whole = Callable[[int, Callable[[], Tensor]], Tensor]
"""What the network says at an evaluation, once guided: by calling it, or by forecasting it as a whole."""

Watch = Callable[[int, Execution], Execution]
"""How to run an evaluation so that somebody sees it, told how it is to be run."""

Network = Callable[[Tensor, Any, int], Tensor]
"""What a network says of x (R, C, h, w) under its conditioning at an evaluation, however it is run."""


def trajectory(denoise: Denoise, solver: Solver, x: Tensor, state: State) -> Iterator[Tensor]:
    """The state after every solver step, from noise `x`."""
    for k in range(solver.steps):
        x, state = solver.step(denoise, x, k, state)
        yield x


def denoiser(
    model: Model,
    request: SamplingRequest,
    labels: Sequence[int],
    on_step: OnStep | None = None,
    executions: Callable[[int], Execution] | None = None,
    graphs: GraphedNetwork | None = None,
    whole: Whole | None = None,
    watch: Watch | None = None,
    asked: Conditions | None = None,
) -> Denoise:
    """What the network says of a batch with these labels at each evaluation, guided and cached as the request asks.

    Guidance is one batched forward [cond; null]. With a plan the null half is carried even where guidance is off, because
    cached outputs must keep their rows. `executions` and `whole` say how to run each evaluation in place of the plan; `graphs` runs the
    plan in place of the eager network; `watch` sees what the eager one does; `asked` are the labels' conditions if they were made before.
    Where an evaluation is forecast as a whole nothing is launched but the forecast of what the solver reads.
    """
    solver = request.solver
    if executions is None and request.plan:
        run = PlanRun(request.plan)
        executions, whole = run.at, run.network if request.plan.whole else None
    network = graphs or _eager(model, _watched(executions, watch))
    covered = request.interval.covers(solver.times)
    scales = [request.guidance if inside else 1.0 for inside in covered]
    guided = request.guidance != 1
    doubled = [guided and (inside or executions is not None or graphs is not None) for inside in covered]
    asked = asked or conditions(model.backbone, request.prompts, labels, model.device, guided=guided)
    table = ConditioningTable(model.backbone, solver.times, asked, model.device)
    alone, both = table.rows(labels, guided=False), table.rows(labels, guided=guided)
    unread = model.reading.variance and whole is not None and not solver.draws  # nobody reads the variance: it need not be remembered
    reading = replace(model.reading, variance=False) if unread else model.reading

    def evaluate(x: Tensor, evaluation: int) -> Tensor:
        low = x.to(model.dtype)
        if not doubled[evaluation]:
            return network(low, alone(evaluation), evaluation)
        out = network(torch.cat([low, low]), both(evaluation), evaluation)
        return combine(out, scales[evaluation], model.spec.guided_channels)

    def read(out: Tensor, x: Tensor) -> Tensor:
        return (out[:, : out.shape[1] // 2] if unread else out).to(x.dtype).contiguous()

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        out = whole(evaluation, lambda: read(evaluate(x, evaluation), x)) if whole else evaluate(x, evaluation)
        if on_step:
            on_step(len(x))
        return reading.of(out)

    return denoise


def _watched(executions: Callable[[int], Execution] | None, watch: Watch | None) -> Callable[[int], Execution] | None:
    if watch is None:
        return executions
    return lambda evaluation: watch(evaluation, executions(evaluation) if executions else PLAIN)


def _eager(model: Model, executions: Callable[[int], Execution] | None) -> Network:
    return lambda x, conditioning, evaluation: model.backbone(x, conditioning, executions(evaluation) if executions else PLAIN)


@torch.inference_mode()
def sample_latents(
    model: Model,
    request: SamplingRequest,
    indices: Sequence[int],
    on_step: OnStep | None = None,
    graphs: GraphedNetwork | None = None,
) -> Tensor:
    """The latents (B, C, h, w) of these samples of the request, as one batch."""
    labels = [request.labels[index] for index in indices]
    return run_of(model, request, denoiser(model, request, labels, on_step, graphs=graphs), drawn(model, request, indices))()


@torch.inference_mode()
def states(
    model: Model,
    request: SamplingRequest,
    indices: Sequence[int],
    on_step: OnStep | None = None,
    graphs: GraphedNetwork | None = None,
    watch: Watch | None = None,
) -> Iterator[Tensor]:
    """These samples of the request, as one batch, after every step."""
    labels = [request.labels[index] for index in indices]
    denoise = denoiser(model, request, labels, on_step, graphs=graphs, watch=watch)
    yield from _steps(request, denoise, drawn(model, request, indices), _known(model, request))


def run_of(model: Model, request: SamplingRequest, denoise: Denoise, noise: Tensor) -> Callable[[], Tensor]:
    """What makes the latents (B, C, h, w) of a batch from its noise (1 + draws, B, ...), once everything it needs is on the device."""
    known = _known(model, request)

    def run() -> Tensor:
        last = deque(_steps(request, denoise, noise, known), maxlen=1).pop()
        return last if known is None else restored(last, known.expand(len(last), -1, -1))

    return run


def drawn(model: Model, request: SamplingRequest, indices: Sequence[int]) -> Tensor:
    """The noise (1 + draws, B, C, h, w) of these samples: what they start from, then what the solver adds."""
    seeds = tuple(request.seeds[index] for index in indices)
    return SampleNoise(seeds).draw(1 + request.solver.draws, model.spec.sample_shape, model.device)


def _known(model: Model, request: SamplingRequest) -> Tensor | None:
    return None if request.known is None else sent(request.known.float(), model.device)


def _steps(request: SamplingRequest, denoise: Denoise, noise: Tensor, known: Tensor | None) -> Iterator[Tensor]:
    solver, x = request.solver, noise[0]
    if known is not None:
        denoise = anchored(denoise, known, x, solver.levels)
    yield from trajectory(denoise, solver, x, solver.init(noise[1:] if solver.draws else None))


def sample(
    model: Model,
    request: SamplingRequest,
    batches: Sequence[Sequence[int]] | None = None,
    on_step: OnStep | None = None,
    draw: Draw | None = None,
    *,
    overlap: bool = False,
) -> Iterator[SampleBatch]:
    """Sample `batches` of the request (all of them by default), yielding each as it is finished.

    A batch that does not fit in memory is halved until it does. `draw` is a loop to make the latents with other than `sample_latents`.
    With `overlap` the next batch may be on the device before one is yielded, where that gains time; who measures batches wants none.
    """
    request.check_fits(model)
    made = Batches(model, request, draw or _draw(model, request, on_step), overlap=overlap)
    yield from made.through(request.batches() if batches is None else batches)


def _draw(model: Model, request: SamplingRequest, on_step: OnStep | None) -> Draw:
    """How the request's latents are made."""
    if not request.solver.times:
        from ditkit.engine.adaptive import adaptive_latents  # which uses `denoiser`, as does the next

        return partial(adaptive_latents, model, request, on_step=on_step)
    graphs = GraphedNetwork(model.backbone, request.plan, model.device) if model.compiled else None
    if model.recorded:
        from ditkit.engine.recorded import RecordedRuns

        return RecordedRuns(model, request, on_step, graphs)
    return partial(sample_latents, model, request, on_step=on_step, graphs=graphs)
