"""Which evaluations are forecast as a whole: a search that takes no runs, on what a `Response` says.

A choice is judged by the sum of squares of what each of its forecasts would do to the end alone, with the weights that are best for it.
That some would cancel is not counted on: weights that are made to cancel do so for the runs they were made on.

Shapes: W earlier evaluations, J outputs that a forecast is made from.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache

import torch

from ditkit.errors import ConfigError
from ditkit.routing.response import Response

RIDGE = 1e-2  # of the normal equations' diagonal: responses are those of a few samples
STARTS = 6  # of the local search: evenly spread, front- and back-loaded, and at random

Judge = Callable[[frozenset[int]], float]
"""How far off runs are expected to end (relative, root mean square) that forecast these evaluations; infinite if they cannot."""


def judge(response: Response, order: int) -> Judge:
    """Judges choices whose forecasts are made from the last `order` outputs."""

    @cache
    def square(evaluation: int, back: tuple[int, ...]) -> float:
        return _least(response, evaluation, back)

    def judged(skipped: frozenset[int]) -> float:
        total = 0.0
        for evaluation in skipped:
            sources = [e for e in range(evaluation - 1, -1, -1) if e not in skipped][:order]
            total += square(evaluation, tuple(evaluation - 1 - e for e in sources if evaluation - e <= response.window))
        return total**0.5

    return judged


def best_choice(response: Response, skipped: int, order: int, seed: int = 0) -> tuple[frozenset[int], float]:
    """Of all ways to forecast so many evaluations the best that local search finds, and how far off runs are expected to end.

    A step of the search computes one more evaluation and forecasts another instead. Raises `ConfigError` if none can be forecast from
    outputs so near.
    """
    judged = judge(response, order)
    found = [_descended(judged, start, response.evaluations) for start in _starts(response.evaluations, skipped, seed)]
    best = min(found, key=judged)
    if judged(best) == float("inf"):
        raise ConfigError(f"{skipped} of {response.evaluations} evaluations cannot be forecast from the {response.window} before them")
    return best, judged(best)


def cheapest(response: Response, max_error: float, order: int) -> frozenset[int]:
    """The choice that forecasts most evaluations and is still expected to end within `max_error`."""
    best: frozenset[int] = frozenset()
    for skipped in range(1, response.evaluations):
        try:
            choice, error = best_choice(response, skipped, order)
        except ConfigError:
            break
        if error > max_error:
            break
        best = choice
    return best


def _least(response: Response, evaluation: int, back: tuple[int, ...]) -> float:
    """The square of the end's move for the best weights, of sum one, of the outputs `back` + 1 evaluations before."""
    if not back:
        return float("inf")
    products = response.products[evaluation]
    newest, rest = back[0], list(back[1:])
    held = float(products[newest, newest])
    if not rest:
        return held
    normal_JJ = products[rest][:, rest] - products[rest, newest][:, None] - products[newest, rest][None] + held
    slope_J = products[rest, newest] - held
    normal_JJ = normal_JJ + torch.diag(RIDGE * normal_JJ.diagonal() + 1e-14)
    return max(held - float(slope_J @ torch.linalg.solve(normal_JJ, slope_J)), 0.0)


def _starts(evaluations: int, skipped: int, seed: int) -> list[frozenset[int]]:
    """Sets of so many evaluations after the first: evenly spread, more of the early or of the late ones, at random."""
    if not 0 < skipped < evaluations:
        raise ConfigError(f"from 1 to {evaluations - 1} of {evaluations} evaluations can be forecast, not {skipped}")
    generator, even = random.Random(seed), [(index + 0.5) / skipped for index in range(skipped)]
    loaded = [_filled([1 + (evaluations - 1) * place**power for place in even], evaluations) for power in (1.0, 0.7, 1.4)]
    return loaded + [frozenset(generator.sample(range(1, evaluations), skipped)) for _ in range(STARTS - len(loaded))]


def _filled(places: Sequence[float], evaluations: int) -> frozenset[int]:
    """The nearest free evaluation to each place."""
    found: set[int] = set()
    for place in places:
        found.add(min((e for e in range(1, evaluations) if e not in found), key=lambda e: abs(e - place)))
    return frozenset(found)


def _descended(judged: Judge, start: frozenset[int], evaluations: int) -> frozenset[int]:
    """Exchange the evaluation that gains most, until none gains."""
    best = start
    while True:
        others = [e for e in range(1, evaluations) if e not in best]
        tried = min(((best - {out}) | {into} for out in best for into in others), key=judged, default=best)
        if not judged(tried) < judged(best) * (1 - 1e-9):
            return best
        best = tried
