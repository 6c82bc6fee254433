"""What a module returns, tensors in whatever holds them, as one tensor that can be forecast; and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from ditkit.errors import PlanMismatch

Rebuild = Callable[[Sequence[Tensor]], Any]


@dataclass(frozen=True)
class Held:
    """How one module returns its tensors: `back` makes of a packed tensor what it would have returned."""

    shapes: tuple[torch.Size, ...]
    dtypes: tuple[torch.dtype, ...]
    rebuild: Rebuild

    def back(self, packed: Tensor) -> Any:
        if len(self.shapes) == 1:
            return self.rebuild([packed])
        parts = packed.split([shape.numel() for shape in self.shapes])
        tensors = [part.view(shape).to(dtype) for part, shape, dtype in zip(parts, self.shapes, self.dtypes, strict=True)]
        return self.rebuild(tensors)


def packed(output: Any) -> tuple[Tensor, Held]:
    """A module's output as one tensor, the only one as it is; raises `PlanMismatch` if it holds anything but tensors."""
    tensors, rebuild = _taken_apart(output)
    if not tensors:
        raise PlanMismatch("the denoiser returns no tensor, so that there is nothing to forecast")
    held = Held(tuple(each.shape for each in tensors), tuple(each.dtype for each in tensors), rebuild)
    return tensors[0] if len(tensors) == 1 else torch.cat([each.reshape(-1) for each in tensors]), held


def _taken_apart(output: Any) -> tuple[list[Tensor], Rebuild]:
    if isinstance(output, Tensor) and output.is_floating_point():
        return [output], lambda tensors: tensors[0]
    if output is None:
        return [], lambda tensors: None
    if isinstance(output, Mapping):  # diffusers' outputs are dataclasses and mappings; as these they say which fields there are
        made = type(output)
        return _parts(list(output.values()), lambda values, names=tuple(output): made(**dict(zip(names, values, strict=True))))
    if is_dataclass(output) and not isinstance(output, type):
        values = [getattr(output, field.name) for field in fields(output)]
        return _parts(values, type(output), spread=True)
    if isinstance(output, tuple | list):
        named = hasattr(output, "_fields")
        return _parts(list(output), type(output), spread=named)
    kind = f"tensor of {output.dtype}" if isinstance(output, Tensor) else type(output).__name__
    raise PlanMismatch(f"the denoiser returns a {kind}, where only tensors of real numbers can be forecast")


def _parts(values: Sequence[Any], make: Callable[..., Any], *, spread: bool = False) -> tuple[list[Tensor], Rebuild]:
    """All tensors of several values, and how to put these together again."""
    taken = [_taken_apart(value) for value in values]

    def rebuild(tensors: Sequence[Tensor]) -> Any:
        made, start = [], 0
        for own, again in taken:
            made.append(again(tensors[start : start + len(own)]))
            start += len(own)
        return make(*made) if spread else make(made)

    return [tensor for own, _ in taken for tensor in own], rebuild
