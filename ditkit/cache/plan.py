"""A cache plan is pure data: network evaluations x sites, True = compute, False = reuse the last computed output."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ditkit.errors import PlanMismatch
from ditkit.execution import Site, Sites
from ditkit.files.atomic import read_json, write_atomically
from ditkit.files.sketch import same_weights

FORMAT = "ditkit-plan"
VERSION = 1
TIME_TOLERANCE = 1e-3  # model time runs from 0 to 1000; two grids that differ by less are the same grid


@dataclass(frozen=True)
class CachePlan:
    """Which site is computed at which evaluation, for the time grid it was made for.

    `compute[e][s]` belongs to evaluation `e` at model time `times[e]` and to `sites[s]`; `provenance` says where it comes from.
    A plan that was made for one `model`, one `solver` or the weights of one sketch names them; None fits any.
    """

    sites: Sites
    times: tuple[float, ...]
    compute: tuple[tuple[bool, ...], ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    weights: str | None = None
    solver: str | None = None
    quality: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.sites)) != len(self.sites):
            raise PlanMismatch("the plan names a site twice")
        if not all(map(math.isfinite, self.times)):
            raise PlanMismatch("the plan has a time that is not a finite number")
        if len(self.compute) != len(self.times):
            raise PlanMismatch(f"the plan has {len(self.compute)} rows for {len(self.times)} times")
        if any(len(row) != len(self.sites) for row in self.compute):
            raise PlanMismatch(f"every row of the plan must have {len(self.sites)} entries, one for each site")
        if self.compute and not all(self.compute[0]):
            raise PlanMismatch("the plan reuses a branch at the first evaluation, before anything was computed")

    @property
    def evaluations(self) -> int:
        return len(self.times)

    @property
    def reused(self) -> float:
        """The share of site evaluations that are reused, in [0, 1]."""
        cells = self.evaluations * len(self.sites)
        return 1 - sum(map(sum, self.compute)) / cells if cells else 0.0

    def check_fits(
        self, sites: Sites, times: Sequence[float], *, model: str | None = None, weights: str | None = None, solver: str | None = None
    ) -> None:
        """Raise `PlanMismatch` unless the plan was made for these sites and this time grid, and for whatever else both sides name."""
        if self.model and model and self.model != model:
            raise PlanMismatch(f"the plan was made for {self.model}, not for {model}")
        if self.sites != sites:
            raise PlanMismatch(
                f"the plan is for a model with {len(self.sites)} sites ({_span(self.sites)}), this one has {len(sites)} ({_span(sites)})"
            )
        if self.evaluations != len(times):
            raise PlanMismatch(
                f"the plan covers {self.evaluations} evaluations, this run makes {len(times)}; "
                f"use --steps {self.evaluations} or another plan"
            )
        for row, (mine, asked) in enumerate(zip(self.times, times, strict=True)):
            if abs(mine - asked) > TIME_TOLERANCE:
                raise PlanMismatch(
                    f"the plan was made for another time grid: row {row} is for time {mine:g}, this run evaluates at {asked:g}"
                )
        if self.solver and solver and self.solver != solver:
            raise PlanMismatch(f"the plan was made for the solver {self.solver}, not for {solver}")
        if self.weights and weights and not same_weights(self.weights, weights):
            raise PlanMismatch(f"the plan was made for other weights of {self.model or 'this model'}; make one for these")


def _span(sites: Sites) -> str:
    return f"{sites[0]} to {sites[-1]}" if sites else "none"


def to_data(plan: CachePlan) -> dict[str, Any]:
    """The plan as JSON data; `from_data` is the inverse."""
    rows = [
        {"time": round(time, 6), "compute": "".join("1" if cell else "0" for cell in row)}
        for time, row in zip(plan.times, plan.compute, strict=True)
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": plan.model,
        "weights": plan.weights,
        "solver": plan.solver,
        "provenance": dict(plan.provenance),
        "quality": dict(plan.quality),
        "sites": [str(site) for site in plan.sites],
        "rows": rows,
    }


def from_data(data: Any, where: str) -> CachePlan:
    """The plan that JSON data describes; raises `PlanMismatch`, naming `where` it was found, when it describes none."""
    try:
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise PlanMismatch(f'{where} is not a ditkit plan: it has no "format": "{FORMAT}"')
        if data.get("version") != VERSION:
            raise PlanMismatch(f"{where} has plan version {data.get('version')}; this ditkit reads version {VERSION}")
        return CachePlan(
            sites=tuple(_site(name) for name in data["sites"]),
            times=tuple(float(row["time"]) for row in data["rows"]),
            compute=tuple(_cells(row["compute"]) for row in data["rows"]),
            provenance=_mapping(data, "provenance"),
            model=_name(data, "model"),
            weights=_name(data, "weights"),
            solver=_name(data, "solver"),
            quality=_mapping(data, "quality"),
        )
    except KeyError as error:
        raise PlanMismatch(f"{where} is not a ditkit plan: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise PlanMismatch(f"{where} is not a ditkit plan: {error}") from error


def write_plan(plan: CachePlan, path: Path) -> None:
    """Write the plan as JSON with one line per evaluation, so that a diff shows what changed."""
    head = to_data(plan)
    rows = ",\n".join("    " + json.dumps(row) for row in head.pop("rows"))
    text = json.dumps(head, indent=2)[:-2] + ',\n  "rows": [\n' + rows + "\n  ]\n}\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_plan(path: Path) -> CachePlan:
    """Read a plan written by `write_plan`; raises `PlanMismatch` with the reason when it cannot be one."""
    return from_data(read_json(path, "plan", PlanMismatch), str(path))


def _name(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} must be a name or null, not {value!r}")
    return value


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise TypeError(f"{key} must be an object, not {value!r}")
    return value


def _site(name: str) -> Site:
    block, branch = name.split(".", 1)
    return Site(int(block), branch)


def _cells(row: str) -> tuple[bool, ...]:
    if set(row) - {"0", "1"}:
        raise ValueError(f"a row may hold only 0 and 1, not {row!r}")
    return tuple(cell == "1" for cell in row)
