"""The weights of a plan's forecasts, fitted on runs of the model itself: one run of the calibration's samples, every evaluation once."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ditkit.cache.fit import Fit, FittedPlace, drafted
from ditkit.cache.forecast import Cell
from ditkit.cache.plan import CachePlan
from ditkit.diffusion.noise import SampleNoise
from ditkit.engine.denoiser import OnStep, denoiser
from ditkit.engine.finite import check_trajectories
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import trajectory
from ditkit.errors import RequestError
from ditkit.execution import Execution, Site

LEAST = 2  # samples: one would be fitted exactly and forecast nothing else


@dataclass(frozen=True)
class Fitted:
    """A plan with weights, and what each forecast leaves over of |F|^2: of branches by (evaluation, site), of whole evaluations.

    `ends` are where the samples of each batch ended, under the weights of the batches up to it.
    """

    plan: CachePlan
    branches: dict[tuple[int, int], float]
    whole: dict[int, float]
    ends: tuple[Tensor, ...]


@torch.inference_mode()
def fitted(model: Model, request: SamplingRequest, plan: CachePlan, order: int, on_step: OnStep | None = None) -> Fitted:
    """The plan with everything that it does not compute forecast from the last `order` outputs, fitted on the samples of the request.

    Every batch is sampled once, all evaluations computed, with the forecasts of the sums so far; the weights are those of all batches.
    Raises `RequestError` for fewer than two samples, and if numbers of them are not finite.
    """
    if len(request.seeds) < LEAST:
        raise RequestError(f"a plan is calibrated on at least {LEAST} samples, not {len(request.seeds)}; raise cache.samples")
    sites = [Fit(drafted(plan.column(column), order)) for column in range(len(plan.sites))]
    network = Fit(drafted(plan.network_column, order))
    ends: list[Tensor] = []
    for batch in request.batches():
        places = {site: FittedPlace(fit) for site, fit in zip(plan.sites, sites, strict=True)}
        ends.append(_run(model, request, batch, places, FittedPlace(network), on_step))
        check_trajectories(model, request, batch, ends[-1])
    whole = {at: cell for at, cell in enumerate(network.cells()) if cell}
    forecast: dict[tuple[int, int], Cell] = {}
    for column, fit in enumerate(sites):
        forecast |= {(at, column): cell for at, cell in enumerate(fit.cells()) if cell}
    left = {(at, column): value for column, fit in enumerate(sites) for at, value in fit.residuals().items()}
    return Fitted(replace(plan, forecast=forecast, whole=whole), left, network.residuals(), tuple(ends))


def _run(
    model: Model,
    request: SamplingRequest,
    batch: range,
    places: dict[Site, FittedPlace],
    network: FittedPlace,
    on_step: OnStep | None,
) -> Tensor:
    def at(evaluation: int) -> Execution:
        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            return places[site](evaluation, compute)

        return Execution(branch=branch)

    solver, labels = request.solver, [request.labels[index] for index in batch]
    seeds = tuple(request.seeds[index] for index in batch)
    noise = SampleNoise(seeds).draw(1 + solver.draws, model.spec.sample_shape, model.device)
    denoise = denoiser(model, request, labels, on_step, executions=at, whole=network)
    return deque(trajectory(denoise, solver, noise[0], solver.init(noise[1:] if solver.draws else None)), maxlen=1).pop()
