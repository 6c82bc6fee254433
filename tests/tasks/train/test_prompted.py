"""Training a model that is asked in words, from the command's configuration to weights and a folder of its text encoder."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ditkit.codecs.registry import load_codec
from ditkit.config.schema import DataConfig, RuntimeConfig, ScenesConfig, TrainConfig
from ditkit.errors import CheckpointError, ConfigError, DataError
from ditkit.files.tensors import read_tensors
from ditkit.models import registry
from ditkit.models.checkpoints import load_backbone, save
from ditkit.models.dit import DiT, DiTParams
from ditkit.models.pixart import PixArtParams
from ditkit.models.prompts import Prompts
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.results.progress import NoProgress
from ditkit.tasks import train
from ditkit.tasks.shared import loop
from ditkit.text.encoder import ENCODERS, encode, find_encoder
from tests.closeness import close, near, summed


@pytest.fixture(autouse=True)
def tiny_pixart(monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    params = PixArtParams(width=16, depth=2, heads=2, patch=2, input_size=32, caption_width=128, caption_tokens=32)
    spec = ModelSpec("tiny-pixart", "pixart", params, "linear", "ae-emoji", 128, 8, Defaults("dpm-solver++", 4, 3.0), text="t5-emoji")
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    return spec


def _config(data: Path, out: Path, **changes: object) -> TrainConfig:
    values = {"model": "tiny-pixart", "steps": 2, "batch": 2, "data": DataConfig(path=str(data)), "out": str(out), **changes}
    return TrainConfig(**values)  # pyright: ignore[reportArgumentType]


def test_both_networks_are_written_and_read_as_any_other(tiny_pixart: ModelSpec, sprite_sheet: Path, tmp_path: Path) -> None:
    (weights,) = train.run(_config(sprite_sheet, tmp_path / "train"), NoProgress()).files
    backbone = load_backbone(tiny_pixart, str(weights)).backbone
    found = find_encoder("t5-emoji", str(weights.parent))
    assert found.weights == weights.parent / "text_encoder"
    features, mask = encode(["an apple left of a pear", ""], found, ENCODERS["t5-emoji"])
    with torch.no_grad():
        conditioning = backbone.condition(torch.tensor([1.0, 999.0]), backbone.prepare(Prompts(features, mask)))
        assert backbone(torch.zeros(2, 4, 16, 36), conditioning).isfinite().all()
    averaged = read_tensors(weights.parent / "weights.safetensors")["text.shared.weight"]
    assert torch.equal(read_tensors(found.weights / "model.safetensors")["shared.weight"], averaged.half())


def test_words_can_be_learned_on_few_and_small_pictures_first_and_all_of_them_are_in_the_vocabulary(
    sprite_sheet: Path, tmp_path: Path
) -> None:
    few = ScenesConfig(filling=1, white=1, small=0.5, nouns=1, side=16)
    train.run(_config(sprite_sheet, tmp_path / "few", scenes=few), NoProgress())
    (weights,) = train.run(_config(sprite_sheet, tmp_path / "all", init=str(tmp_path / "few" / "model.safetensors")), NoProgress()).files
    vocabularies = {(tmp_path / run / "text_encoder" / "spiece.model").read_bytes() for run in ("few", "all")}
    assert len(vocabularies) == 1 and weights.exists()
    with pytest.raises(ConfigError, match=r"scenes\.side=20 is not a multiple of 8, the pixels along a side of tiny-pixart's tokens"):
        train.run(_config(sprite_sheet, tmp_path / "odd", scenes=ScenesConfig(side=20)), NoProgress())
    with pytest.raises(ConfigError, match=r"scenes\.filling must be between 0 and 1, not 1\.2"):
        ScenesConfig(filling=1.2)
    with pytest.raises(ConfigError, match=r"scenes\.nouns is a number of nouns or a list of them, as in \[cat,ice cream\], not 'cat'"):
        ScenesConfig(nouns="cat")
    with pytest.raises(ConfigError, match=r"scenes\.nouns names cat more than once$"):
        ScenesConfig(nouns=["cat", "dog", "cat"])
    with pytest.raises(
        ConfigError, match=r"scenes\.\* say what a model that reads captions learns from, scenes\.small also ae-emoji; dit-emoji is none"
    ):
        train.run(_config(sprite_sheet, tmp_path / "no", model="dit-emoji", scenes=few), NoProgress())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(sprite_sheet: Path, tmp_path: Path, optimizer: str) -> None:
    train.run(_config(sprite_sheet, tmp_path / "whole", steps=3, optimizer=optimizer), NoProgress())
    train.run(_config(sprite_sheet, tmp_path / "parts", steps=1, optimizer=optimizer), NoProgress())
    train.run(_config(sprite_sheet, tmp_path / "parts", steps=3, optimizer=optimizer), NoProgress())
    for name in ("model.safetensors", "text_encoder/model.safetensors"):
        once, resumed = (read_tensors(tmp_path / run / name) for run in ("whole", "parts"))
        assert all(torch.equal(value, resumed[key]) for key, value in once.items())
    vocabularies = {(tmp_path / run / "text_encoder" / "spiece.model").read_bytes() for run in ("whole", "parts")}
    assert len(vocabularies) == 1


class Notes(NoProgress):
    """Remembers what is said beside the bar."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


FAST: dict[str, object] = {
    "runtime": RuntimeConfig(precision="bfloat16"),
    "scenes": ScenesConfig(side=16, small=0.3, pool=3),
    "levels": "weighted",
    "noisy_weight": 4.0,
    "start": 0.75,
    "optimizer": "muon",
}
"""The way that is fast on a CPU."""


