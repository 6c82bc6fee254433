"""Closeness to reference vectors, by their own rule."""

from torch import Tensor

SINUSOID = 6e-5
"""exp in float32 differs by a unit in the last place (2^-24) between makes of CPU; at time 999 that turns an angle by this much."""


def assert_close(value: Tensor, reference: Tensor, tolerance: float) -> None:
    """max |a - b| <= tolerance * max |reference|: the rule of the reference vectors' manifest."""
    assert value.shape == reference.shape
    error = float((value - reference).abs().max())
    assert error <= tolerance * float(reference.abs().max()), f"off by {error:.3g}"


def assert_elementwise(value: Tensor, reference: Tensor, rtol: float) -> None:
    """|a - b| <= rtol * (|reference| + 1e-3 * max |reference|) everywhere: the rule of the flows' path functions."""
    assert value.shape == reference.shape
    allowed = rtol * (reference.abs() + 1e-3 * reference.abs().max())
    assert bool(((value - reference).abs() <= allowed).all()), f"off by {float(((value - reference).abs() / allowed).max()):.3g} tolerances"
