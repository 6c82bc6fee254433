"""What the files of a pipeline's folder say is honoured or refused by name; what they list and the folder has not is said."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from ditkit.config.schema import CodecConfig, SampleConfig
from ditkit.errors import CheckpointError
from ditkit.results.progress import NoProgress
from ditkit.tasks.shared import build
from tests.saved_pipelines import autoencoder, dit, dit_pipeline, pixart, pixart_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Notes(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


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


def test_a_part_that_the_index_lists_and_the_folder_has_not_is_said(tmp_path: Path) -> None:
    dit_pipeline().save_pretrained(tmp_path / "pipe")
    shutil.move(tmp_path / "pipe" / "vae", tmp_path / "vae")
    shutil.rmtree(tmp_path / "pipe" / "scheduler")
    notes = Notes()
    asked: dict[str, Any] = {"model": "dit-xl-2-256", "weights": str(tmp_path / "pipe")}
    with pytest.raises(CheckpointError, match="^cannot fetch .* of stabilityai/sd-vae-ft-ema from the hub"):
        build.model(SampleConfig(**asked), notes)
    lost = [f"model_index.json lists a {part}/ that is not in {tmp_path / 'pipe'}: " for part in ("vae", "scheduler")]
    assert notes.lines[-2:] == [f"{lost[0]}sd-vae-ft-ema takes its place", f"{lost[1]}dit-xl-2-256's own noise schedule takes its place"]
    notes.lines.clear()
    build.model(SampleConfig(**asked, codec=CodecConfig(name="pixels")), notes)
    assert notes.lines[-1].startswith(lost[1]) and not any(line.startswith(lost[0]) for line in notes.lines)


def test_a_transformer_and_an_autoencoder_belong_together_without_an_index(tmp_path: Path) -> None:
    dit_pipeline().save_pretrained(tmp_path)
    (tmp_path / "model_index.json").unlink()
    shutil.rmtree(tmp_path / "scheduler")
    for path in (tmp_path, tmp_path / "transformer"):
        assert build.model(SampleConfig(model="dit-xl-2-256", weights=str(path))).codec.scale == autoencoder().config["scaling_factor"]


@pytest.mark.parametrize("asked", [None, "facebook/DiT-XL-2-256", "snapshot", "snapshot/transformer"])
def test_a_pipeline_in_the_hubs_cache_brings_its_autoencoder_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    """As the hub's library lays it out: every file a link to what is called by its digest."""
    repository = tmp_path / "models--facebook--DiT-XL-2-256"
    snapshot = repository / "snapshots" / ("a" * 40)
    dit_pipeline().save_pretrained(tmp_path / "pipe")
    (repository / "blobs").mkdir(parents=True)
    for number, file in enumerate(file for file in (tmp_path / "pipe").rglob("*") if file.is_file()):
        link = snapshot / file.relative_to(tmp_path / "pipe")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(shutil.copy(file, repository / "blobs" / str(number)))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    weights = asked.replace("snapshot", str(snapshot)) if asked and asked.startswith("snapshot") else asked
    model = build.model(SampleConfig(model="dit-xl-2-256", weights=weights))
    assert model.codec.scale == autoencoder().config["scaling_factor"]
    with pytest.raises(CheckpointError, match=f"is not a diffusers folder: .*; a pipeline is in {snapshot}$"):
        build.model(SampleConfig(model="dit-xl-2-256", weights=str(repository)))
