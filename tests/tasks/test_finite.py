"""Runs in half precision whose numbers stop being finite: one line, and exit code 2 where nothing is left."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ditkit
from ditkit.config.schema import BenchConfig, ForecastCache, Gen3DConfig, RuntimeConfig, SampleConfig, SimilarityCache
from ditkit.errors import RequestError
from ditkit.models import checkpoints, registry
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench, gen3d, sample
from tests.models.tiny import drawn

HALF = RuntimeConfig(precision="float16")
TABLE = "y_embedder.embedding_table.weight"
TABLES = {"dit": TABLE, "dit3d": TABLE, "sit": TABLE, "uvit": "label_emb.weight"}


def _weights(name: str, path: Path, *, labels: slice = slice(None), scale: float = 1e8) -> str:
    """Weights whose label embedding float16 cannot hold, and float32 can."""
    spec = registry.find(name)
    state = drawn(registry.build(spec)).state_dict()
    table = state[TABLES[spec.family]]
    table[labels] = scale
    checkpoints.save(state, path, model=name, params=spec.params)
    return str(path)


def _config(name: str, weights: str, out: Path, **changes: Any) -> SampleConfig:
    values = {"model": name, "weights": weights, "out": str(out), "count": 2, "steps": 4, "guidance": 1.0, "runtime": HALF, **changes}
    return SampleConfig(**values)


def test_if_every_picture_is_affected_nothing_is_written_and_the_line_says_what_to_use(tiny: str, tmp_path: Path) -> None:
    weights = _weights(tiny, tmp_path / "w.safetensors")
    config = _config(tiny, weights, tmp_path / "run")
    line = (
        "the numbers of all 2 images stopped being finite in float16, first in evaluation 1, in block 0 (attn): "
        "use runtime.precision=bfloat16 or runtime.precision=float32"
    )
    for _ in range(2):  # the second time as well: nothing counts as there already
        with pytest.raises(RequestError) as raised:
            sample.run(config, NoProgress())
        assert str(raised.value) == line
        assert not list((tmp_path / "run").rglob("*.png"))
    report = sample.run(_config(tiny, weights, tmp_path / "whole", runtime=RuntimeConfig()), NoProgress())
    assert report.data["not_finite"] == [] and report.data["sampled"] == 2


def test_if_some_are_affected_one_note_says_so_and_they_are_blank(tiny: str, tmp_path: Path) -> None:
    weights = _weights(tiny, tmp_path / "w.safetensors", labels=slice(1, 2))
    report = sample.run(_config(tiny, weights, tmp_path / "run", count=6, batch=1), NoProgress())
    (note,) = report.notes
    assert note.startswith("the numbers of 2 of 6 images stopped being finite in float16, first in evaluation 1, in block 0 (attn): use ")
    assert report.data["not_finite"] == [1, 4]  # classes 0, 1, 2 in turn
    pictures = [np.asarray(Image.open(file)) for file in sorted((tmp_path / "run" / "images").glob("*.png"))]
    assert [len(np.unique(picture)) == 1 for picture in pictures] == [False, True, False, False, True, False]
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["complete"]


def test_clouds_are_told_of_alike(tiny3d: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"model": tiny3d, "count": 3, "guidance": 1.0, "runtime": HALF}
    weights = _weights(tiny3d, tmp_path / "w.safetensors")
    with pytest.raises(
        RequestError, match=r"^the numbers of all 3 clouds stopped being finite in float16, first in evaluation 1, in block 0"
    ):
        gen3d.run(Gen3DConfig(**values, weights=weights, out=str(tmp_path / "run")), NoProgress())
    weights = _weights(tiny3d, tmp_path / "some.safetensors", labels=slice(0, 1))
    report = gen3d.run(Gen3DConfig(**values, weights=weights, out=str(tmp_path / "some")), NoProgress())
    assert report.data["not_finite"] == [0] and any("the numbers of 1 of 3 clouds" in note for note in report.notes)


def test_from_python_it_is_an_error_or_a_warning(tiny: str, tmp_path: Path) -> None:
    model = ditkit.load(tiny, _weights(tiny, tmp_path / "w.safetensors", labels=slice(1, 2)), precision="float16", device="cpu")
    with pytest.warns(UserWarning, match="the numbers of 1 of 2 samples stopped being finite in float16"):
        assert len(ditkit.sample(model, [0, 1], guidance=1.0)) == 2
    with pytest.raises(RequestError, match="the numbers of 1 of 1 samples stopped being finite"):
        ditkit.sample(model, [1], guidance=1.0)


def test_a_comparison_of_such_runs_is_refused(tiny: str, tmp_path: Path) -> None:
    weights = _weights(tiny, tmp_path / "w.safetensors")
    config = BenchConfig(model=tiny, weights=weights, count=2, guidance=1.0, policies=["every"], runtime=HALF, out=str(tmp_path / "bench"))
    with pytest.raises(RequestError, match="the numbers of 2 samples of 'uncached' stopped being finite in float16"):
        bench.run(config, NoProgress())


@pytest.mark.parametrize("cache", [ForecastCache(samples=2), ForecastCache(samples=4), SimilarityCache(samples=2)])
def test_no_plan_is_calibrated_on_such_runs(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Any) -> None:
    """Of four samples two choose what is forecast, and two give the weights."""
    monkeypatch.setenv("DITKIT_CACHE", str(tmp_path / "cache"))
    config = _config(tiny, _weights(tiny, tmp_path / "w.safetensors"), tmp_path / "run", cache=cache)
    line = "^the numbers of the model's own trajectories stopped being finite in float16, first in evaluation 1, in block 0 "
    with pytest.raises(RequestError, match=line):
        sample.run(config, NoProgress())
    assert not list(tmp_path.rglob("*.json"))


def test_an_autoencoder_that_float16_cannot_hold_is_named(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ditkit.codecs.codec import Codec

    monkeypatch.setattr(Codec, "decode", lambda self, latents: latents[:, :3].repeat_interleave(4, 2).repeat_interleave(4, 3) * torch.inf)
    weights = _weights(tiny, tmp_path / "w.safetensors", scale=0.1)
    with pytest.raises(RequestError, match="stopped being finite in float16, first in the decoder of the latents: use runtime.precision"):
        sample.run(_config(tiny, weights, tmp_path / "run"), NoProgress())
