"""Training the small autoencoder: L1 + image gradients + a little KL, on pictures composed on the fly."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8
from ditkit.codecs.residual import ResidualAutoencoder
from ditkit.data.scenes import autoencoder_picture, small_things
from ditkit.data.sprites import Sprites
from ditkit.diffusion.noise import step_generator


def to_pictures(images: list[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) arrays as one float tensor (B, 3, H, W) in [-1, 1]."""
    return from_uint8(torch.from_numpy(np.stack(images)).movedim(-1, 1))


def picture_batch(
    sprites: Sprites, seed: int, first: int, count: int, draw: Callable[[Sprites, np.random.Generator], np.ndarray] = autoencoder_picture
) -> Tensor:
    """Pictures `first` ... `first + count - 1` of the endless stream named `seed`."""
    return to_pictures([draw(sprites, np.random.default_rng((seed, first + i))) for i in range(count)])


def reconstruction_loss(output_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Per picture: mean absolute error plus that of the horizontal and vertical differences, which keeps edges sharp."""
    error = output_B3HW - target_B3HW
    parts = (error, error.diff(dim=-1), error.diff(dim=-2))
    return torch.stack([part.abs().mean(dim=(1, 2, 3)) for part in parts]).sum(0)


SMALL_STREAM = 1  # of the choice which batches are of small things
LEAST_NOISE = 0.03  # of a latent of about unit variance: the decoder learns to forgive the small errors of a generated latent


class AutoencoderTask:
    """The next batch is composed in a thread while the present one is learned. `small` is the share of batches of small things."""

    def __init__(
        self, module: ResidualAutoencoder, sprites: Sprites, *, batch: int, seed: int, small: float = 0.0, kl_weight: float = 1e-6
    ) -> None:
        self.module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.sprites, self.batch, self.seed, self.small, self.kl_weight = sprites, batch, seed, small, kl_weight
        self._ahead = ThreadPoolExecutor(1)
        self._next = None

    def _pictures(self, step: int, rows: slice) -> Tensor:
        def make(of_step: int) -> Tensor:
            small = np.random.default_rng((self.seed, of_step, SMALL_STREAM)).random() < self.small
            first, count = of_step * self.batch + rows.start, rows.stop - rows.start
            return picture_batch(self.sprites, self.seed, first, count, small_things if small else autoencoder_picture)

        pictures = self._next[1].result() if self._next and self._next[0] == step else make(step)
        self._next = (step + 1, self._ahead.submit(make, step + 1))
        return pictures

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        device = self.module.linear_encode.weight.device
        images = self._pictures(step, rows).to(device, memory_format=torch.channels_last)
        mean, log_variance = self.module.encode(images)
        noise = torch.randn((self.batch, *mean.shape[1:]), generator=step_generator(self.seed, step))[rows].to(device)
        output = self.module.decode(mean + (0.5 * log_variance).exp().clamp(min=LEAST_NOISE) * noise)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=(1, 2, 3))
        total = (reconstruction_loss(output, images) + self.kl_weight * kl).sum()
        return total, {"mse": (output.detach() - images).square().mean(), "kl": kl.detach().mean()}
