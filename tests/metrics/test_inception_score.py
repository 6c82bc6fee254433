"""The inception score at its two ends, and against the divergence written out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ditkit.errors import ConfigError, DataError
from ditkit.metrics.inception_score import inception_score
from tests.closeness import near


def probabilities(count: int, classes: int, seed: int) -> Tensor:
    return (torch.randn(count, classes, generator=torch.Generator().manual_seed(seed)) * 2).softmax(1)


def test_sure_and_varied_answers_score_the_number_of_classes() -> None:
    assert inception_score(torch.eye(5).repeat(4, 1), splits=2) == near((5, 0), size=5)


def test_equal_answers_score_one() -> None:
    assert inception_score(probabilities(1, 7, seed=0).repeat(20, 1), splits=4) == near((1, 0), dtype=torch.float32, size=1)


@pytest.mark.parametrize(("count", "splits"), [(100, 10), (103, 10), (50, 1)])
def test_it_is_the_mean_divergence_from_the_mean(count: int, splits: int) -> None:
    p = probabilities(count, 8, seed=1)
    scores = []
    for index in range(splits):
        part = p.double().numpy()[index * count // splits : (index + 1) * count // splits]
        scores.append(np.exp(np.mean(np.sum(part * (np.log(part) - np.log(part.mean(0))), 1))))
    assert inception_score(p, splits) == near((np.mean(scores), np.std(scores)), dtype=torch.float32, size=8)


def test_logits_are_no_probabilities() -> None:
    with pytest.raises(DataError, match="the rows are no probabilities, non-negative with the sum 1; apply a softmax to logits first"):
        inception_score(torch.randn(20, 5))
    with pytest.raises(DataError, match="features of 20 of 20 samples are NaN or infinite"):
        inception_score(torch.full((20, 5), float("nan")))


def test_there_are_no_more_splits_than_samples() -> None:
    with pytest.raises(ConfigError, match="10 splits of 9 samples; take 1 to 9"):
        inception_score(probabilities(9, 3, seed=2))
