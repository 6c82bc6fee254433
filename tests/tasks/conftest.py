"""A tiny model of each family in the registry, with random weights on file, and a tiny data set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ditkit.models import checkpoints, registry
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.pixart import PixArtParams
from ditkit.models.sit import SiTParams
from ditkit.models.spec import Defaults, ModelSpec, Params
from ditkit.models.uvit import UViTParams
from ditkit.text.encoder import ENCODERS
from tests.models.tiny import drawn
from tests.text.tiny import SPEC, write_encoder

TINY: dict[str, tuple[Params, str, str]] = {
    "tiny-dit": (DiTParams(width=16, depth=2, heads=2, patch=2, input_size=8, classes=3), "linear", "ddim"),
    "tiny-uvit": (
        UViTParams(width=16, depth=2, heads=2, patch=2, input_size=8, classes=3, null_class=True, conv=False),
        "scaled-linear",
        "dpm-solver-2",
    ),
    "tiny-sit": (SiTParams(width=16, depth=2, heads=2, patch=2, input_size=8, classes=3), "linear-flow", "heun"),
}


@pytest.fixture(params=TINY)
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny registered model that makes 32-pixel pictures through the shipped autoencoder."""
    name: str = request.param
    params, schedule, solver = TINY[name]
    defaults = Defaults(solver=solver, steps=4, guidance=1.5)
    said = "velocity" if schedule.endswith("flow") else "epsilon"
    spec = ModelSpec(name, name.removeprefix("tiny-"), params, schedule, "ae-emoji", 32, 4, defaults, prediction=said)
    monkeypatch.setitem(registry.SPECS, name, spec)
    return name


@pytest.fixture
def weights(tiny: str, tmp_path: Path) -> str:
    """A file of random weights for the tiny model, no parameter zero."""
    spec = registry.SPECS[tiny]
    torch.manual_seed(0)
    state = {
        name: value if name == "pos_embed" and tiny != "tiny-uvit" else torch.randn_like(value) * 0.2
        for name, value in registry.build(spec).state_dict().items()
    }
    path = tmp_path / f"{tiny}.safetensors"
    checkpoints.save(state, path, model=tiny, params=spec.params)
    return str(path)


@pytest.fixture
def tiny_pixart(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny registered model that reads prompts of at most 13 tokens, for shapes around 256 pixels, a pixel being a latent."""
    params = PixArtParams(width=24, depth=2, heads=2, patch=16, input_size=256, channels=3, caption_width=16, micro_conditions=True)
    defaults = Defaults("dpm-solver++", 4, 4.5)
    spec = ModelSpec("tiny-pixart", "pixart", params, "linear", "pixels", 256, 6, defaults, text="t5-tiny")
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    monkeypatch.setitem(ENCODERS, "t5-tiny", SPEC)
    return spec.name


@pytest.fixture
def pixart_weights(tiny_pixart: str, tmp_path: Path) -> str:
    """A file of random weights for it, no parameter zero."""
    spec = registry.SPECS[tiny_pixart]
    state = drawn(registry.build(spec)).state_dict()
    checkpoints.save(state, tmp_path / "pixart.safetensors", model=tiny_pixart, params=spec.params)
    return str(tmp_path / "pixart.safetensors")


@pytest.fixture
def t5(tmp_path: Path) -> str:
    """The folder of its text encoder."""
    return str(write_encoder(tmp_path / "t5"))


@pytest.fixture
def tiny3d(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny registered model that makes clouds of 40 points in three categories."""
    params = DiT3DParams(width=36, depth=2, heads=2, patch=2, input_size=4, classes=3)
    spec = ModelSpec("tiny-dit3d", "dit3d", params, "linear", "points", 0, 3, Defaults("ddim", 4, 1.5), points=40)
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    return spec.name


@pytest.fixture
def folder_of_clouds(tmp_path: Path) -> Path:
    """Five chairs and one table, far from the origin and small."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "shapes"
    folder.mkdir()
    for name, count in (("chair", 5), ("table", 1)):
        np.savez(folder / f"{name}.npz", train_points=3 + 0.1 * rng.normal(size=(count, 50, 3)).astype(np.float32))
    return folder


@pytest.fixture
def folder_of_pictures(tmp_path: Path) -> Path:
    """Two pictures in each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(2):
            file = tmp_path / "pictures" / name / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file)
    return tmp_path / "pictures"


@pytest.fixture
def sprite_sheet(tmp_path: Path) -> Path:
    """Four sprites of two classes in the layout of a sprite sheet."""
    rng = np.random.default_rng(0)
    path = tmp_path / "sprites.npz"
    np.savez(
        path,
        images=rng.integers(0, 256, (4, 64, 64, 4), dtype=np.uint8),
        labels=np.array([0, 0, 1, 1]),
        class_names=np.array(["apple", "pear"]),
        sets=np.array([0, 1, 0, 1]),
        set_names=np.array(["flat", "round"]),
    )
    return path
