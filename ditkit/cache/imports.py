"""Other people's cache schedules as plans: Learning-to-Cache's published routers, and SmoothCache's JSON.

A published router file holds one vector of scores before the sigmoid per step, "0.prob", "1.prob", ...: two entries per block,
attention then MLP. DiT counts steps from the cleanest and gates every even one, which reuses the step before it; U-ViT counts
solver steps from the noisiest and gates the first of a step's two evaluations, which reuses the midpoint of the step before.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.errors import PlanMismatch
from ditkit.execution import Sites
from ditkit.files.atomic import read_json
from ditkit.files.tensors import read_weights

VECTOR = re.compile(r"((?:[a-z_]\w*\.)*)(\d+)\.prob")
BRANCHES = {"attn": ("attn", "attn1", "self"), "cross": ("attn2", "cross"), "mlp": ("mlp", "ff", "feedforward")}  # ours: theirs


class Routers(NamedTuple):
    """The score vectors of a router file in its own order, and a line that says which set of them was taken if it holds several."""

    vectors: tuple[Tensor, ...]
    note: str | None


def read_router(path: Path) -> Routers:
    """What a published router file holds, behind whatever its training put before the names; raises `PlanMismatch` for anything else.

    Of what the file holds beside them (the optimiser's state, a pickled Namespace) nothing is used, and no code in it runs.
    """
    state, note, _ = read_weights(path)
    found = [match for name in state if (match := VECTOR.fullmatch(name))]
    numbers = {int(match[2]): match[0] for match in found}
    if len(found) < len(state) or len({match[1] for match in found}) > 1 or sorted(numbers) != list(range(len(state))):
        raise PlanMismatch(f"{path} is no router of Learning-to-Cache: it should hold 0.prob, 1.prob, ... and nothing else")
    routers = tuple(state[numbers[index]].float() for index in range(len(state)))
    if any(router.shape != routers[0].shape or router.dim() != 1 for router in routers):
        raise PlanMismatch(f"{path} is no router of Learning-to-Cache: its vectors differ in length")
    return Routers(routers, note)


def plan_from_router(
    routers: Sequence[Tensor], family: str, sites: Sites, times: Sequence[float], threshold: float, provenance: Mapping[str, Any]
) -> CachePlan:
    """Compute where sigmoid(score) > `threshold`. `family` is "dit" or "uvit": which vector gates which evaluation."""
    if len(routers[0]) != len(sites):
        raise PlanMismatch(f"the router gates {len(routers[0])} branches, the model has {len(sites)}")
    if len(routers) != len(times):
        raise PlanMismatch(f"the router is for {len(routers)} evaluations, not for {len(times)}")
    gates = _gates(family, len(times))
    full = (True,) * len(sites)
    rows = tuple(_active(routers[gates[row]], threshold) if row in gates else full for row in range(len(times)))
    return CachePlan(sites, tuple(times), rows, {"policy": "l2c", "threshold": threshold, **provenance})


def _gates(family: str, evaluations: int) -> dict[int, int]:
    """Which router gates which evaluation; the others compute everything."""
    if family == "uvit":
        return {2 * step: step for step in range(1, evaluations // 2)}
    return {evaluations - 1 - index: index for index in range(0, evaluations - 1, 2)}


def _active(scores: Tensor, threshold: float) -> tuple[bool, ...]:
    return tuple((torch.sigmoid(scores) > threshold).tolist())


def plan_from_smoothcache(path: Path, sites: Sites, times: Sequence[float]) -> CachePlan:
    """SmoothCache's schedule: for each kind of layer a list of 1 (compute) and 0 (reuse), one entry per evaluation."""
    schedule = read_json(path, "SmoothCache schedule", PlanMismatch)
    if not isinstance(schedule, Mapping) or not schedule:
        raise PlanMismatch(f'{path} is no SmoothCache schedule: it should be an object such as {{"attn": [1, 0, ...], "mlp": [1, 0, ...]}}')
    columns = {branch: _column(schedule, branch, len(times), path) for branch in {site.branch for site in sites}}
    unknown = [name for name in schedule if not any(_means(name, branch) for branch in columns)]
    if unknown:
        raise PlanMismatch(f"{path} schedules '{unknown[0]}', which this model does not have; it has {', '.join(sorted(columns))}")
    rows = tuple(tuple(columns[site.branch][row] for site in sites) for row in range(len(times)))
    return CachePlan(sites, tuple(times), rows, {"policy": "smoothcache", "file": path.name})


def _column(schedule: Mapping[str, Any], branch: str, evaluations: int, path: Path) -> list[bool]:
    """One branch's entries; a branch that the schedule leaves out is always computed."""
    for name, values in schedule.items():
        if _means(name, branch):
            if not isinstance(values, list) or len(values) != evaluations or any(value not in (0, 1) for value in values):
                raise PlanMismatch(f"{path}: '{name}' must be a list of {evaluations} numbers 0 or 1, one per evaluation")
            return [bool(value) for value in values]
    return [True] * evaluations


def _means(name: str, branch: str) -> bool:
    """Whether a kind of layer is this branch: its last part says so, as in "DiTBlock-attn1"."""
    last = re.split(r"[-.]", name)[-1].lower()
    return last in BRANCHES["attn" if branch == "self" else branch]
