"""The features of a whole set of pictures, made a batch at a time, by several processes where there are some."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ditkit.data.picture_sets import PictureSet
from ditkit.engine.distributed import World, gather
from ditkit.metrics.vision import FeatureNetwork, Seen


def see(pictures: PictureSet, network: FeatureNetwork, batch: int, world: World, advance: Callable[[], None]) -> Seen:
    """Features of all pictures, in order, a batch in memory at a time; every process sees whole batches, so that bits stay the same."""
    parts = []
    mine = my_batches(pictures.count, batch, world)
    for part, read in zip(mine, pictures.read(mine), strict=True):
        seen = network.see(read)
        parts.append((part.start, replace(seen, **{name: None if value is None else value.cpu() for name, value in vars(seen).items()})))
        advance()
    ordered = [seen for _, seen in sorted((part for share in gather(parts, world) for part in share), key=lambda part: part[0])]

    def together(name: str) -> Any:
        values = [getattr(part, name) for part in ordered]
        return None if values[0] is None else torch.cat(values)

    return Seen(together("pooled"), together("spatial"), together("probabilities"))


def batches(count: int, batch: int) -> list[range]:
    """Sets of that many, a batch at a time."""
    return [range(start, min(start + batch, count)) for start in range(0, count, batch)]


def my_batches(count: int, batch: int, world: World) -> list[range]:
    """Those that this process sees."""
    return batches(count, batch)[world.rank :: world.size]
