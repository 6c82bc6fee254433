"""Which evaluations are forecast as a whole, and with which weights: a search that takes no runs, on what a `Response` says.

Shapes: M moves, P unknowns.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ditkit.cache.fit import DIGITS
from ditkit.cache.forecast import Cell
from ditkit.errors import ConfigError
from ditkit.routing.response import Response

RIDGE = 1e-2  # of the normal equations' diagonal: responses are those of a few samples
STARTS = 6  # of the local search: evenly spread, front- and back-loaded, and at random


@dataclass(frozen=True)
class Choice:
    """The weights of every evaluation that is forecast, and how far off runs are expected to end (relative, root mean square)."""

    whole: dict[int, Cell]
    error: float


def best_choice(response: Response, skipped: int, order: int, seed: int = 0) -> Choice:
    """Of all ways to forecast so many evaluations from their last `order` outputs, the best that local search finds.

    A step of the search computes one more evaluation and forecasts another instead. Raises `ConfigError` if none can be forecast from
    outputs so near.
    """
    found = [_descended(response, start, order) for start in _starts(response.evaluations, skipped, seed)]
    choices = [choice for choice in found if choice]
    if not choices:
        raise ConfigError(f"{skipped} of {response.evaluations} evaluations cannot be forecast from the {response.window} before them")
    return min(choices, key=lambda choice: choice.error)


def cheapest(response: Response, max_error: float, order: int) -> Choice:
    """The choice that forecasts most evaluations and is still expected to end within `max_error`."""
    best = Choice({}, 0.0)
    for skipped in range(1, response.evaluations):
        try:
            choice = best_choice(response, skipped, order)
        except ConfigError:
            break
        if choice.error > max_error:
            break
        best = choice
    return best


def weighed(response: Response, skipped: Collection[int], order: int) -> Choice | None:
    """The weights with which runs that forecast these evaluations end nearest; None if one has nothing near to be forecast from.

    A forecast is sum_j w_j K_j. With s = sum_j w_j - 1 what it puts in is the move to K_0, s times the evaluation's own output more than
    that, and w_j times the moves from K_0 to K_j.
    """
    place = {move: row for row, move in enumerate(response.moves)}
    base, columns, sources = torch.zeros(len(place), dtype=torch.float64), [], {}
    for evaluation in sorted(skipped):
        near = [e for e in range(evaluation - 1, -1, -1) if e not in skipped][:order]
        near = [e for e in near if (evaluation, e) in place]
        if not near:
            return None
        newest = place[evaluation, near[0]]
        base[newest] += 1
        columns.append(_column(len(place), {newest: 1.0, place[evaluation, evaluation]: 1.0}))
        columns += [_column(len(place), {newest: -1.0, place[evaluation, e]: 1.0}) for e in near[1:]]
        sources[evaluation] = near
    basis_PM = torch.stack(columns)
    normal = basis_PM @ response.products @ basis_PM.T
    slope = basis_PM @ (response.products @ base)
    solved = torch.linalg.solve(normal + torch.diag(RIDGE * normal.diagonal() + 1e-14), -slope)
    end = base + solved @ basis_PM
    return Choice(_weights(solved.tolist(), sources), float((end @ response.products @ end).clamp_min(0).sqrt()))


def _weights(solved: list[float], sources: dict[int, list[int]]) -> dict[int, Cell]:
    whole: dict[int, Cell] = {}
    for evaluation, near in sources.items():
        s, *rest = solved[: len(near)]
        solved = solved[len(near) :]
        whole[evaluation] = tuple(round(weight, DIGITS) for weight in (1 + s - sum(rest), *rest))
    return whole


def _column(length: int, entries: dict[int, float]) -> Tensor:
    column = torch.zeros(length, dtype=torch.float64)
    for row, value in entries.items():
        column[row] += value
    return column


def _starts(evaluations: int, skipped: int, seed: int) -> list[set[int]]:
    """Sets of so many evaluations after the first: evenly spread, more of the early or of the late ones, at random."""
    if not 0 < skipped < evaluations:
        raise ConfigError(f"from 1 to {evaluations - 1} of {evaluations} evaluations can be forecast, not {skipped}")
    generator, last = random.Random(seed), evaluations - 1
    starts = [
        _filled([1 + last * ((index + 0.5) / skipped) ** power for index in range(skipped)], evaluations) for power in (1.0, 0.7, 1.4)
    ]
    return starts + [set(generator.sample(range(1, evaluations), skipped)) for _ in range(STARTS - len(starts))]


def _filled(places: Sequence[float], evaluations: int) -> set[int]:
    """The nearest free evaluation to each place."""
    found: set[int] = set()
    for place in places:
        found.add(min((e for e in range(1, evaluations) if e not in found), key=lambda e: abs(e - place)))
    return found


def _descended(response: Response, start: set[int], order: int) -> Choice | None:
    """Exchange the evaluation that gains most, until none gains."""
    skipped, best = start, weighed(response, start, order)
    while True:
        others = [e for e in range(1, response.evaluations) if e not in skipped]
        tried = [(skipped - {out}) | {into} for out in skipped for into in others]
        found = [(choice, each) for each in tried if (choice := weighed(response, each, order))]
        better = min(found, key=lambda pair: pair[0].error, default=None)
        if better is None or (best is not None and better[0].error >= best.error * (1 - 1e-9)):
            return best
        best, skipped = better
