"""What the training loop trains: a router's scores, with the network frozen."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ditkit.cache.budget import kept_share
from ditkit.diffusion.noise import step_generator
from ditkit.execution import Site
from ditkit.routing.objective import straight_through
from ditkit.routing.router import Router, decided, site_weights
from ditkit.routing.trials import Trial

PRICE_RATE = 0.5  # how fast the price follows the distance to the budget, per step and unit of share


class RouterTask:
    """The error of a trial plus the price of what is computed. A step's loss is a pure function of (weights, step)."""

    def __init__(
        self,
        router: Router,
        trial: Trial,
        costs: Mapping[Site | str, int],
        *,
        seed: int,
        budget: float | None = None,
        by_cost: bool = True,
        threshold: float = 0.5,
        hard: bool = False,
        clamp: float | None = None,
    ) -> None:
        """`by_cost` prices a site by its multiply-adds, not all alike; `hard` decides in the forward pass as the plan will, by the budget
        or else the threshold (straight-through)."""
        self.module, self.trial, self.costs = router, trial, costs
        self.seed, self.budget, self.threshold, self.hard, self.clamp = seed, budget, threshold, hard, clamp
        sites = trial.model.backbone.sites
        self._weights_S = (site_weights(sites, costs) if by_cost else torch.ones(len(sites))).to(trial.model.device)

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        if self.clamp is not None:  # what the update before may have left outside
            self.module.clamp(self.clamp)
        used = self.used()
        kept = self._kept(used)
        if self.budget is not None:
            self.module.price.mul_(torch.exp(PRICE_RATE * (kept.detach().double() - self.budget)))
        scores = self.module.scores()
        data, passed_BG = self.trial(used, step_generator(self.seed, step), rows, self.module.weights)
        spent = passed_BG @ (scores * self._weights_S).sum(1)
        losses = data + self.module.price.to(data.dtype) * spent
        return losses.sum(), {"data": data.detach().mean(), "kept": kept.detach(), "price": self.module.price.clone()}

    def used(self) -> Tensor:
        """The scores (G, S) that are tried."""
        if not self.hard:
            return self.module.scores()
        logits, model = self.module.logits.detach().cpu(), self.trial.model
        keep = decided(logits, len(self.trial.solver.times), model.backbone.sites, self.costs, budget=self.budget, threshold=self.threshold)
        return straight_through(self.module.scores(), keep.to(model.device))

    def kept(self) -> Tensor:
        """The share of the run's multiply-adds that they would keep."""
        return self._kept(self.used())

    def _kept(self, used_GS: Tensor) -> Tensor:
        return kept_share(used_GS, len(self.trial.solver.times), self.trial.model.backbone.sites, self.costs)
