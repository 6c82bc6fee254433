"""What a request costs: multiply-adds, and the memory of what a plan keeps."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ditkit.cache.cost import most_kept
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.execution import Site


def multiply_adds(model: Model) -> Mapping[Site | str, int]:
    """Of each site for one sample of the model's shape."""
    if model.spec.shape is None:
        return model.backbone.multiply_adds()
    backbone: Any = model.backbone  # one that takes any shape
    return backbone.multiply_adds(*(side // model.spec.params.patch for side in model.spec.shape))


def cache_bytes(model: Model, request: SamplingRequest) -> int:
    """The most memory that a plan's kept outputs take at once, for a full batch: of branches, and of the network as the solver reads it."""
    params, shape, kept = model.spec.params, model.spec.shape, most_kept(request.plan)
    tokens = shape[0] * shape[1] // params.patch**2 if shape else params.tokens
    branches = kept.branches * tokens * params.width * most_rows(request) * model.dtype.itemsize
    halves = 2 if model.backbone.predicts_variance and request.solver.draws else 1  # with the variance
    latent = math.prod(model.spec.sample_shape) * min(request.batch, len(request.seeds))
    return branches + kept.network * halves * latent * torch.float32.itemsize


def in_words(size: int) -> str:
    """A number of bytes; what a few forecasts of a latent remember would be none in MiB."""
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 or not size else f"{size / 2**10:.1f} KiB"


def most_rows(request: SamplingRequest) -> int:
    """Of a network batch, with what guidance adds."""
    return (2 if request.guidance != 1 else 1) * min(request.batch, len(request.seeds))
