"""Pictures of pipelines that diffusers made and saved, by ditkit and by diffusers itself from the same noise."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers.pipelines.dit import pipeline_dit
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from PIL import Image

from ditkit.config.schema import CodecConfig, SampleConfig, option
from ditkit.errors import RequestError
from ditkit.models.pixart import PixArtParams
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample
from ditkit.tasks.shared import build
from ditkit.tasks.shared.prompts import encoder_of
from tests.saved_pipelines import autoencoder, dit, dit_pipeline, noise, picture, pixart, pixart_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SEED, STEPS = 5, 4
BLOCKS_OF_4 = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}  # 8 pixels for a latent


def drawn(folder: Path, tmp_path: Path, **asked: Any) -> np.ndarray:
    """The picture that the command draws."""
    model = "pixart-xl-2-512" if "prompts" in asked else "dit-xl-2-256"
    compat = "official" if "prompts" in asked else "diffusers"
    out = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
    common: dict[str, Any] = {"model": model, "weights": str(folder), "compat": compat, "seed": SEED, "count": 1, "steps": STEPS}
    sample.run(SampleConfig(**{**common, "out": str(out), **asked}), NoProgress())
    return np.asarray(Image.open(out / "images" / "000000.png"), dtype=int)


def of_dit(pipe: Any, monkeypatch: pytest.MonkeyPatch, label: int = 3) -> np.ndarray:
    size = pipe.transformer.config.sample_size
    monkeypatch.setattr(pipeline_dit, "randn_tensor", lambda shape, **_: noise(SEED, size))
    return picture(pipe(class_labels=[label], guidance_scale=1.0, num_inference_steps=STEPS))


def of_pixart(pipe: Any, prompt: str = "a hot dog") -> np.ndarray:
    size = pipe.transformer.config.sample_size
    side = {"height": 2 * size, "width": 2 * size, "use_resolution_binning": False}
    return picture(pipe(prompt, latents=noise(SEED, size), num_inference_steps=STEPS, clean_caption=False, **side))


def assert_near(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within one level, of pictures that show something."""
    assert ours.shape == theirs.shape
    assert theirs.std() > 20
    assert np.abs(ours - theirs).max() <= 1


DITS: dict[str, Callable[[], Any]] = {
    "as published": lambda: dit_pipeline(),
    "another number of heads": lambda: dit_pipeline(dit(num_attention_heads=2, attention_head_dim=16)),
    "another size": lambda: dit_pipeline(dit(sample_size=12)),
    "no variance": lambda: dit_pipeline(dit(out_channels=4)),
    "1000 classes": lambda: dit_pipeline(dit(classes=1000)),
    "another noise schedule": lambda: dit_pipeline(
        scheduler=DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    ),
    "another spacing": lambda: dit_pipeline(scheduler=DDIMScheduler(clip_sample=False, timestep_spacing="trailing")),
    "a scheduler that clips": lambda: dit_pipeline(scheduler=DDIMScheduler(clip_sample_range=0.5)),
    "a scheduler with thresholds": lambda: dit_pipeline(
        scheduler=DPMSolverMultistepScheduler(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1.5)
    ),
    "a prediction of the clean sample": lambda: dit_pipeline(scheduler=DDIMScheduler(clip_sample=False, prediction_type="sample")),
    "another solver": lambda: dit_pipeline(scheduler=DPMSolverMultistepScheduler()),
    "another autoencoder": lambda: dit_pipeline(vae=autoencoder(norm_num_groups=2, scaling_factor=1.1)),
}


