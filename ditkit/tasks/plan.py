"""`ditkit plan`: what a plan does, somebody else's schedule as a plan, and how two plans differ."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ditkit.cache.cost import trajectory_cost
from ditkit.cache.forecast import CALLED, HELD
from ditkit.cache.imports import plan_from_router, plan_from_smoothcache, read_router
from ditkit.cache.plan import CachePlan, read_plan, write_plan
from ditkit.cache.words import in_words, steps_mask
from ditkit.config.checks import check_known, check_part
from ditkit.config.numbers import whole
from ditkit.config.schema import AutoSampler, DDIMConfig
from ditkit.errors import ConfigError, DitkitError, PlanMismatch
from ditkit.execution import Site
from ditkit.files.atomic import write_atomically
from ditkit.files.tensors import read_options
from ditkit.models import registry
from ditkit.models.blank import blank
from ditkit.results.heatmap import draw_plan
from ditkit.results.report import Cell, Report
from ditkit.tasks.shared import build

LETTERS = {CALLED: "#", HELD: "."}
FEW = 2  # branches whose weights are shown
EXPORTS = ("cache-dit",)
PUBLISHED = {  # whose routers have been published, by their number of sites and the side of the pictures
    56: {256: "dit-xl-2-256", 512: "dit-xl-2-512"},
    58: {256: "uvit-h-2-256", 512: "uvit-h-4-512"},
}
THRESHOLDS = {"dit": 0.1, "uvit": 0.9}  # that they were published with


def show(file: str, png: str | None = None) -> Report:
    """What a plan computes and reuses, in a sentence and evaluation by evaluation; the heatmap too if `png` names a file."""
    plan = read_plan(Path(file))
    branches = list(dict.fromkeys(site.branch for site in plan.sites))
    rows: list[list[Cell]] = []
    for evaluation, (time, row) in enumerate(zip(plan.times, plan.compute, strict=True)):
        patterns = [_pattern(plan, evaluation, branch) for branch in branches]
        rows.append([f"{time:.2f}", *patterns, f"{1 - sum(row) / len(row):.0%}", _weights(plan, evaluation)])
    files = []
    if png:
        draw_plan(plan, Path(png), plan.model or "")
        files.append(Path(png))
    columns = ["time", *branches, "reused", "weights"]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    notes = [in_words(plan), _key(plan)]
    data = {"reused": plan.reused, "in_words": in_words(plan)}
    return Report(f"plan {file}", _facts(plan), columns, rows, files, notes, data)


def export(file: str, to: str, out: str) -> Report:
    """The plan as another library takes it; of cache-dit that is the mask of steps that are computed."""
    check_known("library", to, EXPORTS)
    target, plan = Path(out), read_plan(Path(file))
    if target.exists():
        raise DitkitError(f"{target} exists already; remove it or choose another name")
    mask = steps_mask(plan)
    text = json.dumps({"steps_computation_mask": mask}) + "\n"
    write_atomically(target, lambda part: part.write_text(text, encoding="utf-8"))
    notes = [f"cache_dit.DBCacheConfig(steps_computation_mask=json.load(open({out!r}))['steps_computation_mask'])"]
    if plan.forecast or plan.whole:
        notes.append("the mask says where to compute; the weights stay behind: cache-dit forecasts by its own calibrator")
    return Report("exported", {"computed": f"{sum(mask)} of {len(mask)} steps"}, files=[target], notes=notes, data={"mask": mask})


def import_plan(source: str, out: str, *, threshold: float | None = None, model: str | None = None, steps: int | None = None) -> Report:
    """A published Learning-to-Cache router, or a SmoothCache schedule (.json), as a plan file; notes say what was taken for granted."""
    target = Path(out)
    if target.exists():
        raise DitkitError(f"{target} exists already; remove it or choose another name")
    if threshold is not None:
        check_part("threshold", threshold)
    schedule = Path(source).suffix == ".json"
    plan, notes = (_smoothcache(Path(source), model, steps), []) if schedule else _router(Path(source), threshold, model)
    write_plan(plan, target)
    return Report("imported", _facts(plan), files=[target], notes=notes, data={"reused": plan.reused})


def _pattern(plan: CachePlan, evaluation: int, branch: str) -> str:
    """A letter for each block: # computed, . held, ~ forecast, and _ where the network is not called."""
    columns = [column for column, site in enumerate(plan.sites) if site.branch == branch]
    return "".join("_" if (cell := plan.cell(evaluation, column)) is None else LETTERS.get(cell, "~") for column in columns)