def test_the_fast_way_resumes_with_the_same_bits_and_says_that_its_pool_was_gone(sprite_sheet: Path, tmp_path: Path) -> None:
    train.run(_config(sprite_sheet, tmp_path / "whole", steps=4, **FAST), NoProgress())
    before, after = Notes(), Notes()
    train.run(_config(sprite_sheet, tmp_path / "parts", steps=2, **FAST), before)
    (pool,) = (tmp_path / "parts").glob("pool-*")
    shutil.rmtree(pool)
    train.run(_config(sprite_sheet, tmp_path / "parts", steps=4, **FAST), after)
    once, resumed = (read_tensors(tmp_path / run / "weights.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(value, resumed[key]) for key, value in once.items())
    assert before.said == []
    assert after.said == [f"{pool}, the pool of encoded pictures, is gone, or of another codec or data: its pictures are encoded again"]


def test_a_pool_of_another_codec_is_another_pool(sprite_sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train.run(_config(sprite_sheet, tmp_path, steps=1, **FAST), NoProgress())
    monkeypatch.setattr("ditkit.tasks.train.recipes.load_codec", lambda *said: replace(load_codec(*said), origin={"sha256": "another"}))
    again = Notes()
    train.run(_config(sprite_sheet, tmp_path, steps=2, **FAST), again)
    assert len(list(tmp_path.glob("pool-*"))) == 2 and "or of another codec or data" in again.said[0]


def test_the_loss_of_the_fast_way_lies_on_that_of_the_exact_one(
    sprite_sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same pictures: ten steps, each of which rounds what it learns."""
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    for precision in ("float32", "bfloat16"):
        changes = {**FAST, "runtime": RuntimeConfig(precision=precision), "steps": 10, "warmup": 1, "learning_rate": 1e-3}
        train.run(_config(sprite_sheet, tmp_path / precision, **changes), NoProgress())
    exact, fast = (loop.read_log(tmp_path / precision) for precision in ("float32", "bfloat16"))
    losses = ([entry["loss"] for entry in log.values()] for log in (fast, exact))
    assert next(losses) == near(next(losses), summed(10), torch.bfloat16)
    assert fast != exact


def test_training_starts_from_a_dit_or_from_both_networks_of_an_earlier_run(sprite_sheet: Path, tmp_path: Path) -> None:
    params = DiTParams(width=16, depth=2, heads=2, patch=2, input_size=8, classes=3)
    save(DiT(params).state_dict(), tmp_path / "dit.safetensors", model="dit", params=params)
    (weights,) = train.run(_config(sprite_sheet, tmp_path / "a", init=str(tmp_path / "dit.safetensors")), NoProgress()).files
    train.run(_config(sprite_sheet, tmp_path / "b", init=str(weights), steps=1, learning_rate=1e-12), NoProgress())
    for name in ("model.safetensors", "text_encoder/model.safetensors"):
        first, second = (read_tensors(tmp_path / run / name) for run in ("a", "b"))
        assert all(
            close(value, second[key], size=1)  # as they are stored, in half precision
            for key, value in first.items()
        )
    spelled = tmp_path / "a" / "text_encoder" / "spiece.model"
    spelled.write_bytes(spelled.read_bytes() + b"\n")
    with pytest.raises(CheckpointError, match=r"text_encoder was trained on captions of other words than these sprites'; move it away"):
        train.run(_config(sprite_sheet, tmp_path / "c", init=str(weights)), NoProgress())


def test_the_text_encoder_is_taken_from_where_training_and_ditkit_itself_put_it_and_a_fresh_one_is_said(
    sprite_sheet: Path, tmp_path: Path
) -> None:
    (weights,) = train.run(_config(sprite_sheet, tmp_path / "a"), NoProgress()).files
    learned = read_tensors(tmp_path / "a" / "text_encoder" / "model.safetensors")
    shipped = tmp_path / "shipped" / str(ENCODERS["t5-emoji"].asset)
    shutil.copytree(tmp_path / "a" / "text_encoder", shipped)
    shutil.copy(weights, shipped.parent)
    told = Notes()
    train.run(_config(sprite_sheet, tmp_path / "b", init=str(shipped.parent / weights.name), steps=1, learning_rate=1e-12), told)
    assert not told.said
    kept = read_tensors(tmp_path / "b" / "text_encoder" / "model.safetensors")
    assert all(close(value, kept[key], size=1) for key, value in learned.items())  # as they are stored, in half precision

    shutil.rmtree(shipped)
    train.run(_config(sprite_sheet, tmp_path / "c", init=str(shipped.parent / weights.name), steps=1), told)
    (said,) = told.said
    assert said.startswith("there is no text encoder beside ") and said.endswith("a fresh one learns the words from the beginning")


def test_what_cannot_be_trained_is_refused(sprite_sheet: Path, folder_of_pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^pixart-xl-2-256 reads prompts through t5-v1.1-xxl, which ditkit does not train; train pixart-"
    ):
        train.run(_config(sprite_sheet, tmp_path / "train", model="pixart-xl-2-256"), NoProgress())
    with pytest.raises(DataError, match="is not a sprite sheet"):
        train.run(_config(folder_of_pictures, tmp_path / "train"), NoProgress())
    assert not (tmp_path / "train").exists()


def test_the_small_pixart_fits_its_file_and_its_blocks_those_of_dit_emoji() -> None:
    spec, dit = registry.find("pixart-emoji"), registry.find("dit-emoji")
    assert [getattr(spec.params, name) for name in ("width", "depth", "heads")] == [
        getattr(dit.params, name) for name in ("width", "depth", "heads")
    ]
    assert 2 * sum(value.numel() for value in registry.build(spec).state_dict().values()) < 20_000_000
