"""From a row of the matrix to something that can be run: the network with weights drawn anew, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from ditkit.cache.cost import trajectory_cost
from ditkit.config.schema import BenchConfig, CodecConfig, ForecastCache, RuntimeConfig, TextConfig
from ditkit.engine.batches import Draw
from ditkit.engine.conditions import PromptTable
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.recorded import RecordedRuns
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample_latents
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
    own = replace(
        config,
        model=case.model,
        weights=config.weights or "random",
        codec=CodecConfig(path="random"),
        text=TextConfig(path="random"),
        runtime=replace(config.runtime, precision=case.precision, compile=False, graphs=None),
        count=case.batch,
        batch=case.batch,
    )
    model = build.model(own, progress)
    if config.weights is None:
        _draw_weights(model)
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
def _draw_weights(model: Model) -> None:
    """Numbers that keep every layer's output near unit variance; as papers initialise them, gates and outputs would be zero."""
    generator = torch.Generator(model.device).manual_seed(0)
    for parameter in model.backbone.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.normal_(0, scale, generator=generator)
