"""A plan as a picture: what is computed, held and forecast, when and where."""

from pathlib import Path
from typing import Any

from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan
from ditkit.results.figure import figure

COMPUTED, REUSED, FORECAST = "#1f4e79", "#dbe7f3", "#e69f00"
WIDEST = 9.0  # inches of the part with the cells
TIMES_SHOWN = 26


def draw_plan(plan: CachePlan, path: Path, title: str = "") -> None:
    """The plan as a heatmap: evaluations from left to right, a row per site, branches in panels one above the other."""
    branches = list(dict.fromkeys(site.branch for site in plan.sites))
    blocks = max(sum(site.branch == branch for site in plan.sites) for branch in branches)
    width = max(4.5, min(plan.evaluations * 0.22, WIDEST) + 1.0)
    height = len(branches) * (min(blocks * 0.12, 4.0) + 0.4) + 0.9
    with figure(path, (width, height), len(branches)) as (sheet, panels):
        for panel, branch in zip(panels, branches, strict=True):
            _draw_branch(panel, plan, branch)
        every = -(-plan.evaluations // TIMES_SHOWN)
        shown = range(0, plan.evaluations, every)
        panels[-1].set_xticks(list(shown), [f"{plan.times[row]:.0f}" for row in shown], rotation=90, fontsize=7)
        panels[-1].set_xlabel("model time of the evaluation (first to last)", fontsize=8)
        _legend(sheet, plan)
        if title:
            panels[0].set_title(title, fontsize=10, loc="left")


def _draw_branch(panel: Any, plan: CachePlan, branch: str) -> None:
    from matplotlib.colors import ListedColormap

    columns = [index for index, site in enumerate(plan.sites) if site.branch == branch]
    cells = [[kind_of(plan, evaluation, column) for evaluation in range(plan.evaluations)] for column in columns]
    colours = ListedColormap([COMPUTED, REUSED, FORECAST])
    panel.imshow(cells, cmap=colours, vmin=0, vmax=2, aspect="auto", interpolation="nearest")
    every = -(-len(columns) // 14)
    panel.set_yticks(range(0, len(columns), every), [str(plan.sites[columns[index]].block) for index in range(0, len(columns), every)])
    panel.tick_params(labelsize=7, length=2)
    panel.set_ylabel(f"{branch}, block", fontsize=8)
    panel.set_xticks([index - 0.5 for index in range(1, plan.evaluations)], minor=True)
    panel.set_yticks([index - 0.5 for index in range(1, len(columns))], minor=True)
    panel.grid(which="minor", color="white", linewidth=0.6)
    panel.tick_params(which="minor", length=0)


def kind_of(plan: CachePlan, evaluation: int, column: int) -> int:
    """0 computed, 1 held, 2 forecast, alone or with the whole evaluation."""
    cell = plan.whole[evaluation] if evaluation in plan.whole else plan.cell(evaluation, column)
    return 0 if not cell else 1 if cell == HELD else 2


def _legend(sheet: Any, plan: CachePlan) -> None:
    """The kinds that the plan has, each with its share of all cells."""
    from matplotlib.patches import Patch

    cells = [kind_of(plan, evaluation, column) for evaluation in range(plan.evaluations) for column in range(len(plan.sites))]
    kinds = ((COMPUTED, "computed"), (REUSED, "held"), (FORECAST, "forecast"))
    shares = [cells.count(kind) / max(len(cells), 1) for kind in range(len(kinds))]
    patches = [Patch(color=colour, label=f"{name} ({share:.0%})") for (colour, name), share in zip(kinds, shares, strict=True) if share]
    sheet.legend(handles=patches, loc="outside upper right", ncols=3, fontsize=8, frameon=False)
