"""The one list of models. A name here is what `--model` takes; a Hydra group names an entry and never restates it."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ditkit.errors import UnknownName
from ditkit.models.dit import DiT
from ditkit.models.dit3d import DiT3D
from ditkit.models.pixart import PixArt
from ditkit.models.published import PUBLISHED
from ditkit.models.shipped import SHIPPED
from ditkit.models.sit import SiT
from ditkit.models.spec import ModelSpec
from ditkit.models.uvit import UViT

FAMILIES: dict[str, Callable[[Any], nn.Module]] = {"dit": DiT, "sit": SiT, "uvit": UViT, "dit3d": DiT3D, "pixart": PixArt}

SPECS: dict[str, ModelSpec] = {spec.name: spec for spec in (*SHIPPED, *PUBLISHED)}


def find(name: str) -> ModelSpec:
    """The model of that name; raises `UnknownName` with the nearest one."""
    if name not in SPECS:
        raise UnknownName("model", name, SPECS)
    return SPECS[name]


def build(spec: ModelSpec) -> Any:
    """The backbone with fresh weights, as its paper initialises it."""
    return FAMILIES[spec.family](spec.params)
