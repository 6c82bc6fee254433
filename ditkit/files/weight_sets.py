"""Which set of weights to take of the several that a file may hold: training keeps raw weights, their average and more side by side."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.files.namesakes import listed, with_dots

OPTION = "weights_key"
AVERAGED = re.compile(r"(^|_)(ema|avg|averaged?|swa|polyak|shadow)(_|\d|$)")
RAW = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "network", "net", "online_model", "params", "weights"),
    *("generator", "transformer", "diffusion_model", "dit", "unet", "routers"),
)
"""What people call the weights themselves, the more telling names first."""
NO_WEIGHTS = re.compile(r"^(opt|lr_|sched|scaler|grad|rng|amp|loss|critic|discriminator)")  # what training keeps beside them
DEEPEST = 4  # dictionaries inside each other
BARE = "raw"  # what those are called that lie in one dictionary with their average, under no word of their own


def choose(content: Any, path: Path, key: str | None = None) -> tuple[dict[str, Tensor], str | None]:
    """The weights, and a line that says which set they are if there are several.

    That is the set `key`, else their average, else the raw ones. Raises `CheckpointError` where there are none, none of that name, or
    several of which no name tells which is meant.
    """
    found = dict(_sets(content)) if isinstance(content, Mapping) else {}
    if not found:
        raise CheckpointError(f"{path} holds no weights{_what_instead(content)}")
    raw, unnamed = _raw(found), dict(_unnamed(content))
    found = {name: with_dots(state, found) for name, state in found.items()}
    lists = {name: listed(values, found[raw]) for name, values in unnamed.items()} if raw is not None else {}
    found |= {name: state for name, state in lists.items() if state}
    name = _asked(found, key, path) if key else _best(found, raw, path)
    state = _named(_completed(found[name], found[raw] if raw is not None and _averages(name) else {}), path)
    lost = [f"{list_} is a list of tensors without names that fits no names, or several" for list_ in unnamed if list_ not in found]
    if len(found) == 1:
        return state, f"{path.name}: {'; '.join(lost)}; taken are the weights" if lost else None
    kind = " (the average)" if _averages(name) else ""
    said = f"{path.name} holds the weights {', '.join(found)}; taken are {name}{kind}, {OPTION}=NAME takes others"
    return state, "; ".join((said, *lost))


def _sets(content: Mapping[Any, Any], inside: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Every set by its name; one in another dictionary is named "outer.inner", one of several in a list "outer.0"."""
    parts = {name: _members(value) for name, value in content.items() if not NO_WEIGHTS.search(str(name))}
    nested = [found for name, value in parts.items() if value and len(inside) < DEEPEST for found in _sets(value, (*inside, str(name)))]
    if nested:
        yield from nested
        return
    if not any(isinstance(value, Tensor) and (value.ndim or not inside) for value in content.values()):  # numbers alone are no weights
        if not inside and content and not any(isinstance(value, Mapping | list | tuple) for value in content.values()):
            yield "", content  # for the line that says what it holds
        return
    together = _side_by_side(content)
    if together:
        yield from ((".".join((*inside, name)), state) for name, state in together.items())
    else:
        yield ".".join(inside), content


def _members(value: Any) -> Mapping[Any, Any]:
    """What may hold sets of weights: a dictionary, or a list of several."""
    if isinstance(value, list | tuple) and value and all(isinstance(each, Mapping) for each in value):
        return dict(enumerate(value))
    return value if isinstance(value, Mapping) else {}


def _side_by_side(state: Mapping[Any, Any]) -> dict[str, dict[str, Tensor]]:
    """Sets that lie in one flat dictionary, told by the first word of their names, with whatever else lies there; empty unless several."""
    sets: dict[str, dict[str, Tensor]] = {}
    bare: dict[str, Tensor] = {}
    for name, value in state.items():
        first, _, rest = str(name).partition(".")
        (sets.setdefault(first, {}) if rest else bare)[rest or first] = value
    telling = {first: own for first, own in sets.items() if first in RAW or _averages(first)}
    if len(telling) > 1:
        return sets
    alone = next((first for first in telling if _averages(first)), None)
    if alone is None:
        return {}
    others = {str(name): value for name, value in state.items() if str(name).partition(".")[0] != alone}
    return {BARE: others, alone: sets[alone]} if sets[alone].keys() <= others.keys() else {}


def _unnamed(content: Any, inside: tuple[str, ...] = ()) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """The averages that are kept as a list, in the order of the network's parameters."""
    for name, value in content.items() if isinstance(content, Mapping) and len(inside) < DEEPEST else ():
        place = (*inside, str(name))
        if isinstance(value, Mapping) and not NO_WEIGHTS.search(str(name)):
            yield from _unnamed(value, place)
        elif isinstance(value, list | tuple) and value and all(isinstance(each, Tensor) for each in value) and _averages(".".join(place)):
            yield ".".join(place), value


def _averages(name: str) -> int:
    """How many parts of a set's name, in whatever spelling, say that it is an average."""
    spelt = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return sum(bool(AVERAGED.search(part)) for part in spelt.split("."))


def _asked(found: Mapping[str, Any], key: str, path: Path) -> str:
    matching = [name for name in found if name == key] or [name for name in found if key in (name.split(".")[0], name.split(".")[-1])]
    if len(matching) != 1:
        names = ", ".join(name or "one set without a name" for name in found)
        raise CheckpointError(f"{path} has {'several sets' if matching else 'no weights'} of the name {OPTION}={key}; it has {names}")
    return matching[0]


def _best(found: Mapping[str, Mapping[str, Any]], raw: str | None, path: Path) -> str:
    """The average of the raw weights if it is there, else another average, else the raw ones."""
    averaged = [name for name in found if _averages(name)]
    if averaged:
        names = found[raw].keys() if raw is not None else ()
        return max(averaged, key=lambda name: (found[name].keys() == names, _averages(name)))  # of equals the first
    if raw is None:
        raise CheckpointError(f"{path} holds several sets of weights, {', '.join(found)}; say which with {OPTION}=NAME")
    return raw


def _raw(found: Mapping[str, Any]) -> str | None:
    """The set that is no average and is called like weights; the only one whatever it is called."""
    called = [name for word in RAW for name in found if name.split(".")[-1].lower() == word and not _averages(name)]
    return next(iter(called or (found if len(found) == 1 else ())), None)


def _completed(average: Mapping[Any, Any], raw: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """With what is never trained, and so in no average of parameters."""
    return {**raw, **average} if average.keys() < raw.keys() else average


def _named(state: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """The tensors; numbers and words that lie among them are no weights. Raises `CheckpointError` for anything else."""
    tensors = {str(name): value.detach() for name, value in state.items() if isinstance(value, Tensor)}
    foreign = [name for name, value in state.items() if not isinstance(value, Tensor | int | float | str | None) or not tensors]
    if foreign:
        kind = type(state[foreign[0]]).__name__
        raise CheckpointError(f"{path} holds no weights: its entry '{foreign[0]}' is a {kind}, not a tensor")
    return tensors


def _what_instead(content: Any) -> str:
    if isinstance(content, Mapping):
        lists = [name for name, value in content.items() if isinstance(value, list) and any(isinstance(part, Tensor) for part in value)]
        return f": '{lists[0]}' is a list of tensors without names; save the network's state_dict" if lists else ""
    return f": it is a {type(content).__name__}; save the network's state_dict" if isinstance(content, Tensor) else ""
