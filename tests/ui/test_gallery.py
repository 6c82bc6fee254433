"""Pictures are shown as on every page: what they show is said, and small ones have hard edges."""

from pathlib import Path

from PIL import Image

from ditkit.ui.asked import Asked
from ditkit.ui.gallery import MOST, gallery, heading, picture
from ditkit.ui.job import Job


def test_small_pictures_are_enlarged_with_hard_edges_and_large_ones_are_not(served):
    served.root.mkdir()
    for side in (96, 512):
        Image.new("RGB", (side, side)).save(served.root / f"{side}.png")
    (served.root / "damaged.png").write_bytes(b"\x89PNG")
    shown = [str(picture(served, served.root / f"{name}.png", "a <fox>")) for name in ("96", "512", "damaged")]
    assert ["pixelated" in each for each in shown] == [True, False, False] and all("alt='a <fox>'" in each for each in shown)


def test_a_large_run_is_shown_in_part_and_says_so(served):
    served.root.mkdir()
    Image.new("RGB", (8, 8)).save(served.root / "a.png")
    shown = str(gallery(served, [served.root / "a.png"] * (MOST + 2), [f"seed {index}" for index in range(MOST + 2)]))
    assert f"seed {MOST - 1}" in shown and f"seed {MOST}'" not in shown and "2 more are in" in shown


def test_a_run_that_failed_says_why():
    job = Job(1, Asked("sample", "m", ()), Path("runs/m-1"), "failed", notes=("no class named 'x'",))
    assert "m-1" in str(heading(job)) and "note error" in str(heading(job)) and str(heading(None, "nothing yet")).count("nothing yet") == 1
