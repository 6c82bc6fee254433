"""Curves, and costs against errors, as PNG files."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ditkit.results.figure import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "#1f4e79"


def draw_curves(path: Path, steps: Sequence[int], curves: dict[str, Sequence[float]], xlabel: str = "step") -> None:
    """One panel per curve over common steps."""
    with figure(path, (7, 2.2 * len(curves)), len(curves)) as (_, panels):
        for panel, (name, values) in zip(panels, curves.items(), strict=True):
            panel.plot(steps, values, color=LINE, linewidth=1)
            panel.set_ylabel(name, fontsize=8)
            panel.grid(alpha=0.3)
        panels[-1].set_xlabel(xlabel, fontsize=8)


GROUPS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#444444")  # told apart by the colour-blind too
MARKERS = "osD^vPX*"
FRONT = "#9aa5b1"
ANCHORS = tuple((dx, dy) for dy in (0, 1, -1) for dx in (1, -1, 0) if dx or dy)  # where a label may stand: right first, left, above, below
DISTANCES = (9, 16, 28, 42, 58, 76)  # pixels from the point

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels."""


@dataclass(frozen=True)
class ParetoPoint:
    """One way to run: what it costs, how far its result is off, the family it belongs to, and the interval of how far it is off."""

    label: str
    x: float
    y: float
    group: str
    interval: tuple[float, float] | None = None


def draw_pareto(
    points: Sequence[ParetoPoint],
    path: Path,
    x_label: str,
    y_label: str,
    *,
    joined: Collection[str] = (),
    log_y: bool = False,
    title: str = "",
) -> None:
    """Cost against error, less of both being better, with a step line through the points that no other beats in both.

    The points of the `joined` groups, such as the baselines with fewer steps, are joined by a line. Intervals are drawn whole, as
    bars, so that no difference looks larger beside them than it is. On a logarithmic axis an error of zero stands at its foot,
    half a decade below the smallest other, and its label says so.
    """
    positive = [point.y for point in points if point.y > 0]
    foot = min(positive, default=1.0) / 10**0.5 if log_y else 0.0
    heights = [max(point.y, foot) for point in points]
    labels = [f"{point.label} (0)" if height > point.y else point.label for point, height in zip(points, heights, strict=True)]
    with figure(path, (8.6, 5.6), 1) as (sheet, (panel,)):
        if log_y:
            panel.set_yscale("log")
        _draw_groups(panel, points, heights, foot, joined)
        panel.margins(0.09)
        panel.autoscale_view()
        (left, right), (bottom, top) = panel.get_xlim(), heights_shown(points, foot, log_y)
        front = [(points[index].x, heights[index]) for index in pareto_front([(point.x, point.y) for point in points])]
        if front:
            xs, ys = [front[0][0], *(x for x, _ in front), right], [top, *(y for _, y in front), front[-1][1]]
            panel.step(xs, ys, where="post", color=FRONT, linewidth=1.2, zorder=1, label="Pareto front")
        panel.set(xlim=(left, right), ylim=(bottom, top))
        panel.set_xlabel(x_label, fontsize=9)
        panel.set_ylabel(y_label, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(loc="best", fontsize=8, frameon=False)
        panel.set_title(title, fontsize=10)
        _write_labels(sheet, panel, labels, [(point.x, height) for point, height in zip(points, heights, strict=True)])


def heights_shown(points: Sequence[ParetoPoint], foot: float, log_y: bool) -> tuple[float, float]:
    """The ends of the axis: every point and every interval whole, and a little room, so that no difference outgrows the intervals."""
    ends = [max(end, foot) for point in points for end in (point.y, *(point.interval or ()))]
    low, high = min(ends), max(ends)
    if log_y:
        room = max((high / low) ** 0.07, 1.05)
        return low / room, high * room
    room = max(0.07 * (high - low), 1e-3 * abs(high), 1e-9)
    return low - room, high + room


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices, from left to right, of the points (x, y) that no other point equals or beats in both."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: points[index]):
        if not front or points[index][1] < points[front[-1]][1]:
            front.append(index)
    return front


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], area: Box, taken: Sequence[Box] = ()
) -> list[Box]:
    """A box of each size near each point, clear of the other boxes, of all points and of what is `taken`, inside the area where it can be.

    Greedy, the crowded points first: each box takes the nearest place that overlaps least. All in pixels.
    """
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    crowd = [sum(hypot(x - other_x, y - other_y) < 80 for other_x, other_y in points) for x, y in points]
    placed: dict[int, Box] = {}
    for index in sorted(range(len(points)), key=lambda index: -crowd[index]):
        (x, y), (width, height) = points[index], sizes[index]
        obstacles = [*placed.values(), *taken, *marks]
        best, least = (x, y, x + width, y + height), float("inf")
        for distance in DISTANCES:
            for dx, dy in ANCHORS:
                left, bottom = x + dx * distance + (dx - 1) / 2 * width, y + dy * distance + (dy - 1) / 2 * height
                box = (left, bottom, left + width, bottom + height)
                cost = width * height - _overlap(box, area) + sum(_overlap(box, other) for other in obstacles)
                if cost < least - 1e-9:
                    best, least = box, cost
        placed[index] = best
    return [placed[index] for index in range(len(points))]


