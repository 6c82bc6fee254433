"""From a row of the matrix to something that can be run: the network with weights drawn anew, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from ditkit.cache.cost import trajectory_cost
from ditkit.config.schema import BenchConfig, CodecConfig, ForecastCache, RuntimeConfig, TextConfig
from ditkit.engine.batches import Draw
from ditkit.engine.conditions import PromptTable
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.recorded import RecordedRuns
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.results.progress import Progress
from ditkit.tasks.bench.contenders import plain_request
from ditkit.tasks.bench.gpu.matrix import BRANCHES, EVALUATIONS, FEWER, FORECAST, MODES, OURS, Case, Row
from ditkit.tasks.bench.peers import as_backbone
from ditkit.tasks.shared import build, costs
from ditkit.tasks.shared.calibrated import estimated
from ditkit.tasks.shared.prompts import prompt_table

ORDER = 2  # outputs that a forecast is made from
PROMPT = "a lighthouse on a cliff in the evening sun"


@dataclass(frozen=True)
class Subject:
    """A case's network, its prompts if it reads any, and what is asked of it."""

    model: Model
    prompts: PromptTable | None
    config: BenchConfig

    def request(self, evaluations: int) -> SamplingRequest:
        """A batch without a plan."""
        return plain_request(self.config, self.model, self.prompts, evaluations)

    @cached_property
    def graphs(self) -> GraphedNetwork:
        """The compiled network of all runs whose evaluations compute every branch or are forecast as a whole: it is compiled once."""
        return GraphedNetwork(self.model.backbone, None, self.model.device)


@dataclass(frozen=True)
class Candidate:
    """A row that can be run: `run()` makes its latents. `flops` are those of a run, `kept` their share of the whole one's."""

    row: Row
    run: Callable[[], Tensor]
    evaluations: int
    flops: int
    kept: float


def subject(case: Case, config: BenchConfig, progress: Progress) -> Subject:
    """The case's network on its device. What decides time is its sizes, so weights that nobody gave are drawn, none of them zero."""
    runtime = replace(config.runtime, precision=case.precision, compile=False, graphs=None)
    own = replace(
        config,
        model=case.model,
        codec=CodecConfig(path="random"),
        text=TextConfig(path="random"),
        runtime=runtime,
        count=case.batch,
        batch=case.batch,
    )
    model = build.model(own, progress) if config.weights else _drawn(build.blank_model(own), build.device(runtime))
    prompts = prompt_table([PROMPT], None, own.text, model, progress) if model.spec.text else None
    return Subject(model, prompts, own)


def candidate(row: Row, of: Subject) -> Candidate:
    """Raises `DitkitError` for what cannot be run here: another engine that is not installed, or that knows no such network."""
    build.compiled(RuntimeConfig(compile=MODES[row.mode].compiled), of.model.device)
    request = _request(row, of)
    evaluations, rows = len(request.solver.times), 2 if request.guidance != 1 else 1
    cost = trajectory_cost(costs.multiply_adds(of.model), evaluations, rows, request.plan)
    full = cost.full * EVALUATIONS // evaluations
    run = partial(_draw(row, of, request), range(len(request.seeds)))
    return Candidate(row, run, evaluations, 2 * cost.planned * len(request.seeds), cost.planned / full)


def _draw(row: Row, of: Subject, request: SamplingRequest) -> Draw:
    mode, model = MODES[row.mode], of.model
    if row.engine != OURS:
        peer = as_backbone(model.backbone, row.engine)
        if mode.compiled:
            peer.transformer = torch.compile(peer.transformer)
        return partial(sample_latents, replace(model, backbone=peer), request)
    graphs = None
    if mode.compiled:
        graphs = GraphedNetwork(model.backbone, request.plan, model.device) if row.way == BRANCHES else of.graphs
    if mode.recorded:
        return RecordedRuns(model, request, graphs=graphs)
    return partial(sample_latents, model, request, graphs=graphs)


def _request(row: Row, of: Subject) -> SamplingRequest:
    if row.way == FEWER:
        return of.request(round(row.budget * EVALUATIONS))
    plain = of.request(EVALUATIONS)
    if row.way not in (FORECAST, BRANCHES):
        return plain
    cache = ForecastCache(budget=row.budget, order=ORDER, of="evaluations" if row.way == FORECAST else "branches")
    return replace(plain, plan=estimated(cache, of.model, plain))


@torch.no_grad()
def _drawn(blank: Model, device: torch.device) -> Model:
    """The model with numbers that keep every layer's output near unit variance, drawn where they are to be.

    As papers initialise a network, its gates and outputs would be zero, and drawing them on a CPU would take longer than measuring.
    """
    network: Any = blank.backbone
    generator = torch.Generator(device).manual_seed(0)
    for module in network.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            scale = value.shape[1:].numel() ** -0.5 if value.ndim > 1 else 0.1
            numbers = torch.empty(value.shape, device=device, dtype=blank.dtype).normal_(0, scale, generator=generator)
            module.register_parameter(name, nn.Parameter(numbers, requires_grad=False))
        for name, value in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, torch.empty_like(value, device=device).normal_(generator=generator).to(blank.dtype))
    return replace(blank, backbone=network.eval(), device=device)