def _key(plan: CachePlan) -> str:
    key = "# computed, . reused"
    key += ", ~ forecast" if plan.forecast else ""
    key += ", _ network not called" if plan.whole else ""
    return key + "; blocks from left to right"


def _weights(plan: CachePlan, evaluation: int) -> str:
    """Those of an evaluation that is forecast as a whole, newest output first; of forecast branches how many there are."""
    if evaluation in plan.whole:
        return " ".join(f"{weight:+.3f}" for weight in plan.whole[evaluation])
    own = [cell for (at, _), cell in plan.forecast.items() if at == evaluation]
    if len(own) <= FEW:
        return "; ".join(" ".join(f"{weight:+.3f}" for weight in cell) for cell in own)
    return f"of {len(own)} branches"


def diff(one: str, other: str) -> Report:
    """Where two plans for the same sites and times differ."""
    mine, theirs = read_plan(Path(one)), read_plan(Path(other))
    try:
        theirs.check_fits(mine.sites, mine.times)
    except PlanMismatch as error:
        sizes = [f"{plan.evaluations} evaluations of {len(plan.sites)} branches from time {plan.times[0]:g}" for plan in (mine, theirs)]
        raise PlanMismatch(f"{one} and {other} are for different runs: {sizes[0]}, and {sizes[1]}") from error
    rows: list[list[Cell]] = []
    for time, before, after in zip(mine.times, mine.compute, theirs.compute, strict=True):
        only_mine, only_theirs = (list(_named(mine, first, second)) for first, second in ((before, after), (after, before)))
        if only_mine or only_theirs:
            rows.append([f"{time:.2f}", _short(only_mine), _short(only_theirs)])
    cells = sum(
        left != right for before, after in zip(mine.compute, theirs.compute, strict=True) for left, right in zip(before, after, strict=True)
    )
    facts: dict[str, Cell] = {
        "differ in": f"{cells} of {mine.evaluations * len(mine.sites)} cells, {len(rows)} of {mine.evaluations} evaluations",
        "reused": f"{mine.reused:.1%} and {theirs.reused:.1%}",
    }
    if forecasts := [{**plan.forecast, **plan.whole} for plan in (mine, theirs) if plan.forecast or plan.whole]:
        one_s, other_s = forecasts[0], forecasts[-1] if len(forecasts) > 1 else {}
        apart = sum(one_s.get(at) != other_s.get(at) for at in {*one_s, *other_s})
        facts["weights differ in"] = f"{apart} of {len({*one_s, *other_s})} forecasts"
    return Report(f"{one} and {other}", facts, ("time", "only the first computes", "only the second computes"), rows, data={"cells": cells})


