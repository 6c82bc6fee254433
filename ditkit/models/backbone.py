"""What every denoising network offers, whatever its family.

Shapes: B batch, E evaluations, U distinct labels; t and y broadcast against each other.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor

from ditkit.execution import PLAIN, Execution, Site, Sites

Conditioning = Any
"""A family's own tuple (or tuple of tuples) of tensors whose leading dimensions are those of t and y broadcast together."""


class Backbone(Protocol):
    """A network that predicts noise (and perhaps its variance) from x, time and label, or from x, time and a prompt.

    Everything that depends on time and label alone is computed by `condition`, once per request for all evaluations
    (t (E, 1), y (1, U)); `__call__` takes the rows it needs. A network that reads prompts has `prepare` in place of `null`: it makes
    of encoded prompts what `condition` takes as y.
    """

    sites: Sites
    predicts_variance: bool
    """Whether the output's second half along the channels is a variance's interpolation coefficient."""

    def parameters(self) -> Iterator[Tensor]: ...

    def condition(self, t: Tensor, y: Any, /) -> Conditioning: ...

    def null(self, y: Tensor, /) -> Tensor:
        """The label that means "no label", in the shape of y."""
        ...

    def multiply_adds(self) -> dict[Site | str, int]:
        """Multiply-adds of each site for one sample; what lies outside any site is under "rest"."""
        ...

    def __call__(self, x: Tensor, conditioning: Conditioning, execution: Execution = PLAIN, /) -> Tensor: ...
