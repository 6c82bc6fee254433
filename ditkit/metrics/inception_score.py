"""How surely a classifier names single pictures while it names all classes over many (Salimans et al. 2016, arXiv 1606.03498).

Shapes: N samples, C classes.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ditkit.errors import ConfigError, DataError
from ditkit.metrics.checks import checked

SPLITS = 10


class InceptionScore(NamedTuple):
    """The mean over splits, from 1 to the number of classes, and their standard deviation."""

    score: float
    deviation: float


def inception_score(probabilities_NC: Tensor, splits: int = SPLITS) -> InceptionScore:
    """exp(mean over x of KL(p(y | x) || p(y))) within each of `splits` runs of samples, as many as published figures take.

    Shuffle samples that are sorted by class. The score grows with the samples in a split: compare like with like.
    Raises `DataError` unless rows are probabilities, and `ConfigError` if there are more splits than samples.
    """
    p_NC = checked(probabilities_NC).double()
    if p_NC.min() < 0 or (p_NC.sum(1) - 1).abs().max() > 1e-3:
        raise DataError("the rows are no probabilities, non-negative with the sum 1; apply a softmax to logits first")
    count = len(p_NC)
    if not 1 <= splits <= count:
        raise ConfigError(f"{splits} splits of {count} samples; take 1 to {count}")
    edges = [count * index // splits for index in range(splits + 1)]
    scores = torch.stack([_score(p_NC[start:end]) for start, end in pairwise(edges)])
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)))


def _score(p_NC: Tensor) -> Tensor:
    """Mutual information as the entropy of the mean less the mean of entropies, which is the mean divergence."""
    return (torch.xlogy(p_NC, p_NC).sum(1).mean() - torch.xlogy(p_NC.mean(0), p_NC.mean(0)).sum()).exp()
