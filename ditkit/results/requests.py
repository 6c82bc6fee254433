"""What runs asked of their models, as their manifests have it, compared: are they of one model, do they share samples?"""

from collections.abc import Mapping, Sequence
from typing import Any

from ditkit.errors import RequestError

Request = Mapping[str, Any]
BLOCKED = ("seeds", "labels", "batch")  # in what runs may differ that are blocks of one row


def check_same_model(runs: Sequence[tuple[str, Mapping[str, Any] | None]], *, across: bool) -> None:
    """Raise `RequestError` for runs of different models or weights, unless they are meant to be compared."""
    if across:
        return
    models = {request["model"]: name for name, request in runs if request}
    if len(models) > 1:
        (one, its), (other, theirs), *_ = models.items()
        raise RequestError(f"{its} is of {one}, {theirs} of {other}; add across=true to compare different models")
    weights = {known: name for name, request in runs if request and (known := _weights(request))}
    if len(weights) > 1:
        its, theirs, *_ = weights.values()
        raise RequestError(f"{its} and {theirs} are of {next(iter(models))} with different weights; add across=true to compare them")


def _weights(request: Mapping[str, Any]) -> str | None:
    """What tells the weights of a run from others; None for a run that did not write it down."""
    origin = request.get("weights") or {}
    return origin.get("fingerprint") or origin.get("sketch")  # random ones have no file, and so no fingerprint


def blocks(runs: Sequence[tuple[str, Request | None]]) -> list[list[int]]:
    """The runs by what was asked of the model, as indices in the order given; whatever is no run stands alone.

    Raises `RequestError` for blocks that share samples.
    """
    groups: list[list[int]] = []
    for index, (_, request) in enumerate(runs):
        mine = [group for group in groups if request and (first := runs[group[0]][1]) and _asked(first) == _asked(request)]
        (mine[0] if mine else groups.append([]) or groups[-1]).append(index)
    for group in groups:
        _check_seeds([runs[index] for index in group])
    return groups


def _asked(request: Request) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in BLOCKED}


def _check_seeds(runs: Sequence[tuple[str, Request | None]]) -> None:
    seen: dict[tuple[int, int], str] = {}
    for name, request in runs:
        for made in zip((request or {}).get("labels", ()), (request or {}).get("seeds", ()), strict=True):
            if made in seen:
                raise RequestError(f"{seen[made]} and {name} both have seed {made[1]}; blocks must not share samples: give other seeds")
            seen[made] = name
