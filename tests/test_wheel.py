"""The package as a user gets it: the wheel, installed away from the checkout."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_installed_outside_the_checkout_samples(tmp_path: Path) -> None:
    """ditkit alone is installed anew, and found before the checkout; the libraries are those of this environment."""
    site, out = tmp_path / "site", tmp_path / "pictures"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=tmp_path)

    found = run(sys.executable, "-c", "import ditkit; print(ditkit.__file__)", cwd=tmp_path, PYTHONPATH=str(site))
    assert Path(found.strip()) == site / "ditkit" / "__init__.py"

    sample = ("sample", "--model", "dit-emoji", "--count", "2", "--steps", "2", "--out", out)
    run(site / "bin" / "ditkit", *sample, cwd=tmp_path, PYTHONPATH=str(site))
    assert (out / "manifest.json").is_file() and (out / "grid.png").is_file()
    assert len(list(out.rglob("*.png"))) == 3
