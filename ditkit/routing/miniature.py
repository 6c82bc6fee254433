"""A run in miniature: one number in place of a sample, a perfect network for Gaussian data, and the real solver.

Where a forecast errs, a network that is called later takes much of it back, and one that is not called takes back nothing: how much an
error counts at the end depends on what else is forecast. In miniature that is a triangular system of equations, which takes no run of a
network to solve, so that thousands of choices can be judged.

Shapes: E evaluations.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solve_triangular
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Kind, Prediction
from ditkit.diffusion.solvers import Solver

VARIANCE = 4.0  # of the data, for which a run in miniature forgets early errors about as fast as those of real networks do

Weights = Mapping[int, Mapping[int, float]]
"""By evaluation that is forecast, the weights of the evaluations that it is forecast from."""


@dataclass(frozen=True)
class Miniature:
    """`inputs` (E + 1, E): how the input of each evaluation, and last the end, moves with each output, all outputs being given.
    `answers` (E): how the output of each evaluation moves with its input."""

    inputs: np.ndarray
    answers: np.ndarray

    @classmethod
    def of(cls, solver: Solver, kind: Kind, variance: float) -> "Miniature":
        """For data of this variance: the wider they are, the less a network takes back of an early error."""
        evaluations = len(solver.times)
        inputs = np.stack([_inputs(solver, kind, loud) for loud in range(evaluations)], 1)
        return cls(inputs, np.array([answer(level, kind, variance) for level in solver.levels]))

    def gains(self, forecasts: Weights) -> np.ndarray:
        """How far the end moves with one more in the output of each evaluation (E), where some are forecast."""
        moved = self.answers[:, None] * self.inputs[:-1]
        for evaluation, weights in forecasts.items():
            moved[evaluation] = 0
            moved[evaluation, list(weights)] = list(weights.values())
        return np.abs(solve_triangular((np.eye(len(moved)) - moved).T, self.inputs[-1], unit_diagonal=True))


def _inputs(solver: Solver, kind: Kind, loud: int) -> np.ndarray:
    """Where a run from 0 is at each evaluation and at its end (E + 1), if the network says 1 at the `loud` one and 0 at all others."""
    seen = np.zeros(len(solver.times) + 1)

    def denoise(x: Tensor, evaluation: int) -> Prediction:
        seen[evaluation] = float(x)
        return Prediction(torch.full_like(x, float(evaluation == loud)), kind, torch.zeros_like(x))

    x = torch.zeros(1, dtype=torch.float64)
    state = solver.init(x.expand(solver.draws, 1) if solver.draws else None)
    for step in range(solver.steps):
        x, state = solver.step(denoise, x, step, state)
    seen[-1] = float(x)
    return seen


def answer(level: Level, kind: Kind, variance: float) -> float:
    """What a perfect network says of x = 1, by what it knows of the clean sample and of the noise in it."""
    alpha, sigma, d_alpha, d_sigma = level
    power = alpha**2 * variance + sigma**2
    x0, epsilon = alpha * variance / power, sigma / power
    match kind:
        case "epsilon":
            return epsilon
        case "sample":
            return x0
        case "v":
            return (alpha * epsilon - sigma * x0) / math.hypot(alpha, sigma)
        case "score":
            return -1 / power
        case "velocity" | "reversed velocity":
            return (d_alpha * x0 + d_sigma * epsilon) * (1 if kind == "velocity" else -1)
