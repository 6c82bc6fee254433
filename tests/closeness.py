"""Closeness to reference vectors, by their own rule."""

from torch import Tensor


def assert_close(value: Tensor, reference: Tensor, tolerance: float) -> None:
    """max |a - b| <= tolerance * max |reference|: the rule of the reference vectors' manifest."""
    assert value.shape == reference.shape
    error = float((value - reference).abs().max())
    assert error <= tolerance * float(reference.abs().max()), f"off by {error:.3g}"
