"""Data whose perfect denoiser is known: x0 ~ N(mu, std^2), every element on its own."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Prediction
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

    def x0(self, x: Tensor, level: Level) -> Tensor:
        return self.mu + level.alpha * self.std**2 * (x - level.alpha * self.mu) / self.deviation(level) ** 2

    def velocity(self, x: Tensor, level: Level) -> Tensor:
        return level.d_alpha * self.x0(x, level) + level.d_sigma * self.epsilon(x, level)

    def denoiser(self, solver: Solver, kind: Literal["epsilon", "velocity"] = "epsilon") -> Denoise:
        said = self.epsilon if kind == "epsilon" else self.velocity
        return lambda x, e: Prediction(said(x, solver.levels[e]), kind)

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


def flow_error(
    solver: Solver, end: Level, target: Gaussian = Gaussian(0.7, 0.4), kind: Literal["epsilon", "velocity"] = "epsilon"
) -> float:
    """The largest distance from the exact solution of the probability-flow ODE."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    return float((run(solver, target.denoiser(solver, kind), x)[-1] - target.flow(x, solver.levels[0], end)).abs().max())


def order(coarse: float, fine: float) -> float:
    """The order of convergence that two errors show, the second with twice the steps."""
    return math.log2(coarse / fine)
