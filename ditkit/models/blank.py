"""Networks without weights: for loading weights into, or for asking what only sizes decide."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ditkit.models.registry import FAMILIES
from ditkit.models.spec import KINDS, Params

DRAWS = ("normal_", "uniform_", "erfinv_")  # of torch.Tensor, and those of torch.nn.init that torch lets a mode intercept


class _DrawNothing(TorchFunctionMode):
    """Initial weights that nobody will see are not drawn; on the meta device torch would first import its compiler, two seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__name__", "") in DRAWS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def blank(params: Params) -> Any:
    """The network of these numbers on the meta device: shapes, sites and costs, but no memory behind its parameters."""
    with torch.device("meta"), _DrawNothing():
        return FAMILIES[family_of(params)](params)


def family_of(params: Params) -> str:
    """The key of `FAMILIES` that these numbers are for."""
    return next(family for family, kind in KINDS.items() if type(params) is kind)