@pytest.mark.parametrize("kind", DITS)
def test_a_dit_pipelines_folder_draws_what_the_pipeline_draws(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = DITS[kind]()
    pipe.save_pretrained(tmp_path / "pipe")
    assert_near(drawn(tmp_path / "pipe", tmp_path, classes=["3"], guidance=1.0), of_dit(pipe, monkeypatch))


PIXARTS: dict[str, Callable[[], Any]] = {
    "as published": lambda: pixart(),
    "interpolated positions": lambda: pixart(interpolation_scale=2.0),
    "another number of heads": lambda: pixart(num_attention_heads=3, attention_head_dim=8),
    "micro-conditions": lambda: pixart(sample_size=128, patch_size=16, use_additional_conditions=True, interpolation_scale=2.0),
    "micro-conditions that follow from the size": lambda: pixart(sample_size=128, patch_size=16),
    "no variance": lambda: pixart(out_channels=4),
    "another size": lambda: pixart(sample_size=12),
}


@pytest.mark.parametrize("kind", [*PIXARTS])
def test_a_pixart_pipelines_folder_draws_what_the_pipeline_draws(kind: str, tmp_path: Path) -> None:
    pipe = pixart_pipeline(tmp_path / "words", PIXARTS[kind]())
    pipe.save_pretrained(tmp_path / "pipe")
    shutil.rmtree(tmp_path / "words")
    expected = of_pixart(pipe)
    assert_near(drawn(tmp_path / "pipe", tmp_path, prompts=["a hot dog"]), expected)
    assert_near(drawn(tmp_path / "pipe" / "transformer", tmp_path, prompts=["a hot dog"]), expected)  # the same pipeline


@pytest.mark.parametrize("how", [{"variant": "fp16"}, {"max_shard_size": "30KB"}, {"safe_serialization": False}])
def test_so_does_every_layout_that_diffusers_writes(how: dict[str, Any], tmp_path: Path) -> None:
    pipe = pixart_pipeline(tmp_path / "words")
    pipe.save_pretrained(tmp_path / "pipe", **how)
    assert not (tmp_path / "pipe" / "transformer" / "diffusion_pytorch_model.safetensors").exists()
    assert_near(drawn(tmp_path / "pipe", tmp_path, prompts=["a hot dog"]), of_pixart(pipe))


def test_what_is_said_on_the_command_line_comes_before_what_the_folder_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dit_pipeline().save_pretrained(tmp_path / "pipe")
    other = dit_pipeline(vae=autoencoder(block_out_channels=(8, 8, 8, 8), **BLOCKS_OF_4), scheduler=DPMSolverMultistepScheduler())
    other.vae.save_pretrained(tmp_path / "vae")
    said: dict[str, Any] = {"codec": CodecConfig(path=str(tmp_path / "vae")), "sampler": option("sampler", "dpm-solver++")}
    ours = drawn(tmp_path / "pipe", tmp_path, classes=["3"], guidance=1.0, **said)
    assert_near(ours, of_dit(other, monkeypatch))


def test_prompts_are_as_long_as_the_tokenizer_says_else_as_the_pipeline_does(tmp_path: Path) -> None:
    for said, tokens in (({"model_max_length": 7}, 7), ({}, 120), ({"model_max_length": 10**30}, 120)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        pixart_pipeline(folder / "words", tokenizer=said).save_pretrained(folder / "pipe")
        model = build.model(SampleConfig(model="pixart-xl-2-512", weights=str(folder / "pipe")))
        assert isinstance(model.spec.params, PixArtParams)
        assert (model.spec.params.caption_tokens, encoder_of(model.spec).tokens, encoder_of(model.spec).width) == (tokens, tokens, 16)


def test_a_scheduler_that_ditkit_has_not_asks_for_a_solver(tmp_path: Path) -> None:
    dit_pipeline(scheduler=EulerAncestralDiscreteScheduler()).save_pretrained(tmp_path / "pipe")
    asked: dict[str, Any] = {"classes": ["3"], "guidance": 1.0}
    with pytest.raises(RequestError) as caught:
        drawn(tmp_path / "pipe", tmp_path, **asked)
    assert str(caught.value) == (
        "EulerAncestralDiscreteScheduler is not among ditkit's solvers, and these weights came with it; choose a solver with --solver"
    )
    assert drawn(tmp_path / "pipe", tmp_path, sampler=option("sampler", "ddim"), **asked).std() > 20


@pytest.mark.parametrize("path", [".", "transformer", "transformer/diffusion_pytorch_model.safetensors"])
@pytest.mark.parametrize("within", [".", "transformer"])
def test_what_lies_beside_the_network_comes_along_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, within: str
) -> None:
    dit_pipeline().save_pretrained(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path / "pipe" / within)
    asked = os.path.relpath(tmp_path / "pipe" / path)
    assert build.model(SampleConfig(model="dit-xl-2-256", weights=asked)).codec.scale == autoencoder().config["scaling_factor"]
    (tmp_path / "link").symlink_to(tmp_path / "pipe" / path)
    if path != "transformer/diffusion_pytorch_model.safetensors":  # whose name has to end as it does
        linked = build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path / "link")))
        assert linked.codec.scale == autoencoder().config["scaling_factor"]


def test_a_dry_run_counts_the_network_that_the_folder_holds(tmp_path: Path) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    counted = sample.estimate(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path))).data["parameters"]
    held = build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path))).backbone
    assert counted == sum(value.numel() for value in held.parameters()) < 1e6
