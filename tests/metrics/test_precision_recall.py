"""Precision and recall of sets whose overlap is known, and against loops over samples."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ditkit.errors import DataError
from ditkit.metrics import precision_recall as module
from ditkit.metrics.bootstrap import mean_interval
from ditkit.metrics.precision_recall import precision_recall
from tests.closeness import near


def features(count: int, seed: int, scale: float = 1.0) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) * scale


def inside(samples: np.ndarray, centres: np.ndarray, k: int) -> list[bool]:
    """Whether some centre is at most as far from the sample as from its own k-th neighbour."""
    radii = [np.sort(np.linalg.norm(centres - centre, axis=1))[k] for centre in centres]
    return [any(np.linalg.norm(sample - centre) <= radius for centre, radius in zip(centres, radii, strict=True)) for sample in samples]


@pytest.mark.parametrize("tile", [7, 2048])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_it_is_what_loops_over_samples_find(k: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE", tile)
    generated, reference = features(40, seed=0, scale=1.5), features(55, seed=1)
    result = precision_recall(generated, reference, k)
    a, b = generated.double().numpy(), reference.double().numpy()
    assert result.generated_inside.tolist() == inside(a, b, k)
    assert result.reference_inside.tolist() == inside(b, a, k)
    assert (result.precision, result.recall) == near((np.mean(inside(a, b, k)), np.mean(inside(b, a, k))))


def test_equal_sets_have_both_and_distant_ones_neither() -> None:
    x = features(30, seed=2)
    same, far = precision_recall(x, x), precision_recall(x, x + 100)
    assert (same.precision, same.recall, far.precision, far.recall) == (1, 1, 0, 0)


def test_one_mode_of_two_is_precise_and_misses_half() -> None:
    left, right = features(50, seed=3, scale=0.1), features(50, seed=4, scale=0.1) + 10
    generated = left + 0.001
    result = precision_recall(generated, torch.cat([left, right]))
    assert result.precision == 1
    assert result.recall == 0.5
    assert mean_interval(result.reference_inside).low > 0.3


def test_broken_features_are_refused() -> None:
    x = features(5, seed=5)
    with pytest.raises(DataError, match="features of 3 samples; this metric needs at least 4"):
        precision_recall(x[:3], x)
    with pytest.raises(DataError, match="NaN or infinite"):
        precision_recall(x, x / 0)
    with pytest.raises(DataError, match="generated features have 4 dimensions, the reference has 2"):
        precision_recall(x, x[:, :2])
