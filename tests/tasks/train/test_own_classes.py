"""Own classes from a folder of pictures or clouds to weights that diffusers samples alike."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.pipelines.dit import pipeline_dit
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from PIL import Image

from ditkit.config.schema import CodecConfig, DataConfig, DDIMConfig, Gen3DConfig, SampleConfig, TrainConfig
from ditkit.diffusion.noise import SampleNoise
from ditkit.errors import ConfigError, DataError
from ditkit.files.tensors import read_metadata, read_tensors, write_tensors
from ditkit.models import checkpoints, registry
from ditkit.models.dit import DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.results.progress import NoProgress
from ditkit.shapes.clouds import read_points
from ditkit.tasks import gen3d, models, sample, train

TINY = pytest.mark.parametrize("tiny", ["tiny-dit", "tiny-uvit", "tiny-sit"], indirect=True)
NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
TABLE = "y_embedder.embedding_table.weight"


@dataclass
class Noted(NoProgress):
    """Remembers what was said."""

    said: list[str]

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def seven_classes(tmp_path: Path) -> Path:
    """A picture in each of seven folders."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / "seven" / name).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "seven" / name / "0.png")
    return tmp_path / "seven"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny model like the published DiTs: of 1000 classes, eight pixels to a latent, three of four channels guided."""
    params = DiTParams(width=32, depth=2, heads=2, patch=2, input_size=8)
    spec = ModelSpec("tiny-published", "dit", params, "linear", "sd-vae-ft-ema", 64, 3, Defaults("ddim", 4, 4.0), classes="imagenet")
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    return spec.name


@pytest.fixture
def vae(tmp_path: Path) -> Path:
    """An autoencoder's folder as diffusers writes it."""
    torch.manual_seed(0)
    widths = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "latent_channels": 4}
    levels: dict[str, Any] = {**widths, "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    AutoencoderKL(**levels).save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


def _trained(model: str, data: Path, out: Path, progress: Any = None, **changes: Any) -> Path:
    values = {"steps": 20, "batch": 4, "learning_rate": 1e-2, "data": DataConfig(path=str(data), augment=1), "out": str(out), **changes}
    (weights,) = train.run(TrainConfig(model=model, **values), progress or NoProgress()).files
    return weights


def _louder(weights: Path) -> Path:
    """The same weights with a label table that pictures are seen to follow, which twenty steps do not make."""
    state, words = read_tensors(weights), read_metadata(weights)
    write_tensors(weights, {**state, TABLE: 100 * state[TABLE]}, words)
    return weights


def _pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(file)) for file in sorted((folder / "images").glob("*.png"))]).astype(int)


def test_a_dit_of_seven_classes_is_trained_saved_sampled_and_sampled_alike_by_diffusers(
    published: str, seven_classes: Path, vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = CodecConfig(path=str(vae))
    weights = _louder(_trained(published, seven_classes, tmp_path / "train", codec=codec))
    assert read_tensors(weights)[TABLE].shape == (8, 32)
    models.convert(str(weights), str(tmp_path / "theirs"), "diffusers")
    asked: dict[str, Any] = {
        "model": published,
        "codec": codec,
        "compat": "diffusers",
        "guidance": 1.0,
        "sampler": DDIMConfig(grid="ddim"),
        "count": 7,
    }
    for source in (weights, tmp_path / "theirs"):
        sample.run(SampleConfig(**asked, weights=str(source), out=str(tmp_path / source.name)), NoProgress())
    made = json.loads((tmp_path / "theirs" / "manifest.json").read_text())
    assert [image["class"] for image in made["images"]] == list(NAMES)
    ours = _pixels(tmp_path / "theirs")
    assert np.array_equal(ours, _pixels(tmp_path / "model.safetensors"))

    scheduler: Any = DDIMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, clip_sample=False)
    pipeline: Any = pipeline_dit.DiTPipeline(
        DiTTransformer2DModel.from_pretrained(tmp_path / "theirs"),
        AutoencoderKL.from_pretrained(vae),
        scheduler,
        dict(enumerate(NAMES)),
    )
    pipeline.set_progress_bar_config(disable=True)
    noise = SampleNoise(tuple(range(7))).draw(1, (4, 8, 8), torch.device("cpu"))[0]
    monkeypatch.setattr(pipeline_dit, "randn_tensor", lambda **_: noise)
    theirs = pipeline(pipeline.get_label_ids(list(NAMES)), guidance_scale=1.0, num_inference_steps=4, output_type="np").images
    assert np.abs(ours - 255 * np.asarray(theirs)).max() <= 1


