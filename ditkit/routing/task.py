"""What the training loop trains: a router's scores, with the network frozen."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ditkit.cache.budget import kept_share
from ditkit.diffusion.noise import step_generator
from ditkit.execution import Site
from ditkit.routing.objective import GatedRun, straight_through
from ditkit.routing.router import Router, site_weights
from ditkit.routing.starts import Starts

PRICE_RATE = 0.5  # how fast the price follows the distance to the budget, per step and unit of share


class RouterTask:
    """Every step spreads its batch over the gates. A step's loss is a pure function of (weights, step)."""

    def __init__(
        self,
        router: Router,
        run: GatedRun,
        starts: Starts,
        costs: Mapping[Site | str, int],
        *,
        batch: int,
        seed: int,
        budget: float | None = None,
        by_cost: bool = True,
        threshold: float | None = None,
        clamp: float | None = None,
    ) -> None:
        """`by_cost` prices a site by its multiply-adds, not all alike; `threshold` decides in the forward pass (straight-through)."""
        self.module, self.run, self.starts, self.costs = router, run, starts, costs
        self.batch, self.seed, self.budget, self.threshold, self.clamp = batch, seed, budget, threshold, clamp
        sites = run.model.backbone.sites
        self._weights_S = (site_weights(sites, costs) if by_cost else torch.ones(len(sites))).to(run.model.device)

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        if self.clamp is not None:  # what the update before may have left outside
            self.module.clamp(self.clamp)
        kept = self.kept()
        if self.budget is not None:
            self.module.price.mul_(torch.exp(PRICE_RATE * (kept.detach().double() - self.budget)))
        generator = step_generator(self.seed, step)
        order = torch.randperm(len(self.run.gates), generator=generator).tolist()
        at_B = [order[index % len(order)] for index in range(self.batch)]
        x, state, y = self.starts.draw([self.run.gates[gate].step for gate in at_B], generator)
        if state is not None:
            state = (state[:, rows] if self.run.solver.draws else state[rows]).to(self.run.model.device)
        x, y = x[rows].to(self.run.model.device), y[rows].to(self.run.model.device)
        scores = self.module.scores()
        used = scores if self.threshold is None else straight_through(scores, self.threshold)
        data = self.run.outputs(at_B[rows], used, x, state, y).squared_error()
        spent = (scores * self._weights_S).sum(1)[at_B[rows]]
        losses = data + self.module.price.to(data.dtype) * spent
        return losses.sum(), {"data": data.detach().mean(), "kept": kept.detach(), "price": self.module.price.clone()}

    def kept(self) -> Tensor:
        """The share of the run's multiply-adds that the scores would keep."""
        return kept_share(self.module.scores(), len(self.run.solver.times), self.run.model.backbone.sites, self.costs)
