"""PixArt-Sigma: alpha's network on other numbers, told from alpha's files, and diffusers' pictures to within one level."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ditkit.diffusion.noise import SampleNoise
from ditkit.errors import CheckpointError
from ditkit.models import registry
from ditkit.models.aspect_bins import bins
from ditkit.models.blank import blank
from ditkit.models.checkpoints import convert, load_backbone
from ditkit.models.identify import same_network
from ditkit.models.pixart import PixArtParams, position_table
from ditkit.models.registry import find
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.text.encoder import ENCODERS, EncoderSpec
from tests.closeness import assert_close
from tests.models.tiny import PIXART, drawn
from tests.text.tiny import write_encoder

SIGMAS = {256: "pixart-sigma-xl-2-256", 512: "pixart-sigma-xl-2-512-ms", 1024: "pixart-sigma-xl-2-1024-ms", 2048: "pixart-sigma-xl-2-2k-ms"}
TOKENS = 20  # of the tiny encoder's prompts, in place of 300


@pytest.mark.parametrize(("side", "name"), SIGMAS.items())
def test_the_published_sizes_are_registered(side: int, name: str) -> None:
    spec, params = find(name), find(name).params
    assert isinstance(params, PixArtParams)
    assert (spec.image_size, params.input_size, params.interpolation, params.caption_tokens) == (side, side // 8, side / 512, 300)
    assert not params.micro_conditions and spec.codec == "sdxl-vae" and ENCODERS[str(spec.text)].tokens == 300
    assert {name: tuple(value.shape) for name, value in blank(params).state_dict().items() if name != "pos_embed"} == {
        name: tuple(value.shape) for name, value in blank(find("pixart-xl-2-512").params).state_dict().items() if name != "pos_embed"
    }


@pytest.mark.parametrize("side", SIGMAS)
def test_every_shape_spans_the_positions_of_512_pixels(side: int) -> None:
    from diffusers.models.embeddings import get_2d_sincos_pos_embed

    params = replace(find(SIGMAS[side]).params, width=16, heads=2)
    assert isinstance(params, PixArtParams)
    for rows, columns in ((params.grid, params.grid), (params.grid // 2, params.grid)):
        theirs = get_2d_sincos_pos_embed(
            16, (columns, rows), interpolation_scale=params.interpolation, base_size=params.grid, output_type="pt"
        )
        if rows == columns:
            assert_close(position_table(params, rows, columns)[0], theirs.float(), 4096)  # of angles up to 32


@pytest.mark.parametrize("side", SIGMAS)
def test_the_shapes_are_those_of_diffusers(side: int) -> None:
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha, pipeline_pixart_sigma

    module = pipeline_pixart_sigma if side == 2048 else pipeline_pixart_alpha
    table = getattr(module, f"ASPECT_RATIO_{side}_BIN")
    assert {(aspect, height, width) for aspect, height, width in bins(side)} == {
        (float(aspect), int(height), int(width)) for aspect, (height, width) in table.items()
    }
    assert list(bins(side)) == sorted(bins(side))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, pipeline in (("alpha", None), ("sigma", "PixArtSigmaPipeline")):
        params = replace(PIXART, caption_tokens=300 if pipeline else 120)
        spec = ModelSpec(name, "pixart", params, "linear", "pixels", 64, 8, Defaults("dpm-solver++", 4, 4.5), text="t5", pipeline=pipeline)
        monkeypatch.setitem(registry.SPECS, name, spec)


def official(tokens: int, **changes: Any) -> dict[str, torch.Tensor]:
    network = drawn(registry.FAMILIES["pixart"](replace(PIXART, **changes)))
    caption = {"y_embedder.y_embedding": torch.zeros(tokens, PIXART.caption_width)} if tokens else {}
    return {**network.state_dict(), **caption}


@pytest.mark.parametrize(
    ("name", "tokens", "changes", "words"),
    [
        ("sigma", 120, {}, "is a PixArtAlphaPipeline by its numbers; sigma is read from a PixArtSigmaPipeline"),
        ("sigma", 0, {"micro_conditions": True}, "is a PixArtAlphaPipeline by its numbers; sigma is read from a PixArtSigmaPipeline"),
        ("alpha", 300, {}, "is a PixArtSigmaPipeline by its numbers; alpha is read from a PixArtAlphaPipeline"),
    ],
)
def test_an_alpha_under_a_sigmas_name_and_the_reverse_are_refused(
    name: str, tokens: int, changes: dict[str, Any], words: str, named: None, tmp_path: Path
) -> None:
    torch.save({"state_dict": official(tokens, **changes)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=words):
        load_backbone(find(name), str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("sr", "its attention compresses keys and values (attn.sr), as PixArt-Sigma's training can, and ditkit's does not"),
        ("q_norm", "its attention normalises queries and keys (attn.q_norm), and ditkit's does not"),
    ],
)
def test_parts_that_its_training_can_add_are_refused_by_name(part: str, words: str, named: None, tmp_path: Path) -> None:
    torch.save({"state_dict": {**official(300), f"blocks.1.attn.{part}.bias": torch.zeros(24)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        load_backbone(find("sigma"), str(tmp_path / "w.pth"))
    assert str(caught.value).endswith(f"1 unexpected (blocks.1.attn.{part}.bias); {words}")


def test_official_files_of_either_load_under_their_own_name(named: None, tmp_path: Path) -> None:
    for name, tokens in (("alpha", 120), ("sigma", 300)):
        torch.save({"state_dict": official(tokens)}, tmp_path / f"{name}.pth")
        assert load_backbone(find(name), str(tmp_path / f"{name}.pth")).backbone.params == find(name).params


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tiny PixArtSigmaPipeline in its folder, and the name sigma-tiny for models of that kind."""
    diffusers: Any = importlib.import_module("diffusers")
    folder = tmp_path / "sigma"
    torch.manual_seed(0)
    transformer = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=24,
        caption_channels=16,
        sample_size=32,
        patch_size=2,
        interpolation_scale=0.5,
        use_additional_conditions=False,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.13025,
    )
    for module in (transformer, vae):
        drawn(module)
    made = diffusers.PixArtSigmaPipeline(
        tokenizer=None, text_encoder=None, vae=vae, transformer=transformer, scheduler=diffusers.DPMSolverMultistepScheduler()
    )
    made.save_pretrained(folder)
    write_encoder(folder)
    params = PixArtParams(width=24, depth=2, heads=2, patch=2, input_size=32, caption_width=16, caption_tokens=TOKENS, interpolation=0.5)
    spec = ModelSpec(
        "sigma-tiny", "pixart", params, "linear", "sdxl-vae", 256, 8, Defaults("dpm-solver++", 5, 4.5), text="t5-tiny",
        pipeline="PixArtSigmaPipeline",
    )  # fmt: skip
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    monkeypatch.setitem(ENCODERS, "t5-tiny", EncoderSpec(parameters=1000, width=16, tokens=TOKENS))
    yield folder


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own
@pytest.mark.parametrize("size", [(256, 256), (160, 320)])
def test_a_pipeline_saved_by_diffusers_is_sampled_as_diffusers_does(size: tuple[int, int], pipeline: Path) -> None:
    """Within one level of 255, from the same noise: at a square, and at a size that is made in a trained shape and cropped."""

    import ditkit
    from ditkit.models.aspect_bins import nearest_bin
    from ditkit.text.encoder import encode, find_encoder

    prompts = ["two cats and a dog", "the brown tree"]
    model = ditkit.load("sigma-tiny", str(pipeline))
    mine = ditkit.sample(model, prompts=prompts, size=size, seeds=[3, 4], steps=5, text=str(pipeline))

    shape = nearest_bin(*size, 256)
    latents = SampleNoise((3, 4)).draw(1, (4, shape.height // 8, shape.width // 8))[0]
    features, mask = encode([*prompts, ""], find_encoder("t5-tiny", str(pipeline)), ENCODERS["t5-tiny"])
    theirs = importlib.import_module("diffusers").PixArtSigmaPipeline.from_pretrained(
        pipeline, text_encoder=None, tokenizer=None, low_cpu_mem_usage=False
    )
    theirs.set_progress_bar_config(disable=True)
    made = theirs(
        prompt_embeds=features[:2],
        prompt_attention_mask=mask[:2],
        negative_prompt=None,
        negative_prompt_embeds=features[2:].expand(2, -1, -1),
        negative_prompt_attention_mask=mask[2:].expand(2, -1),
        height=size[0],
        width=size[1],
        latents=latents,
        num_inference_steps=5,
        guidance_scale=4.5,
        output_type="np",
    ).images
    for image, other in zip(mine, made, strict=True):
        assert np.abs(np.asarray(image, dtype=float) - 255 * other).max() <= 1.5  # one level, and how either rounds
    assert np.asarray(mine[0]).std() > 5


def test_a_sigma_is_converted_as_one(tmp_path: Path) -> None:
    """At the sizes where only the length of its stored caption tells, and its positions are the registry's."""
    for side in (256, 512):
        params = replace(find(SIGMAS[side]).params, width=24, depth=2, heads=2)
        assert isinstance(params, PixArtParams)
        found = replace(params, caption_tokens=300, interpolation=1.0)
        assert (same_network(params, found), same_network(params, replace(found, caption_tokens=120))) == (True, False)
    torch.save({"state_dict": official(300)}, tmp_path / "w.pth")
    converted = convert(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert isinstance(converted, PixArtParams) and converted.caption_tokens == 300