def test_guided_in_all_four_channels_a_dit_of_seven_classes_samples_as_diffusers_does(
    published: str, seven_classes: Path, vae: Path, tmp_path: Path
) -> None:
    """DiTPipeline takes row 1000 for "no class", so its loop is written out here around diffusers' own network and solver."""
    codec = CodecConfig(path=str(vae))
    weights = _louder(_trained(published, seven_classes, tmp_path / "train", codec=codec))
    models.convert(str(weights), str(tmp_path / "theirs"), "diffusers")
    asked: dict[str, Any] = {"model": published, "codec": codec, "compat": "diffusers", "sampler": DDIMConfig(grid="ddim"), "count": 7}
    pictures = {}
    for channels in (4, None):
        out = tmp_path / f"guided-{channels}"
        sample.run(SampleConfig(**asked, weights=str(weights), guidance_channels=channels, out=str(out)), NoProgress())
        pictures[channels] = _pixels(out)

    network: Any = DiTTransformer2DModel.from_pretrained(tmp_path / "theirs")
    scheduler: Any = DDIMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, clip_sample=False)
    scheduler.set_timesteps(4)
    x = SampleNoise(tuple(range(7))).draw(1, (4, 8, 8), torch.device("cpu"))[0]
    labels = torch.tensor([*range(7), *[7] * 7])
    with torch.inference_mode():
        for t in scheduler.timesteps:
            cond, null = network(torch.cat([x, x]), timestep=t.expand(14), class_labels=labels).sample[:, :4].chunk(2)
            x = scheduler.step(null + 4.0 * (cond - null), t, x).prev_sample
        decoder: Any = AutoencoderKL.from_pretrained(vae)
        theirs = (decoder.decode(x / decoder.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1).numpy()
    assert np.abs(pictures[4] - 255 * theirs).max() <= 1
    assert np.abs(pictures[None] - 255 * theirs).max() > 1  # the published sampler leaves the fourth channel out


def test_a_dit3d_of_two_classes_is_trained_saved_converted_and_sampled_alike(tiny3d: str, folder_of_clouds: Path, tmp_path: Path) -> None:
    weights = _trained(tiny3d, folder_of_clouds, tmp_path / "train", classes=2)
    assert read_tensors(weights)[TABLE].shape == (3, 36)
    converted = tmp_path / "converted.safetensors"
    models.convert(str(weights), str(converted), "ditkit")
    words, kept = read_metadata(weights), read_metadata(converted)
    assert all(words[name] == kept[name] for name in ("class_names", "cloud_mean", "cloud_scale", "params"))
    with pytest.raises(checkpoints.CheckpointError, match="and diffusers has no DiT-3D; use layout ditkit"):
        models.convert(str(weights), str(tmp_path / "theirs"), "diffusers")
    made = []
    for source in (weights, converted):
        config = Gen3DConfig(model=tiny3d, weights=str(source), classes=["table"], count=2, guidance=2.0, out=str(tmp_path / source.stem))
        gen3d.run(config, NoProgress())
        made.append(read_points(tmp_path / source.stem / "clouds" / "000001.ply", 0))
    assert np.array_equal(*made)


@TINY
def test_more_classes_than_the_model_has_are_learned_if_it_is_told(tiny: str, seven_classes: Path, tmp_path: Path) -> None:
    progress = Noted([])
    out = tmp_path / "train"
    with pytest.raises(DataError, match=rf"^without --classes 7 there is no room: .*/seven has 7 classes, {tiny} has 3$"):
        _trained(tiny, seven_classes, out)
    assert not list(out.glob("latents-*"))  # said before anything was encoded
    weights = _trained(tiny, seven_classes, out, progress, classes=9, steps=1)
    assert progress.said == [f"the network's own number of classes is 9; {tiny} has 3"]
    made = sample.run(SampleConfig(model=tiny, weights=str(weights), classes=["gnu"], count=1, out=str(tmp_path / "run")), NoProgress())
    assert made.data["sampled"] == 1
    estimate = sample.estimate(SampleConfig(model=tiny, weights=str(weights), classes=["gnu"], count=1))
    assert estimate.data["images"] == 1  # it knows the classes of the weights too


@TINY
def test_a_resumed_training_has_to_have_as_many_classes(tiny: str, seven_classes: Path, tmp_path: Path) -> None:
    _trained(tiny, seven_classes, tmp_path / "train", classes=7, steps=1)
    with pytest.raises(checkpoints.CheckpointError, match=r"was trained with classes=7; say the same"):
        _trained(tiny, seven_classes, tmp_path / "train", classes=8, steps=2)


@TINY
def test_fine_tuning_on_other_classes_keeps_everything_but_the_label_table(
    tiny: str, weights: str, folder_of_pictures: Path, tmp_path: Path
) -> None:
    progress = Noted([])
    table = {"tiny-uvit": "label_emb.weight"}.get(tiny, TABLE)
    tuned = _trained(tiny, folder_of_pictures, tmp_path / "train", progress, init=weights, steps=1, learning_rate=1e-12)
    before, after = read_tensors(Path(weights)), read_tensors(tuned)
    assert len(before[table]) == 4 and len(after[table]) == 3
    others = before.keys() - {table}
    assert all(torch.equal(before[name].half(), after[name]) for name in others)
    assert progress.said[-1] == f"not in {weights}, so started afresh: {table.partition('.')[0]}"


@pytest.mark.parametrize(("key", "taken"), [(None, "ema"), ("model", "model")])
def test_training_starts_from_the_average_in_a_file_or_from_the_set_that_is_asked_for(
    key: str | None, taken: str, tiny: str, weights: str, folder_of_pictures: Path, tmp_path: Path
) -> None:
    published = read_tensors(Path(weights))
    sets = {"model": published, "ema": {name: value / 2 for name, value in published.items()}}
    torch.save({**sets, "step": 1}, tmp_path / "start.pt")
    progress, init = Noted([]), str(tmp_path / "start.pt")
    changes = {"init": init, "weights_key": key, "steps": 1, "learning_rate": 1e-12}
    tuned = read_tensors(_trained(tiny, folder_of_pictures, tmp_path / "train", progress, **changes))
    assert all(torch.equal(value, sets[taken][name].half()) for name, value in tuned.items() if name.endswith("mlp.fc1.weight"))
    assert any(line.startswith("start.pt holds the weights model, ema; taken are " + taken) for line in progress.said)


@TINY
def test_a_trained_network_is_fine_tuned_on_its_own_classes_with_its_own_table(
    tiny: str, seven_classes: Path, folder_of_pictures: Path, tmp_path: Path
) -> None:
    first = _trained(tiny, seven_classes, tmp_path / "first", classes=7, steps=1)
    again = _trained(tiny, seven_classes, tmp_path / "again", classes=7, steps=1, init=str(first), learning_rate=1e-12)
    before, after = read_tensors(first), read_tensors(again)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"model": "judge", "classes": 3}, "classes= says how many classes a network has room for; judge is told none"),
        ({"model": "pixart-emoji", "classes": 3}, "classes= says how many classes a network has room for; pixart-emoji is told none"),
        ({"model": "judge", "codec": CodecConfig(path="vae")}, "codec.* say what makes latents of the pictures that a model learns from; "),
        ({"weights_key": "ema"}, "weights_key=ema chooses among the weights to start from; say which file with init=WEIGHTS"),
        ({"codec": CodecConfig(name="sd-vae-ft-ema", path="random")}, "sd-vae-ft-ema and dit-emoji do not go together: latents of 64 "),
    ],
)
def test_what_training_would_not_heed_is_refused(changes: dict[str, Any], line: str, seven_classes: Path, tmp_path: Path) -> None:
    values: dict[str, Any] = {"model": "dit-emoji", **changes}
    with pytest.raises(ConfigError) as raised:
        _trained(values.pop("model"), seven_classes, tmp_path / "train", **values)
    assert str(raised.value).startswith(line)


def test_offline_training_takes_the_codec_that_its_message_asks_for(published: str, seven_classes: Path, vae: Path, tmp_path: Path) -> None:
    with pytest.raises(checkpoints.CheckpointError, match=r"cannot fetch .* of stabilityai/sd-vae-ft-ema .*; .* give codec\.path=PATH$"):
        _trained(published, seven_classes, tmp_path / "train")
    assert _trained(published, seven_classes, tmp_path / "train", codec=CodecConfig(path=str(vae)), steps=1).exists()
