"""A plan's picture is coloured by what the plan does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ditkit.cache.policies import every
from ditkit.errors import OutputError
from ditkit.execution import Site
from ditkit.results.heatmap import COMPUTED, FORECAST, REUSED, draw_plan

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


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="plan.jpg must end in .png"):
        draw_plan(every(2, SITES, (1.0, 0.0)), tmp_path / "plan.jpg")
    assert not list(tmp_path.iterdir())
