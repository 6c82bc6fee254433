"""What branches gave where they were computed, softly: scores between 0 and 1 compute, and remember, by that share.

With scores of 0 and 1 it is what a plan keeps: a computed output moves the others on by one place, a forecast one moves nothing.

Shapes: J outputs that a forecast is made from, R rows of the network's batch.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ditkit.execution import Execution, Site


class SoftHistory:
    """The last J outputs of every branch, newest first; what is not there yet is the oldest that is."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.outputs: dict[Site, tuple[Tensor, ...]] = {}

    def computed(self) -> Execution:
        """Compute every branch and remember it."""

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            output = compute()
            self.outputs[site] = (output, *self.outputs.get(site, ()))[: self.order]
            return output

        return Execution(branch=branch)

    def mixed(self, scores: Mapping[Site, Tensor], weights_J: Mapping[Site, Tensor]) -> Execution:
        """score * computed + (1 - score) * forecast, and remembered by the same shares; without weights the forecast holds."""

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            fresh, known = compute(), self.outputs[site]
            known = (*known, *[known[-1]] * (self.order - len(known)))
            weights, score = weights_J.get(site), scores[site]
            guess = known[0] if weights is None else torch.stack([w * k for w, k in zip(weights.unbind(), known, strict=True)]).sum(0)
            self.outputs[site] = tuple(torch.lerp(old, new, score) for old, new in zip(known, (fresh, *known), strict=False))
            return torch.lerp(guess, fresh, score)

        return Execution(branch=branch)
