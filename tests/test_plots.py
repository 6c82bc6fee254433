"""Plots are whole PNG files of a sensible size."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ditkit.cache.policies import every
from ditkit.errors import OutputError
from ditkit.execution import Site
from ditkit.plots import COMPUTED, REUSED, draw_curves, draw_plan

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


def test_a_curve_is_drawn_for_every_value(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", [0, 20, 40], {"loss": [3, 2, 1], "kept": [1, 0.8, 0.6]})
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size[1] > 500


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="plan.jpg must end in .png"):
        draw_plan(every(2, SITES, (1.0, 0.0)), tmp_path / "plan.jpg")
    assert not list(tmp_path.iterdir())
