"""Runs that no plan disturbs: where they end, and how alike what the network says is from evaluation to evaluation.

Shapes: B samples of a batch, N of all, E evaluations, D numbers of an output.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ditkit.cache.execute import Outputs
from ditkit.engine.denoiser import OnStep
from ditkit.engine.finite import check_trajectories
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.execution import PLAIN, Execution
from ditkit.routing.replay import Replay


@dataclass(frozen=True)
class Undisturbed:
    """`ends` (B, ...) of every batch, and the `products` (N, E, E), float64, of each sample's outputs at every two evaluations."""

    ends: list[Tensor]
    products: Tensor

    def relative(self) -> Tensor:
        """The products (E, E) in units of the square of each sample's end, in the mean over the samples."""
        sizes_N = torch.cat([end.flatten(1).double().square().sum(1).cpu() for end in self.ends]).clamp_min(1e-24)
        return (self.products / sizes_N[:, None, None]).mean(0)


@dataclass
class Listener:
    """Conducts a run without a plan and keeps what the network `said` at each evaluation."""

    said: list[Tensor] = field(default_factory=list)

    def at(self, evaluation: int) -> Execution:
        return PLAIN

    def network(self, evaluation: int, compute: Callable[[], Tensor]) -> Tensor:
        self.said.append(compute())
        return self.said[-1]

    def outputs(self) -> Outputs:
        return {}


def undisturbed(model: Model, request: SamplingRequest, on_step: OnStep | None = None) -> Undisturbed:
    """One run of the request's samples without a plan; raises `RequestError` if numbers of it are not finite."""
    ends: list[Tensor] = []
    products: list[Tensor] = []
    for batch in request.batches():
        replay, listener = Replay(model, request, batch, on_step), Listener()
        ends.append(replay.end(listener, replay.start))
        check_trajectories(model, request, batch, ends[-1])
        for sample in torch.stack(listener.said, 1):
            outputs_ED = sample.flatten(1).double()
            products.append((outputs_ED @ outputs_ED.T).cpu())
    return Undisturbed(ends, torch.stack(products))
