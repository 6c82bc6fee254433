"""Closeness to reference vectors, by their own rule."""

from torch import Tensor

SINUSOID = 6e-5
"""exp in float32 differs by a unit in the last place (2^-24) between makes of CPU; at time 999 that turns an angle by this much."""


def assert_close(value: Tensor, reference: Tensor, tolerance: float) -> None:
    """max |a - b| <= tolerance * max |reference|: the rule of the reference vectors' manifest."""
    assert value.shape == reference.shape
    error = float((value - reference).abs().max())
    assert error <= tolerance * float(reference.abs().max()), f"off by {error:.3g}"
