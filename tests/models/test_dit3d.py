from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ditkit.cache.policies import every
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.guidance import combine
from ditkit.diffusion.prediction import Prediction
from ditkit.diffusion.schedule import linear, warm
from ditkit.diffusion.solvers import Solver, ddpm
from ditkit.diffusion.solvers.ddpm import Variance
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.errors import ConfigError
from ditkit.execution import Execution, Site
from ditkit.models.blank import blank
from ditkit.models.checkpoints import load_backbone, load_into, read_checkpoint, save
from ditkit.models.dit3d import SIZES, DiT3D, DiT3DParams
from ditkit.models.identify import describe, identify
from ditkit.models.registry import find
from ditkit.nn.embed import sincos_positions_3d, sinusoid
from ditkit.nn.patch import unpatchify_3d
from ditkit.nn.voxels import voxel_coordinates, voxelise
from ditkit.training.objective import DenoisingObjective
from tests.closeness import ANGLES, FORMULA, assert_close, cancelled, evaluated, near
from tests.golden_files import golden, golden_json, golden_path
from tests.models.tiny import DIT3D, inputs, tiny

PLAIN_A = DiT3DParams(width=48, depth=3, heads=4, patch=4, input_size=16, classes=3)
PLAIN_B = DiT3DParams(width=72, depth=2, heads=6, patch=2, input_size=8, classes=1)
GLOBAL = DiT3DParams(width=48, depth=4, heads=4, patch=2, input_size=16, classes=3)
WINDOWED = replace(GLOBAL, window=4, window_blocks=(0, 3))
CASES = {
    "plain_a": PLAIN_A,
    "plain_b": PLAIN_B,
    "window_official_cli": GLOBAL,
    "window_intended": WINDOWED,
    "window_intended_relpos": replace(WINDOWED, relative_positions=True),
}
S_4 = DiT3DParams(**SIZES["s"], patch=4, input_size=32)
MILLIONS = {
    "s": (34.054, 32.807, 33.669),
    "b": (132.694, 130.200, 131.922),
    "l": (582.782, 579.040, 581.622),
    "xl": (678.402, 674.661, 677.243),
}


def trained(params: DiT3DParams, reference: dict[str, Tensor]) -> DiT3D:
    model = DiT3D(params)
    model.load_state_dict({name[3:]: value for name, value in reference.items() if name.startswith("sd.")})
    return model.eval()


def epsilon(model: DiT3D, reference: dict[str, Tensor]) -> Tensor:
    return model(reference["in.points"], model.condition(reference["in.t"], reference["in.y"]))


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_the_published_forward_is_reproduced(case: str) -> None:
    reference = golden(f"dit3d_{case}")
    model = trained(CASES[case], reference)
    assert_close(epsilon(model, reference), reference["out.eps"], evaluated(model, foreign=True))


