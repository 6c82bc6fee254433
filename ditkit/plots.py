"""Every plot that ditkit draws, as PNG files. matplotlib is imported when one is drawn: it takes a second."""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ditkit.cache.plan import CachePlan
from ditkit.errors import OutputError
from ditkit.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPUTED, REUSED = "#1f4e79", "#dbe7f3"
WIDEST = 9.0  # inches of the part with the cells
TIMES_SHOWN = 26


def draw_plan(plan: CachePlan, path: Path, title: str = "") -> None:
    """The plan as a heatmap: evaluations from left to right, a row per site, branches in panels one above the other."""
    branches = list(dict.fromkeys(site.branch for site in plan.sites))
    blocks = max(sum(site.branch == branch for site in plan.sites) for branch in branches)
    width = max(4.5, min(plan.evaluations * 0.22, WIDEST) + 1.0)
    height = len(branches) * (min(blocks * 0.12, 4.0) + 0.4) + 0.9
    with _figure(path, (width, height), len(branches)) as (figure, panels):
        for panel, branch in zip(panels, branches, strict=True):
            _draw_branch(panel, plan, branch)
        every = -(-plan.evaluations // TIMES_SHOWN)
        shown = range(0, plan.evaluations, every)
        panels[-1].set_xticks(list(shown), [f"{plan.times[row]:.0f}" for row in shown], rotation=90, fontsize=7)
        panels[-1].set_xlabel("model time of the evaluation (first to last)", fontsize=8)
        _legend(figure, plan)
        if title:
            figure.suptitle(title, fontsize=10)


def draw_curves(path: Path, steps: Sequence[int], curves: dict[str, Sequence[float]], xlabel: str = "step") -> None:
    """One panel per curve over common steps."""
    with _figure(path, (7, 2.2 * len(curves)), len(curves)) as (_, panels):
        for panel, (name, values) in zip(panels, curves.items(), strict=True):
            panel.plot(steps, values, color=COMPUTED, linewidth=1)
            panel.set_ylabel(name, fontsize=8)
            panel.grid(alpha=0.3)
        panels[-1].set_xlabel(xlabel, fontsize=8)


def _draw_branch(panel: Any, plan: CachePlan, branch: str) -> None:
    from matplotlib.colors import ListedColormap

    columns = [index for index, site in enumerate(plan.sites) if site.branch == branch]
    cells = [[float(row[column]) for row in plan.compute] for column in columns]
    panel.imshow(cells, cmap=ListedColormap([REUSED, COMPUTED]), vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    every = -(-len(columns) // 14)
    panel.set_yticks(range(0, len(columns), every), [str(plan.sites[columns[index]].block) for index in range(0, len(columns), every)])
    panel.tick_params(labelsize=7, length=2)
    panel.set_ylabel(f"{branch}, block", fontsize=8)
    panel.set_xticks([index - 0.5 for index in range(1, plan.evaluations)], minor=True)
    panel.set_yticks([index - 0.5 for index in range(1, len(columns))], minor=True)
    panel.grid(which="minor", color="white", linewidth=0.6)
    panel.tick_params(which="minor", length=0)


def _legend(figure: Any, plan: CachePlan) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=COMPUTED, label="computed"), Patch(color=REUSED, label=f"reused ({plan.reused:.0%})")]
    figure.legend(handles=patches, loc="outside upper right", ncols=2, fontsize=8, frameon=False)


@contextmanager
def _figure(path: Path, size: tuple[float, float], panels: int) -> "Iterator[tuple[Any, list[Any]]]":
    """A figure with panels above each other that share their x axis, written to `path` at the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix != ".png":
        raise OutputError(f"{path} must end in .png, as the picture that is drawn")
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    yield figure, list(axes)
    write_atomically(path, lambda part: figure.savefig(part, dpi=150, format="png"))
