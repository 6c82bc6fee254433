"""Which evaluations are forecast as a whole: a search that takes no runs, on how alike what the network says is along undisturbed ones.

A choice is judged by the sum of squares of what each of its forecasts does to the end, with the weights that are best for it: what it
leaves over of the network's output, times how far that moves the end in miniature. That some would cancel is not counted on: weights that
are made to cancel do so for the runs they were made on.

Shapes: E evaluations, J outputs that a forecast is made from.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from functools import cache
from random import Random

import numpy as np

from ditkit.errors import ConfigError
from ditkit.routing.miniature import Miniature

RIDGE = 1e-2  # of the normal equations' diagonal: the products are those of a few samples
LOADED = (1.0, 0.7, 1.4)  # starts of the local search: evenly spread, more of the late evaluations, more of the early ones;
DRAWN = 5  # and some that are drawn, for it ends in many places
NEAREST = 8  # evaluations on either side that one may be exchanged for

Judge = Callable[[frozenset[int]], float]
"""How far off runs are expected to end (relative, root mean square) that forecast these evaluations, never the first."""


def judge(products_EE: np.ndarray, miniature: Miniature, order: int) -> Judge:
    """Judges choices whose forecasts are made from the last `order` outputs; `products_EE` are in units of the ends."""

    @cache
    def least(evaluation: int, *computed: int) -> tuple[float, dict[int, float]]:
        return _least(products_EE, evaluation, computed)

    def judged(skipped: frozenset[int]) -> float:
        found = {evaluation: least(evaluation, *made) for evaluation, made in sources(skipped, len(products_EE), order).items()}
        gains = miniature.gains({evaluation: weights for evaluation, (_, weights) in found.items()})
        return sum(gains[evaluation] ** 2 * left for evaluation, (left, _) in found.items()) ** 0.5

    return judged


def sources(skipped: Collection[int], evaluations: int, order: int) -> dict[int, tuple[int, ...]]:
    """By evaluation that is skipped, the last `order` ones before it that are not, newest first."""
    found: dict[int, tuple[int, ...]] = {}
    computed: tuple[int, ...] = ()
    for evaluation in range(evaluations):
        if evaluation in skipped:
            found[evaluation] = computed
        else:
            computed = (evaluation, *computed[: order - 1])
    return found


def best_choice(judged: Judge, skipped: int, evaluations: int) -> frozenset[int]:
    """Of all ways to forecast so many evaluations the best that local search finds.

    A step of the search computes one more evaluation and forecasts another instead.
    """
    starts = [*_starts(evaluations, skipped), by_residuals(judged, skipped, evaluations)]
    return min((_descended(judged, start, evaluations) for start in starts), key=judged)


def by_residuals(judged: Judge, skipped: int, evaluations: int) -> frozenset[int]:
    """One evaluation more at a time, of which least that counts is left over: all cost alike, so it is also the least per unit of cost."""
    found = frozenset[int]()
    for _ in range(skipped):
        found = min((found | {e} for e in range(1, evaluations) if e not in found), key=judged)
    return found


def cheapest(judged: Judge, max_error: float, evaluations: int) -> frozenset[int]:
    """The choice that forecasts most evaluations and is still expected to end within `max_error`: the more, the further off."""
    choices: dict[int, frozenset[int]] = {0: frozenset()}

    def expected(skipped: int) -> float:
        choices[skipped] = best_choice(judged, skipped, evaluations)
        return judged(choices[skipped])

    return choices[bisect_right(range(1, evaluations), max_error, key=expected)]


def _least(products_EE: np.ndarray, evaluation: int, computed: Sequence[int]) -> tuple[float, dict[int, float]]:
    """What is left over of the square of an output, forecast from those of `computed` with the best weights of sum one, and the weights."""
    newest, *rest = computed
    beside = [newest, *rest, evaluation]
    known = products_EE[np.ix_(beside, beside)]
    changes = known - known[:1] - known[:, :1] + known[0, 0]  # products of the differences to the newest
    basis, wanted, held = changes[1:-1, 1:-1], changes[1:-1, -1], changes[-1, -1]
    weights = np.linalg.solve(basis + np.diag(RIDGE * basis.diagonal() + 1e-14), wanted)
    return max(float(held - weights @ wanted), 0.0), {newest: 1 - float(weights.sum()), **dict(zip(rest, weights.tolist(), strict=True))}


def _starts(evaluations: int, skipped: int) -> list[frozenset[int]]:
    """Sets of so many evaluations after the first: evenly spread, more of the late or of the early ones, and drawn."""
    if not 0 < skipped < evaluations:
        raise ConfigError(f"from 1 to {evaluations - 1} of {evaluations} evaluations can be forecast, not {skipped}")
    even = [(index + 0.5) / skipped for index in range(skipped)]
    loaded = [_filled([1 + (evaluations - 1) * place**power for place in even], evaluations) for power in LOADED]
    drawing = Random(0)
    return loaded + [frozenset(drawing.sample(range(1, evaluations), skipped)) for _ in range(DRAWN)]


def _filled(places: Sequence[float], evaluations: int) -> frozenset[int]:
    """The nearest free evaluation to each place."""
    found: set[int] = set()
    for place in places:
        found.add(min((e for e in range(1, evaluations) if e not in found), key=lambda e: abs(e - place)))
    return frozenset(found)


def _descended(judged: Judge, start: frozenset[int], evaluations: int) -> frozenset[int]:
    """Exchange the evaluation that gains most, until none gains."""
    best, error = start, judged(start)
    while True:
        others = [e for e in range(1, evaluations) if e not in best]
        near = [(out, into) for out in best for into in others if abs(out - into) <= NEAREST]
        tried = min(((best - {out}) | {into} for out, into in near), key=judged, default=best)
        if not (now := judged(tried)) < error * (1 - 1e-9):
            return best
        best, error = tried, now
