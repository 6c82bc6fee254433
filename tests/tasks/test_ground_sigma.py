"""`ditkit ground` on PixArt-Sigma: a tiny pipeline that diffusers saved."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ditkit.config.schema import GroundConfig, RulesConfig
from ditkit.diffusion.noise import SampleNoise
from ditkit.engine.distributed import World
from ditkit.grounding.sample import sample
from ditkit.results.progress import NoProgress
from ditkit.tasks import ground
from ditkit.tasks.shared import build
from tests.saved_pipelines import autoencoder, picture, pixart, pixart_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
PROMPT, SEED, SIDE = "a hot dog and two cats", 5, 256
BOXES = ["hot dog: 0.0,0.25,0.375,0.75", "cats: 0.5,0.5,1.0,1.0"]  # whole patches of 16 pixels
CELLS = ((slice(8, 24), slice(0, 12)), (slice(16, 32), slice(16, 32)))  # the same in the latent: rows, columns


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A pipeline of Sigma's 256-pixel shape, eight pixels to a latent, and its folder."""
    folder = tmp_path_factory.mktemp("sigma")
    blocks: dict[str, Any] = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    transformer = pixart(sample_size=32, interpolation_scale=0.5, use_additional_conditions=False)
    made = pixart_pipeline(folder / "words", transformer, sigma=True)
    made.register_modules(vae=autoencoder(block_out_channels=(8, 8, 8, 8), scaling_factor=0.13025, **blocks))
    made.save_pretrained(folder / "pipe")
    return made, folder / "pipe"


def config(folder: Path, rules: str, steps: int, out: Path | None = None, **changes: Any) -> GroundConfig:
    asked: dict[str, Any] = {"prompt": PROMPT, "box": BOXES, "seed": SEED, "steps": steps, "rules": RulesConfig(rules, **changes)}
    return GroundConfig(model="pixart-sigma-xl-2-256", weights=str(folder), out=str(out), **asked)


def drawn(asked: GroundConfig) -> np.ndarray:
    ground.run(asked, NoProgress())
    return np.asarray(Image.open(Path(str(asked.out)) / "images" / "000000.png"), dtype=int)


def latents(asked: GroundConfig) -> torch.Tensor:
    asked = ground.with_layouts_read(asked)
    model, request = ground.GroundedPictures().request(asked, build.model(asked), None, NoProgress(), World())
    assert isinstance(request, ground.GroundedRequest)
    (batch,) = sample(model, request)
    return batch.latents[0]


def test_plain_is_the_picture_of_diffusers_and_boxes_change_it(pipe: tuple[Any, Path], tmp_path: Path) -> None:
    theirs, folder = pipe
    noise = SampleNoise((SEED,)).draw(1, (4, SIDE // 8, SIDE // 8))[0]
    expected = picture(theirs(PROMPT, latents=noise, height=SIDE, width=SIDE, num_inference_steps=2, clean_caption=False))
    plain = drawn(config(folder, "plain", 2, tmp_path / "plain"))
    assert expected.std() > 10 and np.abs(plain - expected).max() <= 1
    grounded = drawn(config(folder, "default", 2, tmp_path / "grounded"))
    assert np.abs(grounded - plain).max() > 1


def test_a_transplant_in_the_last_step_changes_its_boxes_alone(pipe: tuple[Any, Path]) -> None:
    plain, put = (latents(config(pipe[1], rules, 1, share=share)) for rules, share in (("plain", None), ("transplant", 1.0)))
    outside = torch.ones_like(plain[0], dtype=torch.bool)
    for rows, columns in CELLS:
        outside[rows, columns] = False
        assert not torch.equal(put[:, rows, columns], plain[:, rows, columns])
    assert torch.equal(put[:, outside], plain[:, outside])
    none = latents(replace(config(pipe[1], "default", 1, share=1.0), box=[]))
    assert torch.equal(none, plain)
