"""Plots are whole PNG files of a sensible size."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ditkit.cache.policies import every
from ditkit.errors import OutputError
from ditkit.execution import Site
from ditkit.results.plots import (
    COMPUTED,
    FORECAST,
    FRONT,
    GROUPS,
    REUSED,
    ParetoPoint,
    draw_curves,
    draw_pareto,
    draw_plan,
    heights_shown,
    pareto_front,
    place_labels,
)

SITES = tuple(Site(block, branch) for block in range(4) for branch in ("attn", "mlp"))


def _share(file: Path, colour: str) -> float:
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return float((np.abs(pixels - np.round(np.array(to_rgb(colour)) * 255)).max(-1) <= 2).mean())


@pytest.mark.parametrize("period", [1, 2])
def test_a_heatmap_is_coloured_by_what_the_plan_does(tmp_path: Path, period: int) -> None:
    draw_plan(every(period, SITES, tuple(range(8, 0, -1))), tmp_path / "plan.png", "tiny")
    computed, reused = _share(tmp_path / "plan.png", COMPUTED), _share(tmp_path / "plan.png", REUSED)
    assert computed > 0.2
    assert (reused > 0.2) == (period == 2)


def test_forecasts_have_a_colour_of_their_own(tmp_path: Path) -> None:
    plan = every(2, SITES, tuple(range(8, 0, -1)))
    whole = dict.fromkeys(range(1, 8, 2), (1.2,))
    for name, drawn in (("held", plan), ("forecast", replace(plan, whole=whole))):
        draw_plan(drawn, tmp_path / f"{name}.png", "tiny")
    assert _share(tmp_path / "held.png", FORECAST) < 0.01 < 0.2 < _share(tmp_path / "forecast.png", FORECAST)


def test_a_curve_is_drawn_for_every_value(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", [0, 20, 40], {"loss": [3, 2, 1], "kept": [1, 0.8, 0.6]})
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size[1] > 500


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="plan.jpg must end in .png"):
        draw_plan(every(2, SITES, (1.0, 0.0)), tmp_path / "plan.jpg")
    assert not list(tmp_path.iterdir())


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
