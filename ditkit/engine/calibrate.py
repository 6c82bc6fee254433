"""How much every branch's output changes from evaluation to evaluation, measured on a model's own trajectories.

Shapes: E evaluations, A how far back, S sites.
"""

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.engine.denoiser import OnStep, denoiser
from ditkit.engine.finite import check_trajectories
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import trajectory
from ditkit.execution import Execution, Site


@torch.inference_mode()
def output_changes(model: Model, request: SamplingRequest, longest: int, on_step: OnStep | None = None) -> Tensor:
    """The relative change (E, A, S) of each branch's output since 1 ... `longest` evaluations before.

    The change is |now - then| / |now| over all samples of the request, their tokens and channels, whatever its batches; infinite where
    there is no evaluation that far back. Raises `RequestError` if numbers of a sample are not finite.
    """
    solver, sites = request.solver, model.backbone.sites
    columns = {site: column for column, site in enumerate(sites)}
    changed = torch.zeros(len(solver.times), longest, len(sites), dtype=torch.float64, device=model.device)  # squares
    whole = torch.zeros(len(solver.times), 1, len(sites), dtype=torch.float64, device=model.device)
    for batch in request.batches():
        before: deque[dict[Site, Tensor]] = deque(maxlen=longest)

        def at(evaluation: int, before: deque[dict[Site, Tensor]] = before) -> Execution:
            now: dict[Site, Tensor] = {}
            then = list(before)
            before.appendleft(now)

            def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
                output = now[site] = compute()
                whole[evaluation, 0, columns[site]] += _square(output)
                for back, outputs in enumerate(then):
                    changed[evaluation, back, columns[site]] += _square(output - outputs[site])
                return output

            return Execution(branch=branch)

        labels = [request.labels[index] for index in batch]
        noise = SampleNoise(tuple(request.seeds[index] for index in batch)).draw(1 + solver.draws, model.spec.sample_shape, model.device)
        state = solver.init(noise[1:] if solver.draws else None)
        denoise = denoiser(model, request, labels, on_step, executions=at)
        check_trajectories(model, request, batch, deque(trajectory(denoise, solver, noise[0], state), maxlen=1).pop())
    changes = (changed / whole.clamp_min(1e-24)).sqrt().cpu()
    for evaluation in range(len(solver.times)):
        changes[evaluation, evaluation:] = float("inf")
    return changes


def _square(output: Tensor) -> Tensor:
    return output.float().norm().double().square()
