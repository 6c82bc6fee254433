"""A cache plan is pure data: network evaluations x sites, each computed, held or forecast; or an evaluation forecast as a whole.

Shapes: E evaluations, S sites.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ditkit.cache.forecast import CALLED, HELD, Cell, check_column, plain
from ditkit.errors import PlanMismatch
from ditkit.execution import Site, Sites
from ditkit.files.atomic import read_json, write_atomically
from ditkit.files.sketch import same_weights

FORMAT = "ditkit-plan"
LETTERS = {1: "01", 2: "01f"}  # of a row, by version: the second knows forecasts; without any, a plan is written as the first
TIME_TOLERANCE = 1e-3  # model time runs from 0 to 1000; two grids that differ by less are the same grid


@dataclass(frozen=True)
class CachePlan:
    """What is computed at which evaluation, for the time grid it was made for; what is not computed comes from what was.

    `compute[e][s]` belongs to evaluation `e` at model time `times[e]` and to `sites[s]`. A site that is not computed holds its last
    output, unless `forecast[e, s]` has weights for its last ones. At an evaluation in `whole` the network is not called at all: its
    weights are for the network's own last outputs, and no site is computed. `provenance` says where the plan comes from and what it was
    calibrated on. A plan that was made for one `model`, one `solver` or the weights of one sketch names them; None fits any.
    """

    sites: Sites
    times: tuple[float, ...]
    compute: tuple[tuple[bool, ...], ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    weights: str | None = None
    solver: str | None = None
    quality: Mapping[str, Any] = field(default_factory=dict)
    forecast: Mapping[tuple[int, int], Cell] = field(default_factory=dict)
    whole: Mapping[int, Cell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.sites)) != len(self.sites):
            raise PlanMismatch("the plan names a site twice")
        if not all(map(math.isfinite, self.times)):
            raise PlanMismatch("the plan has a time that is not a finite number")
        if len(self.compute) != len(self.times):
            raise PlanMismatch(f"the plan has {len(self.compute)} rows for {len(self.times)} times")
        if any(len(row) != len(self.sites) for row in self.compute):
            raise PlanMismatch(f"every row of the plan must have {len(self.sites)} entries, one for each site")
        if self.compute and (0 in self.whole or not all(self.compute[0])):
            raise PlanMismatch("the plan reuses a branch at the first evaluation, before anything was computed")
        object.__setattr__(self, "forecast", {at: plain(cell) for at, cell in self.forecast.items() if plain(cell) != HELD})
        object.__setattr__(self, "whole", {evaluation: plain(cell) for evaluation, cell in sorted(self.whole.items())})
        self._check_forecasts()

    def _check_forecasts(self) -> None:
        """Raise `PlanMismatch` unless every forecast has finite weights for outputs that were computed before it."""
        places = {(e, s) for e, row in enumerate(self.compute) for s, computed in enumerate(row) if not computed and e not in self.whole}
        if stray := sorted(set(self.forecast) - places):
            raise PlanMismatch(f"the plan has a forecast where there is none to make: row {stray[0][0]}, site {stray[0][1]}")
        if stray := [e for e in self.whole if not 0 <= e < len(self.times) or any(self.compute[e])]:
            raise PlanMismatch(f"the plan forecasts row {stray[0]} as a whole and computes a branch there")
        check_column(self.network_column, "the network")
        for column, site in enumerate(self.sites):
            check_column(self.column(column), str(site))

    def cell(self, evaluation: int, column: int) -> Cell | None:
        """What becomes of a site at an evaluation; None where the network is not called."""
        if evaluation in self.whole:
            return None
        return CALLED if self.compute[evaluation][column] else self.forecast.get((evaluation, column), HELD)

    def column(self, column: int) -> tuple[Cell | None, ...]:
        """What becomes of a site from evaluation to evaluation (E)."""
        return tuple(self.cell(evaluation, column) for evaluation in range(self.evaluations))

    @property
    def network_column(self) -> tuple[Cell, ...]:
        """The same of the network as a whole."""
        return tuple(self.whole.get(evaluation, CALLED) for evaluation in range(self.evaluations))

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
    return {
        "format": FORMAT,
        "version": 2 if plan.forecast or plan.whole else 1,
        "model": plan.model,
        "weights": plan.weights,
        "solver": plan.solver,
        "provenance": dict(plan.provenance),
        "quality": dict(plan.quality),
        "sites": [str(site) for site in plan.sites],
        "rows": [_row_to_data(plan, evaluation) for evaluation in range(plan.evaluations)],
    }


def _row_to_data(plan: CachePlan, evaluation: int) -> dict[str, Any]:
    """`compute` has a letter for each site: 1 computed, 0 held, f forecast, with its weights next in `forecast`."""
    row: dict[str, Any] = {"time": round(plan.times[evaluation], 6)}
    if evaluation in plan.whole:
        return row | {"whole": list(plan.whole[evaluation])}
    cells = [plan.cell(evaluation, column) for column in range(len(plan.sites))]
    row["compute"] = "".join({CALLED: "1", HELD: "0"}.get(cell or CALLED, "f") for cell in cells)
    forecast = [list(cell) for cell in cells if cell and cell != HELD]
    return row | ({"forecast": forecast} if forecast else {})


def from_data(data: Any, where: str) -> CachePlan:
    """The plan that JSON data describes; raises `PlanMismatch`, naming `where` it was found, when it describes none."""
    try:
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise PlanMismatch(f'{where} is not a ditkit plan: it has no "format": "{FORMAT}"')
        if data.get("version") not in LETTERS:
            raise PlanMismatch(f"{where} has plan version {data.get('version')}; this ditkit reads version 1 or 2")
        sites, rows = tuple(_site(name) for name in data["sites"]), data["rows"]
        letters = LETTERS[data["version"]]
        forecast, whole = _forecasts(rows) if "f" in letters else ({}, {})
        return CachePlan(
            sites=sites,
            times=tuple(float(row["time"]) for row in rows),
            compute=tuple((False,) * len(sites) if at in whole else _computed(row["compute"], letters) for at, row in enumerate(rows)),
            provenance=_mapping(data, "provenance"),
            model=_name(data, "model"),
            weights=_name(data, "weights"),
            solver=_name(data, "solver"),
            quality=_mapping(data, "quality"),
            forecast=forecast,
            whole=whole,
        )
    except PlanMismatch as error:
        raise PlanMismatch(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
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


def _forecasts(rows: list[Mapping[str, Any]]) -> tuple[dict[tuple[int, int], Cell], dict[int, Cell]]:
    """The weights of forecast branches, and of evaluations that are forecast as a whole."""
    forecast: dict[tuple[int, int], Cell] = {}
    whole: dict[int, Cell] = {}
    for evaluation, row in enumerate(rows):
        if "whole" in row:
            if "compute" in row:
                raise ValueError(f"row {evaluation} is forecast as a whole and computes branches too")
            whole[evaluation] = _cell(row["whole"])
            continue
        columns = [column for column, letter in enumerate(row["compute"]) if letter == "f"]
        cells = row.get("forecast", [])
        if len(cells) != len(columns):
            raise ValueError(f"row {evaluation} forecasts {len(columns)} branches and has weights for {len(cells)}")
        forecast |= {(evaluation, column): _cell(cell) for column, cell in zip(columns, cells, strict=True)}
    return forecast, whole


def _cell(numbers: Any) -> Cell:
    if not isinstance(numbers, list) or not numbers or any(isinstance(number, bool | str) for number in numbers):
        raise ValueError(f"a forecast is a list of 1 to 3 numbers, not {json.dumps(numbers)}")
    return tuple(map(float, numbers))


def _computed(row: str, letters: str) -> tuple[bool, ...]:
    if set(row) - set(letters):
        raise ValueError(f"a row may hold only {', '.join(letters[:-1])} and {letters[-1]}, not {row!r}")
    return tuple(letter == "1" for letter in row)
