"""The sampling loop: one batch from noise to latents, with any solver.

Nothing in the loop waits for the device: times, coefficients and plan rows are host numbers known before it starts, and
noise and conditioning are on the device by the first step.

Shapes: B samples, C channels, h w latent.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ditkit.diffusion.noise import SampleNoise
from ditkit.diffusion.solvers import Denoise, Solver, State
from ditkit.engine.completion import anchored, restored
from ditkit.engine.denoiser import OnStep, Watch, denoiser
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.transfers import sent


def trajectory(denoise: Denoise, solver: Solver, x: Tensor, state: State) -> Iterator[Tensor]:
    """The state after every solver step, from noise `x`."""
    for k in range(solver.steps):
        x, state = solver.step(denoise, x, k, state)
        yield x


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
