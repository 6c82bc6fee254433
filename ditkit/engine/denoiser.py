"""What a network says of a batch at each evaluation: any backbone, guided or not, with or without a plan.

Shapes: B samples, R rows of the network's batch, C channels, h w latent.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ditkit.cache.execute import PlanRun
from ditkit.diffusion.guidance import combine
from ditkit.diffusion.prediction import Kind, Prediction
from ditkit.diffusion.solvers import Denoise, Solver
from ditkit.engine.conditioning import ConditioningTable
from ditkit.engine.conditions import Conditions, conditions
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.execution import PLAIN, Execution

OnStep = Callable[[int], None]
"""Called after every network evaluation with the number of samples it advanced."""

Whole = Callable[[int, Callable[[], Tensor]], Tensor]
"""What the network says at an evaluation, once guided: by calling it, or by forecasting it as a whole."""

Watch = Callable[[int, Execution], Execution]
"""How to run an evaluation so that somebody sees it, told how it is to be run."""

Network = Callable[[Tensor, Any, int], Tensor]
"""What a network says of x (R, C, h, w) under its conditioning at an evaluation, however it is run."""


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
    kind = forecast_kind(model, solver) if whole else reading.kind

    def evaluate(x: Tensor, evaluation: int) -> Tensor:
        low = x.to(model.dtype)
        if not doubled[evaluation]:
            return network(low, alone(evaluation), evaluation)
        out = network(torch.cat([low, low]), both(evaluation), evaluation)
        return combine(out, scales[evaluation], model.spec.guided_channels)

    def read(out: Tensor, x: Tensor) -> Tensor:
        return (out[:, : out.shape[1] // 2] if unread else out).to(x.dtype).contiguous()

    def said(x: Tensor, evaluation: int) -> Tensor:
        out = read(evaluate(x, evaluation), x)
        return out if kind == reading.kind else reading.as_v(out, x, solver.levels[evaluation])

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        out = whole(evaluation, lambda: said(x, evaluation)) if whole else evaluate(x, evaluation)
        if on_step:
            on_step(len(x))
        return replace(reading, kind=kind).of(out)

    return denoise


def forecast_kind(model: Model, solver: Solver) -> Kind:
    """What is remembered of whole evaluations, and forecast: what the network says, or v where the solver adds noise.

    Fresh noise is all in the noise that a network finds in a sample, and where much noise is left hardly in the clean sample. Of its part
    in v as much goes into either as the level says, which is about what a network would make of it.
    """
    return "v" if solver.draws and solver.levels[0].alpha else model.reading.kind


def _watched(executions: Callable[[int], Execution] | None, watch: Watch | None) -> Callable[[int], Execution] | None:
    if watch is None:
        return executions
    return lambda evaluation: watch(evaluation, executions(evaluation) if executions else PLAIN)


def _eager(model: Model, executions: Callable[[int], Execution] | None) -> Network:
    return lambda x, conditioning, evaluation: model.backbone(x, conditioning, executions(evaluation) if executions else PLAIN)
