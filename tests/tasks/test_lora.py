"""LoRAs from and for other libraries: the pictures that ditkit and diffusers draw with the same file are the same."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.loaders.peft import PeftAdapterMixin
from diffusers.pipelines.dit import pipeline_dit
from PIL import Image

from ditkit.config.schema import CodecConfig, DataConfig, LoraConfig, SampleConfig, TrainConfig
from ditkit.models import checkpoints, registry
from ditkit.models.dit import DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample, train
from ditkit.training.lora import UP, add_lora, save_lora
from tests.saved_pipelines import SIZE, autoencoder, dit_pipeline, noise, picture, pixart_pipeline

peft: Any = pytest.importorskip("peft", reason="peft, which ditkit[dev] brings, is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SEED, STEPS, RANK = 5, 4, 8
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]
MODELS: dict[str, dict[str, Any]] = {
    "dit": {"model": "dit-xl-2-256", "compat": "diffusers", "classes": ["3"], "guidance": 1.0},
    "pixart": {"model": "pixart-xl-2-512", "prompts": ["a hot dog"]},
}


@pytest.fixture
def pipe(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pipeline that is saved in `tmp_path`/pipe."""
    monkeypatch.setattr(pipeline_dit, "randn_tensor", lambda shape, **_: noise(SEED))
    made = dit_pipeline() if request.param == "dit" else pixart_pipeline(tmp_path / "words")
    made.save_pretrained(tmp_path / "pipe")
    return made


def by_diffusers(pipe: Any) -> np.ndarray:
    if hasattr(pipe, "tokenizer"):
        side = {"height": 2 * SIZE, "width": 2 * SIZE, "use_resolution_binning": False, "clean_caption": False}
        return picture(pipe("a hot dog", latents=noise(SEED), num_inference_steps=STEPS, **side))
    return picture(pipe(class_labels=[3], guidance_scale=1.0, num_inference_steps=STEPS))


def by_ditkit(family: str, tmp_path: Path, *lora: Path) -> np.ndarray:
    out = tmp_path / f"run-{len(lora)}"
    asked = {**MODELS[family], "weights": str(tmp_path / "pipe"), "seed": SEED, "count": 1, "steps": STEPS, "out": str(out)}
    sample.run(SampleConfig(**asked, lora=[str(path) for path in lora]), NoProgress())
    return np.asarray(Image.open(out / "images" / "000000.png"), dtype=int)


def assert_drawn_alike(ours: np.ndarray, theirs: np.ndarray, plain: np.ndarray) -> None:
    """Within one level of 255, of pictures that the LoRA changed."""
    assert np.abs(theirs - plain).max() > 10
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(("family", "pipe"), [("dit", "dit"), ("pixart", "pixart")], indirect=["pipe"])
def test_a_lora_made_by_peft_draws_the_pictures_of_diffusers(family: str, pipe: Any, tmp_path: Path) -> None:
    plain = by_ditkit(family, tmp_path)
    config = peft.LoraConfig(r=4, lora_alpha=24, target_modules=TARGETS, init_lora_weights=False)
    torch.manual_seed(0)
    peft.get_peft_model(pipe.transformer, config).save_pretrained(str(tmp_path / "lora"))  # changes the pipeline's own layers
    assert_drawn_alike(by_ditkit(family, tmp_path, tmp_path / "lora"), by_diffusers(pipe), plain)


def trained_dit(pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """By `ditkit train lora.rank=8`, on a picture in each of seven folders; through an autoencoder of the published factor, 8."""
    blocks: dict[str, Any] = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    autoencoder(block_out_channels=(8, 8, 8, 8), **blocks).save_pretrained(tmp_path / "vae")
    rng = np.random.default_rng(0)
    for name in "abcdefg":
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (8 * SIZE, 8 * SIZE, 3), dtype=np.uint8)).save(tmp_path / "data" / name / "0.png")
    params = DiTParams(width=32, depth=2, heads=4, patch=2, input_size=SIZE, classes=7)
    spec = ModelSpec("tiny", "dit", params, "linear", "sd-vae-ft-ema", 8 * SIZE, 3, Defaults("ddim", STEPS, 1.0))
    config = TrainConfig(
        model="tiny",
        data=DataConfig(path=str(tmp_path / "data"), augment=1),
        codec=CodecConfig(path=str(tmp_path / "vae")),
        init=str(tmp_path / "pipe" / "transformer"),
        lora=LoraConfig(rank=RANK),
        steps=20,
        ema=0.5,
        batch=4,
        learning_rate=0.1,  # so that it shows
        out=str(tmp_path / "train"),
    )
    with monkeypatch.context() as patch:  # only there, or its pipeline would be found to be that model's
        patch.setitem(registry.SPECS, spec.name, spec)
        train.run(config, NoProgress())
    return tmp_path / "train" / "lora"


def drawn_pixart(pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As training writes it, of changes that are drawn at random: a tiny T5 that people have is not trained."""
    network = checkpoints.load_backbone(registry.find("pixart-xl-2-512"), str(tmp_path / "pipe")).backbone
    add_lora(network, RANK, 2.0 * RANK)
    generator = torch.Generator().manual_seed(5)
    state = dict(network.state_dict())
    state |= {name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in state.items() if name.endswith(UP)}
    save_lora(state, tmp_path / "lora", network.params, 2.0 * RANK)
    return tmp_path / "lora"


def with_peft(transformer: Any, lora: Path) -> None:
    peft.PeftModel.from_pretrained(transformer, str(lora))


def with_diffusers(transformer: Any, lora: Path) -> None:
    """By the loader that diffusers gives its newer networks, and has not given these two."""
    transformer.__class__ = type("Loading", (type(transformer), PeftAdapterMixin), {})
    transformer.load_lora_adapter(str(lora), weight_name="pytorch_lora_weights.safetensors", prefix="transformer")


@pytest.mark.parametrize(("family", "pipe", "made"), [("dit", "dit", trained_dit), ("pixart", "pixart", drawn_pixart)], indirect=["pipe"])
def test_a_lora_made_by_ditkit_draws_the_same_pictures_in_diffusers(
    family: str, pipe: Any, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora, plain = made(pipe, tmp_path, monkeypatch), by_ditkit(family, tmp_path)
    ours, unchanged = by_ditkit(family, tmp_path, lora), pipe.transformer
    for load in (with_peft, with_diffusers):
        pipe.transformer = deepcopy(unchanged)
        load(pipe.transformer, lora)
        assert_drawn_alike(ours, by_diffusers(pipe), plain)
