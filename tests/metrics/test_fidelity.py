"""Relative errors are those of the definition."""

import torch

from ditkit.metrics.fidelity import relative_errors


def test_the_error_is_relative_to_what_was_wanted_for_each_sample_alone() -> None:
    wanted = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])
    made = torch.tensor([[[3.0, 4.0]], [[1.0, 2.0]]])
    assert relative_errors(made, wanted).tolist() == [0.0, 0.5]