def _overlap(one: Box, other: Box) -> float:
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _draw_groups(panel: Any, points: Sequence[ParetoPoint], heights: Sequence[float], foot: float, joined: Collection[str]) -> None:
    for number, group in enumerate(dict.fromkeys(point.group for point in points)):
        colour, marker = GROUPS[number % len(GROUPS)], MARKERS[number % len(MARKERS)]
        members = sorted((point.x, height) for point, height in zip(points, heights, strict=True) if point.group == group)
        xs, ys = [x for x, _ in members], [y for _, y in members]
        line = "-" if group in joined else "none"
        panel.plot(
            xs, ys, color=colour, marker=marker, linestyle=line, linewidth=1, markersize=6, markeredgecolor="white", label=group, zorder=3
        )
        for point in points:
            if point.group == group and point.interval:
                ends = [max(end, foot) for end in point.interval]
                panel.plot([point.x, point.x], ends, color=colour, marker="_", markersize=7, linewidth=1.2, alpha=0.7, zorder=2)


def _write_labels(figure: Any, panel: Any, labels: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """Write every point's label where there is room, with a hair line to it when it stands far off."""
    figure.draw_without_rendering()  # only now is the layout known
    figure.set_layout_engine("none")
    renderer, to_data = figure.canvas.get_renderer(), panel.transData.inverted().transform
    style: dict[str, Any] = {"fontsize": 7.5, "color": "#333333", "ha": "left", "va": "bottom", "zorder": 4}
    texts = [panel.text(*point, label, **style) for point, label in zip(points, labels, strict=True)]
    extents = [text.get_window_extent(renderer) for text in texts]
    spots = [tuple(panel.transData.transform(point)) for point in points]
    area, legend = panel.get_window_extent(renderer).extents, panel.get_legend().get_window_extent(renderer).extents
    taken = [tuple(legend), *(box for line in panel.lines if line.get_linestyle() != "None" for box in _along(line, panel.transData))]
    boxes = place_labels(spots, [(extent.width, extent.height) for extent in extents], tuple(area), taken)
    for text, (x, y), (left, bottom, right, top) in zip(texts, spots, boxes, strict=True):
        text.set_position(to_data((left, bottom)))
        near = (min(max(x, left), right), min(max(y, bottom), top))
        if hypot(near[0] - x, near[1] - y) > DISTANCES[1]:
            ends = to_data([(x, y), near])
            panel.plot(ends[:, 0], ends[:, 1], color="#aaaaaa", linewidth=0.5, zorder=2)


def _along(line: Any, to_pixels: Any) -> "Iterator[Box]":
    """Small boxes that cover a line, so that a label crosses it only where there is no other room."""
    corners = to_pixels.transform_path(line.get_path()).vertices
    for (x, y), (next_x, next_y) in pairwise(corners):
        pieces = max(1, round(hypot(next_x - x, next_y - y) / 4))
        for piece in range(pieces):
            at_x, at_y = x + (next_x - x) * piece / pieces, y + (next_y - y) * piece / pieces
            yield (at_x - 2, at_y - 2, at_x + 2, at_y + 2)
