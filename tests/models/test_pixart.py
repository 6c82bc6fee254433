from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.diffusion.prediction import Reading
from ditkit.errors import CheckpointError, ConfigError
from ditkit.execution import PLAIN, Execution, Site
from ditkit.models import pixart_layout
from ditkit.models.blank import blank
from ditkit.models.checkpoints import convert, load_backbone, load_into, read_checkpoint, save, with_compat
from ditkit.models.identify import describe, identify
from ditkit.models.pixart import PixArt, PixArtParams, position_table
from ditkit.models.prompts import PixArtConditioning, Prompts
from ditkit.models.registry import find
from ditkit.nn.embed import stretched_positions_2d
from tests.closeness import assert_close, close, evaluated
from tests.golden_files import golden, golden_json
from tests.models.tiny import PIXART, drawn, prompts, rows

TINY = PixArtParams(width=64, depth=4, heads=4, patch=2, input_size=16, caption_width=32, caption_tokens=8)
TINY_MS = replace(TINY, width=72, input_size=32, micro_conditions=True, interpolation=2.0)


def weights(reference: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[3:]: value for name, value in reference.items() if name.startswith("sd.")}


def from_reference(params: PixArtParams, reference: dict[str, Tensor]) -> PixArt:
    """Through the converter, whichever layout the reference has."""
    state = weights(reference)
    state.pop(pixart_layout.NULL_CAPTION, None)
    model = PixArt(params)
    load_into(model, pixart_layout.to_official(state) if pixart_layout.is_diffusers_pixart(state) else state)
    return model.eval()


def tiny(params: PixArtParams = PIXART) -> PixArt:
    return drawn(PixArt(params))


