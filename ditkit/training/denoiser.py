"""Training a denoising network that is told a class, or a caption: on cached latents, point clouds or composed scenes."""

import torch
from torch import Tensor, nn

from ditkit.data.examples import Examples
from ditkit.diffusion.noise import step_generator
from ditkit.engine.transfers import sent
from ditkit.training.objective import Objective


class DenoiserTask:
    """Every step draws examples, levels, noise and label dropout from its own generator.

    Levels are stratified over the batch: one in each B-th part of what the objective draws, which steadies the loss.
    """

    def __init__(
        self, module: nn.Module, examples: Examples, objective: Objective, *, batch: int, seed: int, label_dropout: float = 0.1
    ) -> None:
        self.module, self.examples, self.objective = module, examples, objective
        self.batch, self.seed, self.label_dropout = batch, seed, label_dropout
        self.device = next(module.parameters()).device

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        generator = step_generator(self.seed, step)
        x0, y = self.examples.draw(generator, self.batch, rows)
        at = self.objective.draw((torch.arange(self.batch) + torch.rand(self.batch, generator=generator)) / self.batch)
        noise = torch.randn((self.batch, *x0.shape[1:]), generator=generator)
        dropped = torch.rand(self.batch, generator=generator) < self.label_dropout
        drawn = (x0, y, at[rows], noise[rows], dropped[rows])  # by the CPU, where it is the same on every machine
        x0, y, at, noise, dropped = (sent(values, self.device) for values in drawn)
        y = torch.where(dropped.reshape(-1, *[1] * (y.dim() - 1)), self.module.null(y), y)  # pyright: ignore[reportCallIssue]
        conditioning = self.module.condition(self.objective.times(at), y)  # pyright: ignore[reportCallIssue]
        out = self.module(self.objective.noisy(x0, noise, at), conditioning)
        losses, squared = self.objective.loss(out, x0, noise, at)
        return losses.sum(), {"mse": squared.detach().mean()}