def _router(source: Path, threshold: float | None, model: str | None) -> tuple[CachePlan, list[str]]:
    routers, taken = read_router(source)
    branches = len(routers[0])
    _check_steps(source, len(routers))
    told, stated = _owner(source, branches)
    name = model or told
    if name is None:
        raise ConfigError(f"{source} gates {branches} branches{f' and {stated}' if stated else ''}; say with --model whose it is")
    spec = registry.find(name)
    if spec.family not in THRESHOLDS:
        raise PlanMismatch(f"Learning-to-Cache has routers for DiT and U-ViT, not for {spec.family}")
    notes = [taken] if taken else []
    if model is None:
        notes.append(f"taken for {name}'s: {stated or f'the published routers of {branches} branches are; --model says otherwise'}")
    elif stated and told != model:
        notes.append(f"taken for {model}'s, although {stated}")
    if threshold is None:
        threshold = THRESHOLDS[spec.family]
        notes.append(f"computed where the score is above {threshold}, as published for {spec.family}; --threshold says otherwise")
    solver = build.solver(AutoSampler(), spec, len(routers), reusing=True)
    if spec.family == "dit":
        solver = build.solver(DDIMConfig(), spec, len(routers))
    plan = plan_from_router(routers, spec.family, blank(spec.params).sites, solver.times, threshold, {"file": source.name})
    return replace(plan, model=name, solver=solver.name), notes


def _check_steps(source: Path, routers: int) -> None:
    """Raise `PlanMismatch` for a file whose options say another number of steps than it has vectors."""
    said = read_options(source).get("num_sampling_steps")
    if (steps := said if isinstance(said, int) else whole(str(said))) is not None and steps != routers:
        raise PlanMismatch(f"{source} contradicts itself: its options say num_sampling_steps {steps}, and it has {routers} vectors")


def _owner(source: Path, branches: int) -> tuple[str | None, str | None]:
    """Whose router a file holds, as its own options or else the published ones tell; and what its options say, if anything."""
    options = read_options(source)
    said, model = options.get("image_size"), options.get("model")
    published = PUBLISHED.get(branches, {})
    if said is None and model is None:
        return published.get(256), None
    size = 256 if said is None else said if isinstance(said, int) else whole(str(said))
    by_name = f"{str(model).lower().replace('/', '-')}-{size}"  # DiT-XL/2
    found = by_name if by_name in registry.SPECS else None if model or size is None else published.get(size)
    words = [f"{name} {value}" for name, value in (("model", model), ("image_size", said)) if value is not None]
    return found, f"its options say {' and '.join(words)}"


def _smoothcache(source: Path, model: str | None, steps: int | None) -> CachePlan:
    if model is None:
        raise ConfigError("a SmoothCache schedule does not say for which model it is; say so with --model")
    spec = registry.find(model)
    solver = build.solver(AutoSampler(), spec, steps or spec.defaults.steps, reusing=True)
    return replace(plan_from_smoothcache(source, blank(spec.params).sites, solver.times), model=model, solver=solver.name)


def _facts(plan: CachePlan) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        "model": plan.model or "any with these sites",
        "weights": "any" if plan.weights is None else f"sketch {plan.weights[:12]}...",
        "solver": plan.solver or "any with these times",
        "evaluations": f"{plan.evaluations}, from time {plan.times[0]:g} to {plan.times[-1]:g}",
        "sites": len(plan.sites),
        "reused": f"{plan.reused:.2%} of all branches",
    }
    if plan.model in registry.SPECS:
        costs = blank(registry.find(plan.model).params).multiply_adds()
        facts["multiply-adds"] = f"{trajectory_cost(costs, plan.evaluations, 1, plan).saved:.1%} less"
    made = {key: value for key, value in plan.provenance.items() if key != "config"}  # that is long, and in the file
    facts |= {_word(key, "made by"): str(value) for key, value in made.items()}
    return facts | {_word(key, "measured by"): str(value) for key, value in plan.quality.items()}


def _word(key: str, command: str) -> str:
    """What a value of the file is called where people read it."""
    return command if key == "command" else key.replace("_", " ")


def _named(plan: CachePlan, row: tuple[bool, ...], other: tuple[bool, ...]) -> Iterator[Site]:
    """The sites that `row` computes and `other` does not."""
    return (site for site, mine, theirs in zip(plan.sites, row, other, strict=True) if mine and not theirs)


def _short(sites: list[Site], most: int = 8) -> str:
    return ", ".join(map(str, sites[:most])) + (f" and {len(sites) - most} more" if len(sites) > most else "")
