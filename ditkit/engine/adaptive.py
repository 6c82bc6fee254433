"""Sampling with a solver that chooses its own times, one sample at a time, so that none depends on the others of its batch."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import Dopri5
from ditkit.diffusion.solvers.runge_kutta import RungeKutta
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import OnStep, denoiser


@torch.inference_mode()
def adaptive_latents(model: Model, request: SamplingRequest, indices: Sequence[int], on_step: OnStep | None = None) -> Tensor:
    """The latents (B, C, h, w) of these samples of the request."""
    return torch.cat([_one(model, request, index, on_step) for index in indices])


def _one(model: Model, request: SamplingRequest, index: int, on_step: OnStep | None) -> Tensor:
    solver, labels = request.solver, [request.labels[index]]
    assert isinstance(solver, Dopri5)

    def velocity(x: Tensor, t: float) -> Tensor:
        time, level = solver.schedule.network_time(t), solver.schedule.level_at(t)
        now = replace(request, solver=RungeKutta((time,), (level,), (), solver.name))
        return denoiser(model, now, labels, on_step)(x, 0).to_velocity(x, level)

    noise = SampleNoise((request.seeds[index],)).draw(1, model.spec.sample_shape, model.device)
    return solver.integrate(velocity, noise[0])
