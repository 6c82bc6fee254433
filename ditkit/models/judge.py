"""The judge: a small classifier whose answers and features measure generated pictures.

Shapes: B batch, F feature width.
"""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditkit.errors import CheckpointError
from ditkit.files.tensors import State, read_metadata, read_tensors, write_tensors
from ditkit.files.weights import WeightSource, locate

JUDGED = "emoji"  # the classes that it was trained on
JUDGE = WeightSource(asset="judge-emoji.safetensors", licence="Apache-2.0")


@dataclass(frozen=True)
class JudgeParams:
    """`widths` are the channels at 1/2, 1/4, 1/8 and 1/16 of the picture's side; the last is the feature width."""

    classes: int
    widths: tuple[int, ...] = (32, 64, 96, 128)
    groups: int = 8


class ResidualUnit(nn.Module):
    """norm -> SiLU -> 3x3 convolution, twice, beside the identity (or a 1x1 convolution where the size changes)."""

    def __init__(self, inside: int, outside: int, groups: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1)
        self.norm2 = nn.GroupNorm(groups, outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1)
        self.short = nn.Conv2d(inside, outside, 1, stride) if inside != outside or stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.short(x) + self.conv2(F.silu(self.norm2(h)))


class Judge(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] -> class logits; normalised per sample, so an answer never depends on its batch."""

    def __init__(self, params: JudgeParams) -> None:
        super().__init__()
        self.params = params
        widths = params.widths
        self.stem = nn.Conv2d(3, widths[0], 5, 2, 2)
        units: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            units += [ResidualUnit(inside, inside, params.groups, 1), ResidualUnit(inside, outside, params.groups, 2)]
        self.units = nn.Sequential(*units, ResidualUnit(widths[-1], widths[-1], params.groups, 1))
        self.norm = nn.GroupNorm(params.groups, widths[-1])
        self.head = nn.Linear(widths[-1], params.classes)

    def spatial(self, images_B3HW: Tensor) -> Tensor:
        """(B, F, H / 16, W / 16): features where they are."""
        return F.silu(self.norm(self.units(self.stem(images_B3HW))))

    def features(self, images_B3HW: Tensor) -> Tensor:
        """(B, F): what a Frechet distance compares."""
        return self.spatial(images_B3HW).mean(dim=(2, 3))

    def forward(self, images_B3HW: Tensor) -> Tensor:
        return self.head(self.features(images_B3HW))


def save_judge(state: State, params: JudgeParams, path: Path) -> None:
    """Write the judge in float16 with its sizes as metadata, as `load_judge` reads it."""
    write_tensors(path, state, {"ditkit": "1", "family": "judge", "params": json.dumps(asdict(params))}, torch.float16)


def load_judge(path: str | None = None) -> Judge:
    """The shipped judge, or the one at `path`; float32 on the CPU, frozen."""
    found = locate(JUDGE, path)
    if found is None:
        raise CheckpointError("a judge with random weights judges nothing; give its file")
    words = read_metadata(found.path)
    if words.get("family") != "judge":
        raise CheckpointError(f"{found.path} is not a judge's weights")
    numbers = json.loads(words["params"])
    judge = Judge(JudgeParams(numbers["classes"], tuple(numbers["widths"]), numbers["groups"]))
    judge.load_state_dict({name: value.float() for name, value in read_tensors(found.path).items()})
    return judge.eval().requires_grad_(False)
