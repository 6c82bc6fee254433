"""The two-layer perceptron of a transformer block."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear -> GELU -> Linear, `ratio` times as wide inside; `approximate` as in torch's gelu."""

    def __init__(self, width: int, approximate: Literal["none", "tanh"], ratio: float = 4.0) -> None:
        super().__init__()
        self.approximate: Literal["none", "tanh"] = approximate
        inside = round(ratio * width)
        self.fc1 = nn.Linear(width, inside)
        self.fc2 = nn.Linear(inside, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x_BTD), approximate=self.approximate))

    def multiply_adds(self, tokens: int) -> int:
        return tokens * 2 * self.fc1.in_features * self.fc1.out_features
