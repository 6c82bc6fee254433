"""How far apart two computations of the same thing may be, derived from what they round; every test of closeness asks here.

A rounding moves a value by up to eps / 2 of it, up or down alike: a variance of eps^2 / 12. Along a chain of n roundings, such as a sum
of n terms, the moves add up like a random walk (Higham & Mary 2019), and two computations are two chains: they lie apart by a deviation
of eps sqrt(n / 6) times the size of the values. Eight deviations are allowed, which no machine exceeds by chance and a mistake does:

    |value - expected| <= roundings x eps x size,     roundings = 8 sqrt(n / 6)

`eps` is that of the coarser of the two dtypes, `size` the largest magnitude in `expected`, or what is told where larger numbers cancel.
What multiplies an error multiplies `roundings`: guidance, evaluations, a division by something small. Within one process the same
computation gives the same bits: where that is promised, a test asks for `torch.equal` and not for closeness.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

DEVIATIONS = 8

ANGLES = 500.0
"""Of a time that another machine or library embedded: its exp differs by half a unit in the last place, which times 1000 is an angle."""

ROOTS = torch.finfo(torch.float64).eps ** -0.5
"""How much larger than roundings the roots of eigenvalues are that should be 0, as those of a singular covariance; they add up straight."""


def summed(terms: float) -> float:
    """The roundings of a sum of so many terms, or of a chain of so many operations."""
    return DEVIATIONS * math.sqrt(terms / 6)


FORMULA = summed(16)
"""The roundings of a formula of up to sixteen operations."""


def cancelled(share: float, terms: float = 1) -> float:
    """The roundings of a difference that leaves so small a share of its terms, themselves sums: 1 - abar of a nearly clean level."""
    return summed(terms) / share


def evaluated(network: Any, evaluations: int = 1, guidance: float = 1.0, *, foreign: bool = False) -> float:
    """The roundings of a network's output, or of a run of it: a chain through the sums of all its matrices, once per evaluation.

    In half precision a sum is rounded once, for it is taken in float32. Guidance, s cond + (1 - s) null, multiplies the errors of the two
    outputs, which are independent. `foreign`: another machine or library made the expected values and embedded the time with another exp;
    that error is common to both outputs.
    """
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    chain = sum(1 if matrix.element_size() < 4 else matrix.shape[1:].numel() for matrix in matrices)
    return math.hypot(guidance, 1 - guidance) * summed(chain * evaluations) + (ANGLES if foreign else 0.0)


def of_squares(mean: float, size: float, count: int) -> float:
    """The size to tell for a mean of `count` squared differences between values of that size: d(x^2) = 2 x dx, and the mean averages dx."""
    return 2 * math.sqrt(mean / count) * size


def tolerance(size: float, roundings: float = FORMULA, dtype: torch.dtype = torch.float64) -> float:
    """How far apart values of that size may be."""
    return roundings * torch.finfo(dtype).eps * size


def spread(count: int) -> float:
    """How far the mean of so many draws of deviation 1 may lie from the true one: five standard errors.

    Their deviation may lie `spread(2 * count)` from 1.
    """
    return 5 / math.sqrt(count)


def near(expected: Any, roundings: float = FORMULA, dtype: torch.dtype = torch.float64, *, size: float = 0.0, within: float = 0.0) -> Any:
    """What equals numbers (one, a sequence, a dictionary) as near to these as `dtype` allows.

    `size` is that of larger numbers which cancel, `within` a distance that is no rounding: of drawn samples, of finite steps.
    """
    return pytest.approx(expected, rel=tolerance(1, roundings, dtype), abs=tolerance(size, roundings, dtype) + within)


def close(value: Any, expected: Any, roundings: float = FORMULA, *, size: float | None = None, each: bool = False) -> bool:
    """Whether two tensors or arrays differ by no more than rounding; with `each`, every number by that of its own size."""
    return not _apart(value, expected, roundings, size, each)


def assert_close(value: Any, expected: Any, roundings: float = FORMULA, *, size: float | None = None, each: bool = False) -> None:
    """`close`, or by how much not."""
    words = _apart(value, expected, roundings, size, each)
    assert not words, words


def _apart(value: Any, expected: Any, roundings: float, size: float | None, each: bool) -> str:
    """By how much they differ beyond rounding; empty if they do not."""
    a, b = ((x if isinstance(x, Tensor) else torch.tensor(np.asarray(x))).detach() for x in (value, expected))
    if a.shape != b.shape:
        return f"the shape is {tuple(a.shape)} instead of {tuple(b.shape)}"
    coarser = max((x.dtype for x in (a, b) if x.is_floating_point()), key=lambda dtype: torch.finfo(dtype).eps)
    a, b = a.double(), b.double()
    magnitude = b.abs() if each else b.abs().max() if size is None else torch.tensor(size)
    allowed = tolerance(1, roundings, coarser) * magnitude
    distance = torch.where(a == b, 0, (a - b).abs())  # infinities may be equal
    if bool((distance <= allowed).all()):
        return ""
    apart, most = float(distance.max()), float(allowed.max())
    return f"up to {apart:.3g} apart, {most:.3g} allowed to {coarser} of size {float(magnitude.max()):.3g}"
