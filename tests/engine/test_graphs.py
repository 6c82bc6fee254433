"""Compiled graphs say what the eager network says, are few, and keep their buffers where they are."""

from collections.abc import Sequence

import pytest
import torch
from torch._dynamo.utils import counters

from ditkit.cache.execute import PlanRun
from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.models.spec import Defaults, ModelSpec
from tests.closeness import assert_close, close, evaluated
from tests.models.tiny import inputs, tiny

EVALUATIONS = 9
FAMILIES = ("dit", "uvit")


def _plan(model: torch.nn.Module) -> CachePlan:
    """Three distinct rows, each three times: everything, every second site, nothing."""
    sites: Sequence = model.sites  # pyright: ignore[reportAssignmentType]
    kinds = [(True,) * len(sites), tuple(index % 2 == 0 for index in range(len(sites))), (False,) * len(sites)]
    times = tuple(float(EVALUATIONS - evaluation) for evaluation in range(EVALUATIONS))
    return CachePlan(tuple(sites), times, tuple(kinds[evaluation % 3] for evaluation in range(EVALUATIONS)))


@torch.inference_mode()
def _assert_graphs_are_eager(family: str, backend: str) -> None:
    """Over two trajectories, the second of another batch size."""
    model = tiny(family)
    plan = _plan(model)
    graphs = GraphedNetwork(model, plan, torch.device("cpu"), backend)
    for batch in (3, 2):
        run = PlanRun(plan)
        for evaluation in range(EVALUATIONS):
            x, t, y = inputs(model, batch=batch, seed=evaluation)
            conditioning = model.condition(t, y)
            eager = model(x, conditioning, run.at(evaluation))
            assert_close(graphs(x, conditioning, evaluation), eager, evaluated(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_say_what_the_eager_network_says_and_there_is_one_for_each_distinct_row(family: str) -> None:
    torch.compiler.reset()
    counters.clear()
    _assert_graphs_are_eager(family, "aot_eager")
    assert counters["stats"]["unique_graphs"] == 2 * 3  # two batch sizes, three distinct rows; fullgraph: no graph breaks
    assert not counters["graph_break"]


@torch.inference_mode()
def test_graphs_forecast_and_weights_make_no_graphs_of_their_own() -> None:
    torch.compiler.reset()
    counters.clear()
    model = tiny("dit")
    sites = len(model.sites)
    rows = [(True,) * sites, (True,) * sites, *[(index % 3 > 0, *(True,) * (sites - 2), False) for index in range(EVALUATIONS - 2)]]
    cells = {(e, s): (1.5 + 0.1 * e, -0.5) for e, row in enumerate(rows) for s, computed in enumerate(row) if not computed}
    plan = CachePlan(model.sites, tuple(float(EVALUATIONS - e) for e in range(EVALUATIONS)), tuple(rows), forecast=cells)
    graphs, run = GraphedNetwork(model, plan, torch.device("cpu"), "aot_eager"), PlanRun(plan)
    for evaluation in range(EVALUATIONS):
        x, t, y = inputs(model, seed=evaluation)
        conditioning = model.condition(t, y)
        assert_close(graphs(x, conditioning, evaluation), model(x, conditioning, run.at(evaluation)), evaluated(model))
    assert counters["stats"]["unique_graphs"] <= len(set(graphs._rows)) < len(set(cells.values()))
    assert not counters["graph_break"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, inside its compiler
@pytest.mark.parametrize("family", FAMILIES)
def test_optimised_graphs_match_the_eager_network(family: str) -> None:
    torch.compiler.reset()
    _assert_graphs_are_eager(family, "inductor")


@torch.inference_mode()
def test_the_first_batch_comes_from_the_graph_as_all_others_do() -> None:
    torch.compiler.reset()
    model = tiny("dit")
    x, t, y = inputs(model)

    def marked(graph: torch.fx.GraphModule, _inputs: Sequence[torch.Tensor]):
        return lambda *values: tuple(output + 1 for output in graph(*values))

    graphs = GraphedNetwork(model, None, torch.device("cpu"), marked)
    conditioning = model.condition(t, y)
    first, second = (graphs(x, conditioning, 0) for _ in range(2))
    assert first.equal(second) and not close(first, model(x, conditioning), evaluated(model))


@torch.inference_mode()
def test_buffers_stay_where_they_are() -> None:
    model = tiny("dit")
    graphs = GraphedNetwork(model, _plan(model), torch.device("cpu"), "eager")
    places: list[list[int]] = []
    for evaluation in (*range(EVALUATIONS), *range(EVALUATIONS)):
        x, t, y = inputs(model, seed=evaluation)
        graphs(x, model.condition(t, y), evaluation)
        (buffers,) = graphs._buffers.values()
        places.append([buffers.x.data_ptr(), buffers.conditioning.data_ptr(), *(kept.data_ptr() for kept in buffers.kept.values())])
    assert all(place == places[0] for place in places)
    assert len(places[0]) == 2 + len(model.sites)


def test_a_compiled_model_samples_what_the_eager_one_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphedNetwork.__init__, "__defaults__", ("eager",))
    torch.compiler.reset()
    backbone = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0))
    solver = ddim(linear(), 6)
    rows = tuple((evaluation % 2 == 0,) * len(backbone.sites) for evaluation in range(6))
    plan = CachePlan(backbone.sites, tuple(solver.times), rows, forecast={(3, 0): (1.5, -0.5)}, whole={5: (1.4, -0.4)})
    request = SamplingRequest((0, 1, 2), (7, 8, 9), solver, 2.0, plan=plan, batch=2)
    models = [Model(spec, backbone, load_codec("pixels"), torch.device("cpu"), compiled=how) for how in (False, True)]
    eager, compiled = (torch.cat([batch.latents for batch in sample(model, request)]) for model in models)
    assert_close(compiled, eager, evaluated(backbone, 6, 2.0))