def inputs(params: PixArtParams = PIXART, batch: int = 3, shape: tuple[int, int] = (8, 12)) -> tuple[Tensor, Tensor, Prompts]:
    """A latent, times and prompts of 1, 2, ... tokens."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, params.channels, *shape, generator=generator)
    return x, torch.rand(batch, generator=generator) * 999, prompts(params, batch, shape=shape)


def run(model: PixArt, x: Tensor, t: Tensor, said: Prompts, execution: Execution = PLAIN) -> Tensor:
    return model(x, model.condition(t, model.prepare(said)), execution)


def ones(mask: Tensor) -> Tensor:
    return torch.ones_like(mask)


@torch.no_grad()
def test_the_published_forward_is_reproduced_whatever_the_mask() -> None:
    reference = golden("pixart_official_512style")
    model = from_reference(TINY, reference)
    x, t, features = reference["in.x"], reference["in.timestep"], reference["in.y"][:, 0]
    cases = {
        "masked": reference["in.mask"],
        "unmasked": ones(reference["in.mask"]),
        "masked_holes": reference["in.mask_with_holes"],
        "mask_one_row_repeated": reference["in.mask_one_row"].expand(3, -1),
    }
    for name, mask in cases.items():
        assert_close(run(model, x, t, Prompts(features, mask)), reference[f"out.{name}"], evaluated(model, foreign=True))
    noise = Reading(variance=True).of(run(model, x, t, Prompts(features, cases["masked"]))).value
    assert_close(noise, reference["out.forward_with_dpmsolver_masked"], evaluated(model, foreign=True))


@torch.no_grad()
def test_embeddings_are_the_published_ones() -> None:
    reference = golden("pixart_official_512style")
    model = from_reference(TINY, reference)
    c = model.t_embedder(reference["in.timestep"])
    assert_close(c, reference["aux.t_embedder"], evaluated(model, foreign=True))
    assert_close(model.t_block(c), reference["aux.t_block"], evaluated(model, foreign=True))
    assert_close(model.y_embedder["y_proj"](reference["in.y"]), reference["aux.y_proj"], evaluated(model.y_embedder))
    assert_close(model.embed(reference["in.x"]), reference["aux.tokens_in"], evaluated(model.x_embedder))


@torch.no_grad()
@pytest.mark.parametrize("case", ["square_masked", "wide_masked", "tall_unmasked"])
def test_the_published_network_of_many_scales_is_reproduced(case: str) -> None:
    reference = golden("pixart_official_1024ms_style")
    given = {name.removeprefix(f"in.{case}."): value for name, value in reference.items() if name.startswith(f"in.{case}.")}
    model = from_reference(TINY_MS, reference)
    features = given["y"][:, 0]
    sizes = torch.cat([given["img_hw"], given["aspect_ratio"]], dim=1)
    said = Prompts(features, given.get("mask", features.new_ones(features.shape[:2])), sizes)
    assert_close(run(model, given["x"], given["timestep"], said), reference[f"out.{case}"], evaluated(model, foreign=True))
    rows, columns = (side // 2 for side in given["x"].shape[2:])
    assert torch.equal(model.positions(rows, columns)[0], reference[f"aux.{case}.pos_embed"])
    size = model.prepare(said).size
    assert size is not None
    assert_close(model.t_embedder(given["timestep"]) + size, reference[f"aux.{case}.cond"], evaluated(model, foreign=True))


@torch.no_grad()
@pytest.mark.parametrize(
    ("style", "params", "case"),
    [("512", TINY, "square"), ("512", TINY, "wide"), ("512", TINY, "tall"), ("1024", TINY_MS, "square"), ("1024", TINY_MS, "wide")],
)
def test_weights_of_diffusers_give_diffusers_output(style: str, params: PixArtParams, case: str) -> None:
    reference = golden(f"pixart_diffusers_{style}style")
    given = {name.removeprefix(f"in.{case}."): value for name, value in reference.items() if name.startswith(f"in.{case}.")}
    model = from_reference(params, reference)
    sizes = torch.cat([given["resolution"], given["aspect_ratio"]], dim=1) if params.micro_conditions else None
    mask = given["encoder_attention_mask"]
    for kept, expected in ((mask, "sample"), (ones(mask), "sample_no_mask")):
        said = Prompts(given["encoder_hidden_states"], kept, sizes)
        out = run(model, given["hidden_states"], given["timestep"], said)
        assert_close(out, reference[f"out.{case}.{expected}"], evaluated(model, foreign=True))


def test_position_tables_are_the_published_ones_to_the_bit() -> None:
    reference = golden("pixart_pos_embed")
    for case, numbers in golden_json("pixart_pos_embed")["cases"].items():
        grid = (numbers["embed_dim"], numbers["grid_h"], numbers["grid_w"], numbers["base_size"], numbers["interpolation_scale"])
        assert torch.equal(stretched_positions_2d(*grid)[0], reference[f"out.{case}"])


def test_positions_are_computed_once_for_each_grid() -> None:
    model = tiny()
    assert model.positions(4, 4) is model.pos_embed
    assert model.positions(3, 6) is model.positions(3, 6)
    assert not torch.equal(model.positions(3, 6), model.positions(6, 3))
    assert "_positions" not in str(model.state_dict().keys())
    assert model.to(torch.bfloat16).positions(3, 6).dtype == torch.bfloat16


@torch.no_grad()
def test_a_call_visits_self_cross_and_mlp_of_every_block_and_asks_for_both_attentions() -> None:
    model = tiny()
    visited: list[Site] = []
    asked: list[tuple[Site, tuple[int, ...], bool]] = []

    def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        visited.append(site)
        return compute()

    def attend(site: Site, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        asked.append((site, (q.shape[2], k.shape[2]), bias is not None))
        return PLAIN.attend(site, q, k, v, bias)

    run(model, *inputs(), Execution(branch, attend))
    assert tuple(visited) == model.sites
    assert [site.branch for site in model.sites] == ["self", "cross", "mlp"] * 2
    expected = [[(Site(i, "self"), (24, 24), False), (Site(i, "cross"), (24, 5), True)] for i in range(2)]
    assert asked == [entry for block in expected for entry in block]


def test_gradients_reach_the_latent_through_the_cross_attention_maps() -> None:
    model = tiny()
    maps: list[Tensor] = []

    def keep(site: Site, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        if bias is None:
            return PLAIN.attend(site, q, k, v, bias)
        probabilities = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias).softmax(dim=-1)
        maps.append(probabilities)
        return probabilities @ v

    x, t, said = inputs()
    x.requires_grad_()
    out = run(model, x, t, said, Execution(attend=keep))
    assert_close(out, run(model, x, t, said), evaluated(model))
    assert all(not probabilities[0, ..., 1:].any() for probabilities in maps)  # the first prompt has one token
    torch.stack([probabilities[1, ..., 0].sum() for probabilities in maps]).sum().backward()
    assert x.grad is not None
    assert x.grad[1].abs().sum() > 0
    assert not x.grad[[0, 2]].any()


@torch.no_grad()
@pytest.mark.parametrize("micro", [False, True])
def test_a_sample_does_not_depend_on_its_batch_nor_on_padding(micro: bool) -> None:
    params = replace(PIXART, micro_conditions=micro)
    model = tiny(params)
    x, t, said = inputs(params)
    together = run(model, x, t, said)
    for i in range(len(x)):
        part = slice(i, i + 1)
        assert_close(run(model, x[part], t[part], rows(said, part)), together[part], evaluated(model))
    noisy = said.features + 100 * (1 - said.mask)[..., None]
    assert_close(run(model, x, t, said._replace(features=noisy)), together, evaluated(model))


@torch.no_grad()
@pytest.mark.parametrize("micro", [False, True])
def test_a_table_of_times_and_prompts_holds_each_prompt_once(micro: bool) -> None:
    params = replace(PIXART, micro_conditions=micro)
    model = tiny(params)
    x, t, said = inputs(params)
    table = model.prepare(Prompts(*(value[None] for value in said if value is not None)))
    whole = model.condition(t[:2, None], table)
    assert whole.keys is table.keys
    assert whole.keys.shape == (1, 3, 2, 2, 5, 12)
    assert whole.vectors.shape == (2, 3 if micro else 1, 6 * 2 + 2, 1, 24)
    for evaluation in range(2):
        of_prompts = (whole.keys, whole.values, whole.bias)
        row = PixArtConditioning(whole.vectors[evaluation].expand(3, -1, -1, -1), *(value[0] for value in of_prompts))
        assert_close(model(x, row), run(model, x, t[evaluation].expand(3), said), evaluated(model))


@torch.no_grad()
def test_two_latents_side_by_side_see_each_other_and_keep_their_own_places() -> None:
    model = tiny()
    x, t, said = inputs(batch=1)
    conditioning = model.condition(t, model.prepare(said))
    other = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    joint = model.denoise(torch.cat([model.embed(x), model.embed(other)], dim=1), conditioning)
    out = model.unembed(joint[:, :24], 4)
    assert out.shape == (1, 8, 8, 12)
    assert not close(out, model(x, conditioning), evaluated(model))
    only_self = model.denoise(model.embed(x), conditioning)
    assert torch.equal(model.unembed(only_self, 4), model(x, conditioning))


def test_a_fresh_model_outputs_zero_and_its_cross_attention_adds_nothing() -> None:
    model = PixArt(PIXART)
    cross: list[Tensor] = []

    def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        out = compute()
        if site.branch == "cross":
            cross.append(out)
        return out

    assert not run(model, *inputs(), Execution(branch=branch)).any()
    assert len(cross) == 2
    assert not torch.stack(cross).any()


@torch.no_grad()
def test_it_runs_in_half_precision_and_stays_near() -> None:
    model = tiny()
    x, t, said = inputs()
    expected = run(model, x, t, said)
    out = run(model.to(torch.bfloat16), x.to(torch.bfloat16), t, said)
    assert out.dtype == torch.bfloat16
    assert_close(out, expected, evaluated(model))


@torch.no_grad()
def test_one_graph_without_breaks_gives_the_same() -> None:
    model = tiny()
    x, t, said = inputs()
    conditioning = model.condition(t, model.prepare(said))
    expected = model(x, conditioning)
    assert_close(torch.compile(model, fullgraph=True, backend="eager")(x, conditioning), expected, evaluated(model))


@pytest.mark.parametrize("name", ["pixart-xl-2-256", "pixart-xl-2-512", "pixart-xl-2-1024-ms"])
def test_the_published_sizes_have_the_published_tensors(name: str) -> None:
    tables = golden_json("pixart_key_mapping")
    micro = name.endswith("-ms")
    params = find(name).params
    assert isinstance(params, PixArtParams)
    state = blank(params).state_dict()
    official = dict(
        tables["official_full_size(blocks.0 only)"][f"official PixArt{'MS' if micro else ''}_XL_2 input_size {128 if micro else 64}"]
    )
    del official["y_embedder.y_embedding"]
    official["pos_embed"] = [1, params.tokens, 1152]
    ours = {key: list(value.shape) for key, value in state.items() if not key.startswith("blocks.") or key.startswith("blocks.0.")}
    assert ours == official
    published = tables["diffusers_full_size"]["PixArt-XL-2-1024-MS" if micro else "PixArt-XL-2-512x512 (also 256)"]
    theirs = pixart_layout.to_diffusers(state)
    assert len(theirs) == published["n_keys"]
    assert sum(value.numel() for value in theirs.values()) == published["n_params"]
    assert {key: list(theirs[key].shape) for key in published["keys"]} == published["keys"]


def test_names_are_mapped_as_published_one_to_one() -> None:
    tables = golden_json("pixart_key_mapping")["official_to_diffusers"]
    ours = dict(pixart_layout.names(depth=4))
    published = tables["tiny_512style"] | tables["tiny_1024ms_style_extra"]
    assert ours == {name: tuple(target for target, _rows in parts) for name, parts in published.items()}
    everything = [part for parts in ours.values() for part in parts]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("name", ["pixart_diffusers_512style", "pixart_diffusers_1024style"])
def test_the_key_maps_are_each_others_inverse(name: str) -> None:
    theirs = weights(golden(name))
    ours = pixart_layout.to_official(theirs)
    assert ours.keys() == PixArt(TINY_MS if "1024" in name else TINY).state_dict().keys() - {"pos_embed"}
    back = pixart_layout.to_diffusers(ours)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[key], value) for key, value in theirs.items())


@torch.no_grad()
def test_the_published_file_is_read_and_tells_what_it_is(tmp_path: Path) -> None:
    reference = golden("pixart_official_512style")
    torch.save({"state_dict": weights(reference), "epoch": 3}, tmp_path / "PixArt.pth")
    checkpoint = read_checkpoint(tmp_path / "PixArt.pth")
    model = from_reference(TINY, reference)
    assert checkpoint.state.keys() == model.state_dict().keys()  # the null caption is left out
    params: Any = identify(checkpoint.state)
    assert params == replace(TINY, heads=1, caption_tokens=120)  # a width of 64 may be one head
    assert describe(TINY) == "PixArt of width 64, depth 4, patch 2 with input 16"
    told = replace(params, caption_tokens=8)  # as many as its null caption has
    assert convert(tmp_path / "PixArt.pth", tmp_path / "ours.safetensors") == told
    again = read_checkpoint(tmp_path / "ours.safetensors")
    assert again.params == told
    assert all(torch.equal(again.state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("params", [PIXART, replace(PIXART, micro_conditions=True, input_size=128, interpolation=2.0)])
@torch.no_grad()
def test_a_pipelines_folder_is_read_as_diffusers_writes_it_and_written_as_it_reads(tmp_path: Path, params: PixArtParams) -> None:
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    model = tiny(params)
    save(model.state_dict(), tmp_path / "ours.safetensors", model="tiny", params=params)
    assert convert(tmp_path / "ours.safetensors", tmp_path / "folder", "diffusers") == params
    theirs = PixArtTransformer2DModel.from_pretrained(tmp_path / "folder", low_cpu_mem_usage=False).eval()
    theirs.save_pretrained(tmp_path / "pipeline" / "transformer")
    checkpoint = read_checkpoint(tmp_path / "pipeline")
    assert checkpoint.params == params
    assert checkpoint.state.keys() == model.state_dict().keys()
    assert all(torch.equal(checkpoint.state[name], value) for name, value in model.state_dict().items())
    x, t, said = inputs(params)
    assert said.sizes is not None
    told = {"resolution": said.sizes[:, :2], "aspect_ratio": said.sizes[:, 2:]} if params.micro_conditions else {}
    more = {"resolution": None, "aspect_ratio": None} | told
    out = theirs(x, said.features, t, added_cond_kwargs=more, encoder_attention_mask=said.mask, return_dict=False)[0]
    assert_close(run(model, x, t, said), out, evaluated(model, foreign=True))


def test_what_diffusers_leaves_out_of_its_configuration_follows_from_the_size() -> None:
    config = pixart_layout.to_config(TINY)
    for size, interpolation, micro in ((32, 1.0, False), (64, 1.0, False), (128, 2.0, True)):
        left_out = {"interpolation_scale": None, "use_additional_conditions": None}
        told = {**config, "num_attention_heads": 3, "cross_attention_dim": 48, "sample_size": size, **left_out}
        params = pixart_layout.from_config(told)
        assert (params.input_size, params.interpolation, params.micro_conditions) == (size, interpolation, micro)
    for params in (TINY, TINY_MS):
        assert pixart_layout.from_config(pixart_layout.to_config(params)) == replace(params, caption_tokens=120)
    with pytest.raises(CheckpointError, match=r"config\.json is not that of a diffusers PixArt: it has no num_attention_heads$"):
        pixart_layout.from_config({"in_channels": 4})


def test_weights_of_another_size_say_which_model_they_are_for() -> None:
    of_512 = blank(find("pixart-xl-2-512").params).state_dict()
    with pytest.raises(
        CheckpointError, match=r"does not fit PixArt-XL/2 at 256 px: 1 misshapen \(pos_embed .*; use the model pixart-xl-2-512$"
    ):
        load_into(blank(find("pixart-xl-2-256").params), of_512)
    with pytest.raises(CheckpointError, match=r"8 missing \(ar_embedder\.mlp\.0\.bias, .*; use the model pixart-xl-2-512$"):
        load_into(blank(find("pixart-xl-2-1024-ms").params), of_512)
    with pytest.raises(CheckpointError, match=r"this is a PixArt-XL/2 checkpoint \(input 32\); use the model pixart-xl-2-256$"):
        load_into(blank(find("dit-xl-2-256").params), blank(find("pixart-xl-2-256").params).state_dict())


def test_the_table_in_a_file_of_many_scales_is_not_looked_at() -> None:
    params = replace(PIXART, micro_conditions=True)
    model, other = tiny(params), PixArt(params)
    load_into(other, {**model.state_dict(), "pos_embed": torch.zeros(1, 4, 24)})
    assert torch.equal(other.pos_embed, position_table(params))
    big = find("pixart-xl-2-1024-ms").params
    state = blank(big).state_dict()
    assert identify({**state, "pos_embed": torch.empty(1, 1024, 1152, device="meta")}) == big


def test_the_model_without_its_file_says_what_to_do() -> None:
    with pytest.raises(
        CheckpointError, match=r"of PixArt-alpha/PixArt-XL-2-512x512 from the hub .*; download it elsewhere and give weights=PATH$"
    ):
        load_backbone(find("pixart-xl-2-512"))


def test_numbers_that_make_no_network_are_refused() -> None:
    with pytest.raises(ConfigError, match="^a PixArt's width is a multiple of 12 and of its 4 heads, not 64$"):
        replace(TINY, micro_conditions=True)
    with pytest.raises(
        ConfigError, match="^compat=diffusers is for DiT only; diffusers runs pixart-xl-2-512 with the published equations$"
    ):
        with_compat(find("pixart-xl-2-512"), "diffusers")


def test_one_can_ask_it_in_words_and_guide_it() -> None:
    spec = find("pixart-xl-2-1024-ms")
    assert (spec.text, spec.can_be_guided, spec.label_count) == ("t5-v1.1-xxl", True, 0)
    assert (spec.sample_shape, spec.codec, spec.schedule) == ((4, 128, 128), "sd-vae-ft-ema", "linear")
    assert (spec.defaults.solver, spec.defaults.steps, spec.defaults.guidance) == ("dpm-solver++", 20, 4.5)


def test_costs_follow_the_grid_and_leave_out_what_is_prepared_once() -> None:
    model = blank(find("pixart-xl-2-256").params)
    costs = model.multiply_adds()
    assert set(costs) == {*model.sites, "rest"}
    width, tokens = 1152, 256
    assert costs[Site(0, "cross")] == 2 * tokens * width**2 + 2 * tokens * 120 * width
    assert costs[Site(0, "self")] == 4 * tokens * width**2 + 2 * tokens**2 * width
    wide = model.multiply_adds(8, 64)
    assert wide[Site(5, "mlp")] == 2 * costs[Site(5, "mlp")]
    assert wide["rest"] == 2 * costs["rest"]
