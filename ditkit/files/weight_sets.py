"""Which set of weights to take of the several that a file may hold: training keeps raw weights, their average and more side by side."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ditkit.errors import CheckpointError

OPTION = "weights_key"
AVERAGED = re.compile(r"(^|[._])(ema|avg|averaged?|swa|polyak|shadow)([._\d]|$)")
RAW = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "network", "net", "online_model", "params", "weights"),
    *("generator", "transformer", "diffusion_model", "dit", "unet", "routers"),
)
"""What people call the weights themselves, the more telling names first."""
NO_WEIGHTS = re.compile(r"^(opt|lr_|sched|scaler|grad|rng|amp|loss|critic|discriminator)")  # what training keeps beside them
DEEPEST = 4  # dictionaries inside each other


def choose(content: Any, path: Path, key: str | None = None) -> tuple[dict[str, Tensor], str | None]:
    """The weights, and a line that says which set they are if there are several.

    That is the set `key`, else their average, else the raw ones. Raises `CheckpointError` where there are none, none of that name, or
    several of which no name tells which is meant.
    """
    found = dict(_sets(content)) if isinstance(content, Mapping) else {}
    if not found:
        raise CheckpointError(f"{path} holds no weights{_what_instead(content)}")
    name = _asked(found, key, path) if key else _best(found, path)
    state = _named(found[name], path)
    if len(found) == 1:
        return state, None
    kind = " (the average)" if AVERAGED.search(name) else ""
    return state, f"{path.name} holds the weights {', '.join(found)}; taken are {name}{kind}, {OPTION}=NAME takes others"


def _sets(content: Mapping[Any, Any], inside: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Every set by its name; one in another dictionary is named "outer.inner"."""
    parts = {name: value for name, value in content.items() if isinstance(value, Mapping) and not NO_WEIGHTS.search(str(name))}
    nested = [found for name, value in parts.items() if len(inside) < DEEPEST for found in _sets(value, (*inside, str(name)))]
    if nested:
        yield from nested
        return
    if not any(isinstance(value, Tensor) for value in content.values()):
        if not inside and content and not any(isinstance(value, Mapping | list | tuple) for value in content.values()):
            yield "", content  # for the line that says what it holds
        return
    together = _side_by_side(content)
    if together:
        yield from ((".".join((*inside, name)), state) for name, state in together.items())
    else:
        yield ".".join(inside), content


def _side_by_side(state: Mapping[Any, Any]) -> dict[str, dict[str, Tensor]]:
    """Sets that lie in one flat dictionary, told by the first word of their names; empty unless there are several and nothing else.

    Counters without a network's names ("n_averaged", "step") belong to none.
    """
    sets: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        first, _, rest = str(name).partition(".")
        if not rest and isinstance(value, Tensor) and value.ndim == 0:
            continue
        if not rest or not (first in RAW or AVERAGED.search(first)):
            return {}
        sets.setdefault(first, {})[rest] = value
    return sets if len(sets) > 1 else {}


def _asked(found: Mapping[str, Any], key: str, path: Path) -> str:
    matching = [name for name in found if name == key] or [name for name in found if key in (name.split(".")[0], name.split(".")[-1])]
    if len(matching) != 1:
        names = ", ".join(name or "one set without a name" for name in found)
        raise CheckpointError(f"{path} has {'several sets' if matching else 'no weights'} of the name {OPTION}={key}; it has {names}")
    return matching[0]


def _best(found: Mapping[str, Any], path: Path) -> str:
    averaged = [name for name in found if AVERAGED.search(name)]
    if averaged:
        return averaged[0]
    raw = [name for word in RAW for name in found if name.split(".")[-1] == word]
    if not raw and len(found) > 1:
        raise CheckpointError(f"{path} holds several sets of weights, {', '.join(found)}; say which with {OPTION}=NAME")
    return raw[0] if raw else next(iter(found))


def _named(state: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    foreign = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        kind = type(state[foreign[0]]).__name__
        raise CheckpointError(f"{path} holds no weights: its entry '{foreign[0]}' is a {kind}, not a tensor")
    return {str(name): value.detach() for name, value in state.items()}


def _what_instead(content: Any) -> str:
    if isinstance(content, Mapping):
        lists = [name for name, value in content.items() if isinstance(value, list) and any(isinstance(part, Tensor) for part in value)]
        return f": '{lists[0]}' is a list of tensors without names; save the network's state_dict" if lists else ""
    return f": it is a {type(content).__name__}; save the network's state_dict" if isinstance(content, Tensor) else ""
