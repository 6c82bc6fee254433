"""Training the judge: cross-entropy on strongly augmented sprites and on crops of composed scenes."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ditkit.data.scenes import judge_picture
from ditkit.data.sprites import Sprites
from ditkit.models.judge import Judge
from ditkit.training.autoencoder import to_pictures


class JudgeTask:
    """The next batch is drawn in a thread while the present one is learned."""

    def __init__(self, module: Judge, sprites: Sprites, *, batch: int, seed: int) -> None:
        self.module = module
        self.sprites, self.batch, self.seed = sprites, batch, seed
        self._ahead = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None

    def _examples(self, step: int, rows: slice) -> tuple[Tensor, Tensor]:
        drawn = [
            judge_picture(self.sprites, np.random.default_rng((self.seed, step * self.batch + row))) for row in range(rows.start, rows.stop)
        ]
        return to_pictures([image for image, _ in drawn]), torch.tensor([label for _, label in drawn])

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = self._next[1].result() if self._next and self._next[0] == step else self._examples(step, rows)
        self._next = (step + 1, self._ahead.submit(self._examples, step + 1, rows))
        device = self.module.head.weight.device
        images, labels = images.to(device), labels.to(device)
        logits = self.module(images)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum"), {"accuracy": accuracy}
