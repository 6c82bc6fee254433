"""Sampling with a solver that chooses its own times, one sample at a time, so that none depends on the others of its batch."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count

import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import Dopri5
from ditkit.diffusion.solvers.runge_kutta import RungeKutta
from ditkit.engine.denoiser import OnStep, Watch, denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.execution import Execution


class _NotFinite(Exception):
    """Is raised through the integrator, which would look for a smaller step for ever."""


@torch.inference_mode()
def adaptive_latents(
    model: Model, request: SamplingRequest, indices: Sequence[int], on_step: OnStep | None = None, watch: Watch | None = None
) -> Tensor:
    """The latents (B, C, h, w) of these samples of the request; NaN are those whose velocity stopped being finite."""
    return torch.cat([_one(model, request, index, on_step, watch) for index in indices])


def _one(model: Model, request: SamplingRequest, index: int, on_step: OnStep | None, watch: Watch | None) -> Tensor:
    solver, labels = request.solver, [request.labels[index]]
    assert isinstance(solver, Dopri5)
    evaluations = count()

    def velocity(x: Tensor, t: float) -> Tensor:
        time, level, evaluation = solver.schedule.network_time(t), solver.schedule.level_at(t), next(evaluations)
        now = replace(request, solver=RungeKutta((time,), (level,), (), solver.name))
        seen = watch and partial(_numbered, watch, evaluation)
        found = denoiser(model, now, labels, on_step, watch=seen)(x, 0).to_velocity(x, level)
        if not bool(found.isfinite().all()):  # the integrator reads it anyway
            raise _NotFinite
        return found

    noise = SampleNoise((request.seeds[index],)).draw(1, model.spec.sample_shape, model.device)
    try:
        return solver.integrate(velocity, noise[0])
    except _NotFinite:
        return torch.full_like(noise[0], torch.nan)


def _numbered(watch: Watch, evaluation: int, _: int, execution: Execution) -> Execution:
    """Watched as the evaluation that it is of the whole run."""
    return watch(evaluation, execution)
