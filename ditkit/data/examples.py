"""What a denoising network learns from, wherever it comes from."""

from typing import Protocol

import torch
from torch import Tensor


class Examples(Protocol):
    """x0 and its label at random: `Latents`, `CloudDraws` or `SceneDraws`, whose labels are the tokens of captions."""

    def draw(self, generator: torch.Generator, batch: int, rows: slice) -> tuple[Tensor, Tensor]:
        """x0 and labels of `rows` of a batch, wherever they are kept; all of one shape.

        What the generator is asked must not depend on `rows`.
        """
        ...
