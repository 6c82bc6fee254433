"""A model that is ready to sample: its spec, its network, its codec and where they live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ditkit.codecs.codec import Codec
from ditkit.diffusion.limit import Limit
from ditkit.diffusion.prediction import Reading
from ditkit.models.backbone import Backbone
from ditkit.models.spec import ModelSpec


@dataclass(frozen=True)
class Model:
    """What `ditkit.load` returns. `origin` says which file the weights came from, for manifests.

    `compiled`: run as compiled graphs; `recorded`: all that a batch's run launches is recorded as one CUDA graph.
    """

    spec: ModelSpec
    backbone: Backbone
    codec: Codec
    device: torch.device
    dtype: torch.dtype = torch.float32
    class_names: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    compiled: bool = False
    recorded: bool = False

    @property
    def reading(self) -> Reading:
        """How the network's output is read."""
        return Reading(self.spec.prediction, self.backbone.predicts_variance, Limit(*self.spec.limit) if self.spec.limit else None)
