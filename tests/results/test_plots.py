"""Plots are whole PNG files of a sensible size."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ditkit.results.plots import (
    FRONT,
    GROUPS,
    ParetoPoint,
    draw_curves,
    draw_pareto,
    heights_shown,
    pareto_front,
    place_labels,
)


def _share(file: Path, colour: str) -> float:
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return float((np.abs(pixels - np.round(np.array(to_rgb(colour)) * 255)).max(-1) <= 2).mean())


def test_a_curve_is_drawn_for_every_value(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", [0, 20, 40], {"loss": [3, 2, 1], "kept": [1, 0.8, 0.6]})
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size[1] > 500


CROWD = [
    ParetoPoint(f"router {share:g}", share, error, "router", (0.9 * error, 1.2 * error))
    for share in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    for error in (0.4 * (1 - share) ** 1.5,)
]
CROWD += [
    ParetoPoint(f"similarity {share:g}", share + 0.01, 0.5 * (1 - share) ** 1.5, "similarity") for share in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
]
CROWD += [ParetoPoint(f"DDIM {steps}", steps / 20, 0.9 * (1 - steps / 20), "fewer steps") for steps in (6, 8, 10, 12, 14, 16, 18, 20)]


@pytest.mark.parametrize("log_y", [False, True])
def test_a_pareto_plot_shows_every_family_and_the_front(tmp_path: Path, log_y: bool) -> None:
    draw_pareto(CROWD, tmp_path / "pareto.png", "multiply-adds", "error", joined={"fewer steps"}, log_y=log_y, title="tiny")
    assert all(_share(tmp_path / "pareto.png", colour) > 2e-4 for colour in (*GROUPS[:3], FRONT))
    assert _share(tmp_path / "pareto.png", GROUPS[3]) == 0


def test_a_pareto_plot_of_one_perfect_point_can_be_drawn(tmp_path: Path) -> None:
    draw_pareto([ParetoPoint("uncached", 1.0, 0.0, "uncached")], tmp_path / "pareto.png", "multiply-adds", "error", log_y=True)
    assert _share(tmp_path / "pareto.png", GROUPS[0]) > 0


def test_intervals_stand_whole_on_the_axis_so_that_no_difference_outgrows_them() -> None:
    points = [ParetoPoint(name, 1.0, y, name, (1.0, 2.0)) for name, y in (("a", 1.5), ("b", 1.501))]
    for log_y in (False, True):
        bottom, top = heights_shown(points, 0.1, log_y)
        assert 0 < bottom < 1.0 and top > 2.0
        assert 0.001 / (top - bottom) < 0.001  # of the axis: less than of the interval
    bottom, top = heights_shown([replace(point, interval=None) for point in points], 0.0, False)
    assert bottom < 1.5 and 1.501 < top < 1.503


def test_the_front_holds_what_nothing_else_equals_or_beats_in_both() -> None:
    points = [(3.0, 1.0), (1.0, 4.0), (2.0, 4.0), (2.0, 2.0), (3.0, 1.5), (4.0, 1.0), (5.0, 0.5)]
    assert pareto_front(points) == [1, 3, 0, 6]
    assert pareto_front([]) == []


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_labels_of_a_crowd_cover_neither_each_other_nor_a_point() -> None:
    spots = [(60 + 700 * point.x, 30 + 800 * point.y) for point in CROWD]
    area = (0.0, 0.0, 840.0, 540.0)
    boxes = place_labels(spots, [(6.0 * len(point.label), 11.0) for point in CROWD], area, [(700.0, 420.0, 840.0, 540.0)])
    assert all(_apart(one, other) for one, other in combinations([*boxes, (700.0, 420.0, 840.0, 540.0)], 2))
    assert all(_apart(box, (x, y, x, y)) for box in boxes for x, y in spots)
    assert all(box[0] >= 0 and box[1] >= 0 and box[2] <= 840 and box[3] <= 540 for box in boxes)
