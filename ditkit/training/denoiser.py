"""Training a class-conditional denoising network on cached latents.

Shapes: B batch, N pictures, V variants, C h w latent.
"""

import torch
from torch import Tensor, nn

from ditkit.data.latents import Latents
from ditkit.diffusion.noise import step_generator
from ditkit.training.objective import DenoisingObjective


class DenoiserTask:
    """Every step draws pictures, variants, levels, noise and label dropout from its own generator.

    Levels are stratified over the batch: one in each B-th part of the schedule, which steadies the loss.
    """

    def __init__(
        self, module: nn.Module, latents: Latents, objective: DenoisingObjective, *, batch: int, seed: int, label_dropout: float = 0.1
    ) -> None:
        self.module, self.latents, self.objective = module, latents, objective
        self.batch, self.seed, self.label_dropout = batch, seed, label_dropout
        self.device = next(module.parameters()).device

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        generator = step_generator(self.seed, step)
        pictures, variants, *sample_shape = self.latents.values.shape
        picture = torch.randint(pictures, (self.batch,), generator=generator)
        variant = torch.randint(variants, (self.batch,), generator=generator)
        level = (torch.arange(self.batch) + torch.rand(self.batch, generator=generator)) / self.batch
        index = (level * self.objective.levels).long().clamp_(max=self.objective.levels - 1)
        noise = torch.randn((self.batch, *sample_shape), generator=generator)
        dropped = torch.rand(self.batch, generator=generator) < self.label_dropout
        x0, y = self.latents.values[picture[rows], variant[rows]].float(), self.latents.labels[picture[rows]]
        drawn = (x0, y, index[rows], noise[rows], dropped[rows])  # all on the CPU, where it is the same on every machine
        x0, y, index, noise, dropped = (values.to(self.device) for values in drawn)
        y = torch.where(dropped, self.module.null(y), y)  # pyright: ignore[reportCallIssue]
        conditioning = self.module.condition(self.objective.times(index), y)  # pyright: ignore[reportCallIssue]
        out = self.module(self.objective.noisy(x0, noise, index), conditioning)
        losses = self.objective.loss(out, noise, index)
        mse = (out.detach()[:, : noise.shape[1]].float() - noise).square().mean()
        return losses.sum(), {"mse": mse}