@torch.no_grad()
@pytest.mark.parametrize("case", [case for case in CASES if case != "window_official_cli"])
def test_streams_and_embeddings_are_the_published_ones(case: str) -> None:
    reference = golden(f"dit3d_{case}")
    model = trained(CASES[case], reference)
    side, patch = model.params.input_size, model.params.patch
    streams: dict[str, Tensor] = {}
    named = {f"block{index}": block for index, block in enumerate(model.blocks)}
    for name, module in {**named, "final_linear": model.final_layer, "patch_tokens": model.x_embedder}.items():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: streams.update({name: output}))
    epsilon(model, reference)
    at = voxel_coordinates(reference["in.points"], side)
    streams |= {"norm_coords": at, "vox": voxelise(reference["in.points"], at, side)}
    streams |= {"t_emb": model.t_embedder(reference["in.t"]), "y_emb": model.y_embedder(reference["in.y"])}
    streams["tokens_pos"] = streams["patch_tokens"] + model.pos_embed
    streams["unpatch_voxels"] = unpatchify_3d(streams["final_linear"], side // patch, patch, 3)
    known = {name[4:]: value for name, value in reference.items() if name.startswith("out.") and name[4:] in streams}
    assert known
    for name, value in known.items():
        assert_close(streams[name], value, evaluated(model, foreign=True))


@torch.no_grad()
def test_a_branch_hands_its_ungated_output_to_the_execution() -> None:
    reference = golden("dit3d_plain_a")
    model = trained(PLAIN_A, reference)
    recorded: dict[Site, Tensor] = {}

    def record(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        recorded[site] = compute()
        return recorded[site]

    conditioning = model.condition(reference["in.t"], reference["in.y"])
    model(reference["in.points"], conditioning, Execution(branch=record))
    gates = conditioning[:, 2], conditioning[:, 5]
    block0 = reference["out.tokens_pos"] + gates[0] * recorded[Site(0, "attn")] + gates[1] * recorded[Site(0, "mlp")]
    assert_close(block0, reference["out.block0"], evaluated(model, foreign=True))


def test_positions_and_times_are_embedded_as_published() -> None:
    reference = golden("dit3d_embeddings")
    for width, side in ((48, 4), (96, 3)):
        expected = reference[f"out.pos_embed_D{width}_G{side}"].float()
        assert torch.equal(sincos_positions_3d(width, side)[0], expected)
    table = sincos_positions_3d(384, 8)[0]
    assert torch.equal(table[reference["in.rows"]], reference["out.pos_embed_D384_G8_rows"].float())
    assert float(table.double().abs().sum()) == near(float(reference["out.pos_embed_D384_G8_sum_abs"]), dtype=torch.float32)
    assert_close(sinusoid(reference["in.t"], 256), reference["out.timestep_freq_256"], ANGLES)


@torch.no_grad()
@pytest.mark.parametrize(
    ("case", "params"),
    [
        ("cfg", DiT3DParams(width=48, depth=2, heads=3, patch=8, input_size=16, classes=5)),
        ("cfg_learn_sigma", DiT3DParams(width=48, depth=2, heads=4, patch=4, input_size=8, classes=2, learn_sigma=True)),
    ],
)
def test_guidance_guides_the_three_noise_channels(case: str, params: DiT3DParams) -> None:
    reference = golden(f"dit3d_{case}")
    model = trained(params, reference)
    half = reference["in.points"].chunk(2)[0]
    out = model(torch.cat([half, half]), model.condition(reference["in.t"], reference["in.y"]))
    assert_close(out, reference["out.plain_on_duplicated_first_half"], evaluated(model, foreign=True))
    scale = float(reference["in.cfg_scale"])
    guided = combine(out, scale, find("dit3d-s-4-32").guided_channels)
    assert_close(guided, reference["out.cfg"].chunk(2)[0], evaluated(model, guidance=scale, foreign=True))
    labels = torch.where(reference["in.force_drop_ids"] == 1, model.null(reference["in.labels"]), reference["in.labels"])
    assert torch.equal(model.y_embedder(labels), reference["out.y_emb_forced_drop"])


def denoiser(model: DiT3D, solver: Solver, y: Tensor) -> Callable[[Tensor, int], Prediction]:
    return lambda x, e: Prediction(model(x, model.condition(torch.tensor([solver.times[e]]), y)))


@torch.no_grad()
@pytest.mark.parametrize("variance", ["fixedsmall", "fixedlarge"])
def test_published_trajectories_are_reproduced(variance: Variance) -> None:
    reference = golden("dit3d_sampling_T10")
    model = trained(DiT3DParams(width=48, depth=2, heads=4, patch=2, input_size=8, classes=2), reference)
    schedule = linear(10, 0.001, 0.4)
    solver, roundings = ddpm(schedule, 10, variance=variance), evaluated(model, 10, foreign=True) + cancelled(1 - schedule.abar[0])
    x, state = reference["in.x_T"], solver.init(reference["in.noise"][: solver.draws])
    for k in range(solver.steps):
        x, state = solver.step(denoiser(model, solver, reference["in.y"]), x, k, state)
        assert_close(x, reference[f"out.noclip_{variance}.x_t"][k + 1], roundings)
    assert_close(x, reference[f"out.noclip_{variance}.sample"], roundings)


@torch.no_grad()
def test_published_single_steps_are_reproduced() -> None:
    reference = golden("dit3d_p_sample_steps_T1000")
    model = trained(DiT3DParams(width=36, depth=2, heads=3, patch=2, input_size=8, classes=1), reference)
    solver = ddpm(linear(), 1000, variance="fixedsmall")
    for row, t in enumerate(reference["in.t"].tolist()):
        k, x = solver.times.index(t), reference["in.x_t"][row]
        denoise = denoiser(model, solver, reference["in.y"])
        x0 = denoise(x, k).to_x0(x, solver.levels[k])
        assert_close(x0, reference["out.pred_x0"][row], evaluated(model, foreign=True))
        noise = reference["in.noise"][row].expand(solver.draws, *x.shape)
        before, _ = solver.step(denoise, x, k, solver.init(noise))
        assert_close(before, reference["out.x_prev"][row], evaluated(model, foreign=True) + cancelled(1 - linear().abar[int(t)]))


@pytest.mark.parametrize(
    ("case", "params", "schedule"),
    [
        ("loss", DiT3DParams(width=36, depth=3, heads=3, patch=4, input_size=16, classes=3), linear()),
        ("loss_label_dropout", DiT3DParams(width=36, depth=2, heads=3, patch=2, input_size=8, classes=3), warm()),
    ],
)
def test_published_losses_and_gradients_are_reproduced(case: str, params: DiT3DParams, schedule: Any) -> None:
    reference = golden(f"dit3d_{case}")
    model, objective, t = trained(params, reference), DenoisingObjective(schedule), reference["in.t"]
    y = torch.where(reference["in.drop_mask"], model.null(reference["in.y"]), reference["in.y"])
    x = objective.noisy(reference["in.x0"], reference["in.noise"], t)
    assert_close(x, reference["out.x_t"], FORMULA + cancelled(1 - schedule.abar[int(t.min())]))  # in their float32 tables
    losses, _ = objective.loss(model(x, model.condition(objective.times(t), y)), reference["in.x0"], reference["in.noise"], t)
    assert_close(losses, reference["out.loss_per_sample"], 2 * evaluated(model, foreign=True))  # squares
    losses.mean().backward()
    largest = max(float(value.abs().max()) for name, value in reference.items() if name.startswith("out.grad."))
    for name, parameter in model.named_parameters():
        assert_close(parameter.grad, reference[f"out.grad.{name}"], evaluated(model, 2, foreign=True), size=largest)  # there and back


OFFICIAL = DiT3DParams(width=48, depth=2, heads=4, patch=4, input_size=16, classes=2)


@torch.no_grad()
@pytest.mark.parametrize("averaged", [True, False])
def test_a_published_file_is_read_with_averaged_weights_where_it_has_them(tmp_path: Path, averaged: bool) -> None:
    expected = golden("dit3d_ckpt_official_format_expected")
    content = torch.load(golden_path("dit3d_ckpt_official_format.pth"), weights_only=True)
    assert next(iter(content["model_state"])).startswith("model.module.")
    if not averaged:
        del content["ema"]
    torch.save(content, tmp_path / "epoch_9.pth")
    state = read_checkpoint(tmp_path / "epoch_9.pth").state
    assert identify(state) == replace(OFFICIAL, heads=1)  # a file does not tell its heads; 48 is no width of a registered model
    model = DiT3D(OFFICIAL)
    load_into(model, state)
    wanted = expected[f"out.eps_{'ema' if averaged else 'model_state'}"]
    assert_close(epsilon(model, expected), wanted, evaluated(model, foreign=True))


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "model.module."])
def test_every_wrapping_of_the_names_is_taken_off(tmp_path: Path, prefix: str) -> None:
    state = tiny("dit3d").state_dict()
    torch.save({"epoch": 3, "model_state": {prefix + name: value for name, value in state.items()}}, tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth").state
    assert read.keys() == state.keys()
    assert identify(read) == replace(DIT3D, heads=1)


@pytest.mark.parametrize("size", ["s", "xl"])
def test_the_names_and_shapes_are_the_published_ones(size: str) -> None:
    listing = golden_json("dit3d_state_dict_shapes")[f"DiT-{size.upper()}/4@voxel32,num_classes1"]
    state = blank(find(f"dit3d-{size}-4-32").params).state_dict()
    assert {name: list(value.shape) for name, value in state.items()} == listing["state_dict"]


def test_relative_positions_add_the_published_tables() -> None:
    listing = golden_json("dit3d_state_dict_shapes")["DiT-S/4@32 window + rel_pos"]
    params = replace(S_4, window=4, window_blocks=(0, 3, 6, 9), relative_positions=True)
    state = blank(params).state_dict()
    assert sum(value.numel() for value in state.values()) == listing["params_total"]
    assert {name: list(state[name].shape) for name in listing["block0_and_block1"]} == listing["block0_and_block1"]


@pytest.mark.parametrize(("size", "patch", "millions"), [(size, p, MILLIONS[size][i]) for size in SIZES for i, p in enumerate((2, 4, 8))])
def test_the_sizes_have_the_published_number_of_parameters(size: str, patch: int, millions: float) -> None:
    state = blank(find(f"dit3d-{size}-{patch}-32").params).state_dict()
    assert round(sum(value.numel() for value in state.values()) / 1e6, 3) == millions


def test_the_cost_is_the_published_one_and_windows_lower_it() -> None:
    """GFLOPs (two per multiply-add) of the linear layers and of the attention products: 21.7 + 4.8 for S/4."""
    whole = blank(S_4)
    costs = whole.multiply_adds()
    assert 2 * sum(costs[site] for site in whole.sites) == near(26.5e9, within=0.1e9)
    cut = blank(replace(S_4, window=4, window_blocks=(0, 3, 6, 9))).multiply_adds()
    products = 2 * 512 * 512 * 384
    for block in range(12):
        saved = costs[Site(block, "attn")] - cut[Site(block, "attn")]
        assert saved == (products * 7 // 8 if block % 3 == 0 else 0)


def test_windows_change_no_shape_but_are_not_mistaken_for_their_absence(tmp_path: Path) -> None:
    windowed = replace(DIT3D, window=2, window_blocks=(1,))
    assert DiT3D(windowed).state_dict().keys() == tiny("dit3d").state_dict().keys()
    save(tiny("dit3d").state_dict(), tmp_path / "w.safetensors", model="tiny", params=windowed)
    assert read_checkpoint(tmp_path / "w.safetensors").params == windowed
    spec = replace(find("dit3d-s-4-32"), name="tiny", params=DIT3D)
    assert load_backbone(spec, str(tmp_path / "w.safetensors")).backbone.params == windowed
    load_backbone(replace(spec, params=windowed), str(tmp_path / "w.safetensors"))


def test_the_position_table_does_not_suffer_from_rounding() -> None:
    model, other = tiny("dit3d"), DiT3D(DIT3D)
    load_into(other, {name: value.half() for name, value in model.state_dict().items() if name != "pos_embed"})
    assert torch.equal(other.pos_embed, model.pos_embed)


def test_a_spec_samples_clouds() -> None:
    spec = find("dit3d-s-4-32")
    assert spec.sample_shape == (3, 2048)
    assert replace(spec, points=4096).sample_shape == (3, 4096)
    assert (spec.makes, spec.can_be_guided, spec.label_count) == ("2048 points", True, 1)
    assert find("dit3d-xl-4-32-airplane").schedule == "warm"
    assert find("dit3d-b-4-32-all").label_count == 55


def test_the_engine_samples_clouds_guided_and_cached() -> None:
    backbone = tiny("dit3d")
    spec = replace(find("dit3d-s-4-32"), name="tiny", params=DIT3D, points=30)
    model = Model(spec, backbone, load_codec("points"), torch.device("cpu"))
    solver = ddpm(linear(), 4, variance="fixedsmall")
    plan = every(2, backbone.sites, solver.times)
    request = SamplingRequest(labels=(0, 1, 2), seeds=(5, 6, 7), solver=solver, guidance=2.0, plan=plan, batch=2)
    clouds = torch.cat([batch.pictures for batch in sample(model, request)])
    assert clouds.shape == (3, 3, 30)
    (alone,) = sample(model, replace(request, labels=(2,), seeds=(7,)))
    assert_close(alone.pictures[0], clouds[2], evaluated(backbone, 4, request.guidance))


@torch.no_grad()
def test_the_number_of_points_is_free_and_their_order_means_nothing() -> None:
    model = tiny("dit3d")
    x, t, y = inputs(model)
    more = torch.cat([x, torch.randn(3, 3, 14)], dim=2)
    out = model(more, model.condition(t, y))
    assert out.shape == more.shape
    order = torch.randperm(64)
    assert_close(model(more[:, :, order], model.condition(t, y)), out[:, :, order], evaluated(model))


@torch.no_grad()
def test_of_more_points_than_it_is_trained_on_it_sees_so_many_and_says_the_noise_of_all() -> None:
    everything = tiny("dit3d")
    few = DiT3D(replace(everything.params, points=20)).eval()
    few.load_state_dict(everything.state_dict())
    x, t, y = inputs(everything)
    cloud = torch.cat([x, x[:, :, :10]], dim=2)[:, :, :40]
    seen, twin = cloud[:, :, ::2], cloud.clone()
    twin[:, :, 1::2] = cloud[:, :, ::2]  # every point that is not seen, where one is that is
    conditioning = few.condition(t, y)
    alone = everything(seen, conditioning)
    assert_close(few(cloud, conditioning)[:, :, ::2], alone, evaluated(few))
    assert_close(few(twin, conditioning)[:, :, 1::2], alone, evaluated(few))


def test_clouds_of_one_point_have_finite_outputs_and_gradients() -> None:
    model = tiny("dit3d")
    x = torch.ones(2, 3, 16, requires_grad=True)
    out = model(x, model.condition(torch.tensor([0.0, 999.0]), torch.tensor([0, 5])))
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    assert all(value.grad is not None and bool(value.grad.isfinite().all()) for value in (x, *model.parameters()))


def test_a_fresh_model_outputs_zero() -> None:
    model = DiT3D(DIT3D)
    x, t, y = inputs(model)
    assert not model(x, model.condition(t, y)).any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["dit3d", "dit3d with all options"])
def test_it_runs_in_half_precision(name: str) -> None:
    model = tiny(name)
    x, t, y = inputs(model)
    x = x.bfloat16()  # points that both see at the same places
    expected = model(x.float(), model.condition(t, y))
    model.bfloat16()
    out = model(x, model.condition(t, y))
    assert out.dtype == torch.bfloat16
    assert float((out - expected).norm() / expected.norm()) < 0.05


@pytest.mark.parametrize("name", ["dit3d", "dit3d with all options"])
def test_it_asks_the_device_for_nothing(name: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):  # refuses item(), bool() and nonzero()
        model = tiny(name)
        x, t, y = inputs(model)
        assert model(x, model.condition(t, y)).shape == (3, model.params.out_channels, 50)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"patch": 3}, "patches of 3 voxels do not divide a grid of 8"),
        ({"width": 32}, "a DiT-3D's width is a multiple of 6 and of its 2 heads, not 32"),
        ({"window": 2, "window_blocks": (2,)}, "windows of 2 tokens in blocks (2,) do not fit 2 blocks"),
        ({"window_blocks": (0,)}, "windows of 0 tokens in blocks (0,) do not fit 2 blocks"),
    ],
)
def test_numbers_that_make_no_model_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(DIT3D, **changed)
    assert str(caught.value) == words


def test_it_is_called_by_the_name_people_use() -> None:
    assert describe(find("dit3d-xl-4-64").params) == "DiT-3D-XL/4 on 64^3 voxels"
    assert describe(DIT3D) == "DiT-3D of width 36, depth 2, patch 2 on 8^3 voxels"
