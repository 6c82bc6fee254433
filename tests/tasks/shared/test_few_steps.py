"""Pipelines of networks that were distilled to few steps, or whose scheduler limits clean samples: sampled as their folder says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers.schedulers import scheduling_lcm
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from PIL import Image

from ditkit.config.schema import SampleConfig, option
from ditkit.diffusion.noise import SampleNoise
from ditkit.errors import RequestError
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample
from tests.saved_pipelines import SIZE, dit_pipeline, noise, picture, pixart_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SEED, PROMPT = 5, "a hot dog"
LINEAR: dict[str, Any] = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


class Notes(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def config(folder: Path, out: Path, **asked: Any) -> SampleConfig:
    return SampleConfig(model="pixart-xl-2-512", weights=str(folder), prompts=[PROMPT], seed=SEED, count=1, out=str(out), **asked)


def drawn(config: SampleConfig, progress: Any = None) -> np.ndarray:
    sample.run(config, progress or NoProgress())
    return np.asarray(Image.open(Path(str(config.out)) / "images" / "000000.png"), dtype=int)


def by_diffusers(pipe: Any, **asked: Any) -> np.ndarray:
    side = {"height": 2 * SIZE, "width": 2 * SIZE, "use_resolution_binning": False, "clean_caption": False}
    return picture(pipe(PROMPT, latents=noise(SEED), guidance_scale=1.0, **side, **asked))


def assert_near(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within one level, of pictures that show something."""
    assert theirs.std() > 20 and np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("clip", [False, True])
def test_a_pipeline_in_words_with_the_scheduler_of_dmd_is_drawn_in_one_evaluation(clip: bool, tmp_path: Path) -> None:
    pipe = pixart_pipeline(tmp_path / "words", scheduler=DDPMScheduler(clip_sample=clip))
    pipe.save_pretrained(tmp_path / "pipe")
    notes = Notes()
    asked = config(tmp_path / "pipe", tmp_path / "run")
    assert_near(drawn(asked, notes), by_diffusers(pipe, timesteps=[400], num_inference_steps=1))
    assert notes.lines[-1] == "its scheduler is one for few steps: dmd, 1 evaluation, guidance 1, unless you say otherwise"
    assert sample.estimate(asked).facts["evaluations"] == 1


@pytest.mark.parametrize("steps", [None, 1])
def test_a_pipeline_with_the_scheduler_of_lcm_is_drawn_as_it_says(
    steps: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pixart_pipeline(tmp_path / "words", scheduler=LCMScheduler(**LINEAR, clip_sample=True, clip_sample_range=0.7))
    pipe.save_pretrained(tmp_path / "pipe")
    drawn_by_us = iter(SampleNoise((SEED,)).draw(4, (4, SIZE, SIZE))[1:])
    monkeypatch.setattr(scheduling_lcm, "randn_tensor", lambda shape, **_: next(drawn_by_us))
    ours = drawn(config(tmp_path / "pipe", tmp_path / "run", steps=steps))
    assert_near(ours, by_diffusers(pipe, num_inference_steps=steps or 4))


def test_a_transformer_and_its_scheduler_without_an_index_are_a_pipeline_too(tmp_path: Path) -> None:
    """As the distilled ones were published, to be put into the pipeline that they were distilled from."""
    pipe = pixart_pipeline(tmp_path / "words", scheduler=DDPMScheduler(clip_sample=False))
    pipe.save_pretrained(tmp_path / "pipe")
    (tmp_path / "pipe" / "model_index.json").unlink()
    expected = by_diffusers(pipe, timesteps=[400], num_inference_steps=1)
    for path in (tmp_path / "pipe", tmp_path / "pipe" / "transformer"):
        assert_near(drawn(config(path, tmp_path / path.name / "run")), expected)


def test_a_solver_that_goes_by_velocities_is_refused_where_clean_samples_are_limited(tmp_path: Path) -> None:
    dit_pipeline(scheduler=DDIMScheduler()).save_pretrained(tmp_path / "pipe")
    asked: dict[str, Any] = {"model": "dit-xl-2-256", "weights": str(tmp_path / "pipe"), "compat": "diffusers", "count": 1, "guidance": 1.0}
    with pytest.raises(RequestError) as caught:
        drawn(SampleConfig(**asked, sampler=option("sampler", "heun"), steps=4, out=str(tmp_path / "run")))
    assert str(caught.value) == (
        "the scheduler of these weights keeps clean samples within a limit, and heun goes by velocities; "
        "choose ddim, ddpm, dmd, dpm-solver-2, dpm-solver++ or lcm with --solver"
    )
    for name in ("ddpm", "dpm-solver-2", "dpm-solver++"):
        drawn(SampleConfig(**asked, sampler=option("sampler", name), steps=4, out=str(tmp_path / name)))
