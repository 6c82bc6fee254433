"""Data whose perfect denoiser is known: x0 ~ N(mu, std^2), every element on its own."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import Level
from ditkit.diffusion.solvers import Denoise, Solver


@dataclass(frozen=True)
class Gaussian:
    mu: float
    std: float

    def deviation(self, level: Level) -> float:
        """The standard deviation of noisy samples at a level."""
        return math.hypot(level.alpha * self.std, level.sigma)

    def epsilon(self, x: Tensor, level: Level) -> Tensor:
        return level.sigma * (x - level.alpha * self.mu) / self.deviation(level) ** 2

    def denoiser(self, solver: Solver) -> Denoise:
        return lambda x, e: Prediction(self.epsilon(x, solver.levels[e]))

    def flow(self, x: Tensor, start: Level, end: Level) -> Tensor:
        """Where the probability-flow ODE takes x from one level to another."""
        return end.alpha * self.mu + self.deviation(end) / self.deviation(start) * (x - start.alpha * self.mu)


def run(solver: Solver, denoise: Denoise, x: Tensor, noise: Tensor | None = None) -> list[Tensor]:
    """The state after every step."""
    state, trajectory = solver.init(noise), []
    for k in range(solver.steps):
        x, state = solver.step(denoise, x, k, state)
        trajectory.append(x)
    return trajectory


def flow_error(solver: Solver, end: Level, target: Gaussian = Gaussian(0.7, 0.4)) -> float:
    """The largest distance from the exact solution of the probability-flow ODE."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    return float((run(solver, target.denoiser(solver), x)[-1] - target.flow(x, solver.levels[0], end)).abs().max())


def order(coarse: float, fine: float) -> float:
    """The order of convergence that two errors show, the second with twice the steps."""
    return math.log2(coarse / fine)
