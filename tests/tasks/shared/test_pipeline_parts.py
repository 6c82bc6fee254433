"""Pictures of pipelines that diffusers made and saved, by ditkit and by diffusers itself from the same noise."""

import json
import math
import os
import re
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
from ditkit.errors import CheckpointError, RequestError
from ditkit.models.pixart import PixArtParams
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample
from ditkit.tasks.shared import build
from ditkit.tasks.shared.prompts import encoder_of
from tests.saved_pipelines import autoencoder, dit, dit_pipeline, noise, picture, pixart, pixart_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SEED, STEPS = 5, 4
BLOCKS_OF_4 = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}  # 8 pixels for a latent


class Notes(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


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


def test_a_sigma_pipeline_under_an_alpha_name_is_refused_by_name(tmp_path: Path) -> None:
    pixart_pipeline(tmp_path / "words", sigma=True).save_pretrained(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "pipe" / "transformer"):
        with pytest.raises(
            CheckpointError, match=rf"^{path} is a PixArtSigmaPipeline; pixart-xl-2-512 is read from a PixArtAlphaPipeline; "
        ):
            build.model(SampleConfig(model="pixart-xl-2-512", weights=str(path)))


@pytest.mark.parametrize(
    "numbers", [{"sample_size": 128, "use_additional_conditions": False}, {"sample_size": 32, "interpolation_scale": 0.5}]
)
def test_so_is_a_sigma_transformer_whose_numbers_alone_tell(tmp_path: Path, numbers: dict[str, Any]) -> None:
    pixart(**numbers).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=rf"^{tmp_path} is a PixArtSigmaPipeline by its numbers; pixart-xl-2-512 is read from "):
        build.model(SampleConfig(model="pixart-xl-2-512", weights=str(tmp_path)))


@pytest.mark.parametrize(
    ("id2label", "names", "noted"),
    [
        (None, (), False),
        (["ant", "bee"], ("ant", "bee"), False),
        ({"0": "ant", "1": "bee"}, ("ant", "bee"), False),
        ({"ant": 0, "bee": 1}, ("ant", "bee"), False),
        ({"2": "cat", "0": "ant"}, ("ant", "1", "cat"), False),
        ({"zero": "ant"}, (), True),
        ("ant, bee", (), True),
        ({"0": None}, (), True),
        ([None, None], (), True),
    ],
)
def test_class_names_are_read_in_whatever_shape_they_are(tmp_path: Path, id2label: Any, names: tuple[str, ...], noted: bool) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "id2label": id2label}))
    notes = Notes()
    assert build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path)), notes).class_names == names
    line = "the id2label in model_index.json gives no names by number, so classes are asked for by number"
    assert (line in notes.lines) == noted


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


@pytest.mark.parametrize("name", ["3", "[]", "{}"])
def test_a_pipeline_without_a_name_that_can_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    (tmp_path / "model_index.json").write_text(f'{{"_class_name": {name}}}')
    with pytest.raises(CheckpointError) as caught:
        build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path)))
    assert str(caught.value) == f"{tmp_path}/model_index.json says _class_name = {name}, which is no name of a pipeline"


@pytest.mark.parametrize(
    "words",
    [
        {"num_train_timesteps": 10**12},
        {"num_train_timesteps": 0},
        {"num_train_timesteps": 1000.5},
        {"beta_start": math.nan},
        {"beta_start": "x"},
        {"beta_end": -1},
    ],
)
def test_noise_levels_that_cannot_be_are_refused_before_they_are_made(tmp_path: Path, words: dict[str, Any]) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    file = tmp_path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **words}))
    (word, value), *_ = words.items()
    with pytest.raises(CheckpointError, match=rf"its DDIMScheduler says .*{word} = {re.escape(json.dumps(value))}.*, which is no noise"):
        build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path)))


def test_an_autoencoder_for_other_latents_is_refused(tmp_path: Path) -> None:
    dit_pipeline(vae=autoencoder(latent_channels=8)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="^the vae/ beside the weights makes 8 channels, the network reads 4$"):
        build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path)))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"attention_bias": False}, "config.json says attention_bias = false, and a DiT is run with true only"),
        ({"activation_fn": "geglu"}, 'config.json says activation_fn = "geglu", and a DiT is run with "gelu-approximate" only'),
        ({"norm_type": "ada_norm"}, 'config.json says norm_type = "ada_norm", and a DiT is run with "ada_norm_zero" only'),
        ({"out_channels": 6}, "config.json is not that of a diffusers DiT: out_channels is 6, neither the in_channels 4 nor twice as many"),
        ({"sample_size": None}, "config.json is not that of a diffusers DiT: sample_size is null, not a whole number from 1"),
        ({"sample_size": 9}, "config.json is not that of a diffusers DiT: patch_size 2 does not divide sample_size 9"),
        ({"num_layers": True}, "config.json is not that of a diffusers DiT: num_layers is true, not a whole number from 1"),
        ({"new_trick": 3}, "config.json says new_trick = 3, which is not known of a DiT"),
        ({"quantization_config": {"bits": 4}}, 'config.json says quantization_config = {"bits": 4}, which is not known of a DiT'),
    ],
)
def test_a_word_that_cannot_be_honoured_is_refused_by_name(tmp_path: Path, words: dict[str, Any], line: str) -> None:
    dit().save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **words}))
    with pytest.raises(CheckpointError) as caught:
        build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path)))
    assert str(caught.value) == f"{tmp_path}/{line}"


def test_a_dry_run_counts_the_network_that_the_folder_holds(tmp_path: Path) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    counted = sample.estimate(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path))).data["parameters"]
    held = build.model(SampleConfig(model="dit-xl-2-256", weights=str(tmp_path))).backbone
    assert counted == sum(value.numel() for value in held.parameters()) < 1e6
