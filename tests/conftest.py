"""Every test runs on one thread (or OMP_NUM_THREADS), without a hub, without the user's caches and in a terminal of fixed width."""

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from ditkit.errors import MissingDependency


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before a test module imports torch or huggingface_hub, which read it once."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers do not fight for two cores
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HOME"] = str(Path(tempfile.gettempdir()) / "ditkit-tests-empty-hub")  # a model in the user's cache is not there for us
    os.environ["MPLBACKEND"] = "agg"
    os.environ["COLUMNS"] = "120"
    for forced in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "HF_HUB_CACHE"):
        os.environ.pop(forced, None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a device that is not here."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device, and torch finds none")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Skip what needs a library of the system that is not here, as open3d of Python 3.13 needs libusb; a package that is not here fails."""
    try:
        return (yield)
    except MissingDependency as error:
        if isinstance(error.__cause__, ModuleNotFoundError) or not isinstance(error.__cause__, ImportError | OSError):
            raise
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that ditkit caches in during this test, empty at first."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DITKIT_CACHE", str(folder))
    return folder
