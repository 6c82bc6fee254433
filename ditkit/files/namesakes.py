"""Averages whose weights have lost their names: they are found again by those of the raw weights beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def with_dots(state: Mapping[Any, Any], others: Mapping[str, Mapping[Any, Any]]) -> Mapping[Any, Any]:
    """The same weights under the names that another set has with dots, where these have none: latent diffusion's average is kept so."""
    if any("." in str(name) for name in state):
        return state
    for other in others.values():
        dotted = {str(name).replace(".", ""): str(name) for name in other}
        weights = [name for name, value in state.items() if not isinstance(value, Tensor) or value.ndim]  # counters have names of their own
        if other is not state and weights and all(name in dotted for name in weights):
            return {dotted[name]: state[name] for name in weights}
    return state


def listed(values: Sequence[Tensor], raw: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The values under the names of the raw weights, which are in the same order; empty where they do not fit, or in several ways.

    diffusers' EMAModel and torch_ema keep the parameters, which a state has more than: buffers, and what is never trained.
    """
    shapes = [(str(name), value.shape) for name, value in raw.items() if isinstance(value, Tensor)]
    first = _in_order([value.shape for value in values], shapes)
    last = _in_order([value.shape for value in reversed(values)], shapes[::-1])
    return dict(zip(first, values, strict=True)) if first and first == last[::-1] else {}


def _in_order(wanted: Sequence[Any], shapes: Sequence[tuple[str, Any]]) -> list[str]:
    """The earliest names of these shapes, in order; empty if there are none."""
    rest = iter(shapes)
    names = [next((name for name, own in rest if own == shape), None) for shape in wanted]
    return [name for name in names if name is not None] if None not in names else []
