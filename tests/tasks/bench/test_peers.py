"""Peers run our weights under our engine, agree with us where nothing is cached, and start every trajectory afresh."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ditkit.cache.policies import every
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.guidance import GuidanceInterval
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.errors import ConfigError, MissingDependency, PlanMismatch, RequestError, UnknownName
from ditkit.execution import Site
from ditkit.models.dit import DiT, DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.tasks.bench import peers
from ditkit.tasks.bench.peers import DBCache, Evaluation, PeerBackbone, as_backbone
from tests.closeness import assert_close, evaluated
from tests.models.tiny import inputs, tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
cache_dit = pytest.mark.skipif(find_spec("cache_dit") is None, reason="cache-dit is not installed")

PARAMS = DiTParams(width=32, depth=4, heads=2, patch=2, input_size=8, classes=5)
SOLVER = SOLVERS["ddim"](linear(), 8)
GREEDY = DBCache(threshold=0.99, warmup=2, longest=2)  # reuses whenever it may


@pytest.fixture
def model() -> Model:
    """A DiT of four blocks, every parameter random, so that nothing is zero; time hardly changes what the first block does."""
    torch.manual_seed(0)
    backbone = DiT(PARAMS).eval().requires_grad_(False)
    for value in backbone.parameters():
        value.normal_(std=0.1)
    backbone.t_embedder.mlp[2].weight.mul_(0.1)  # pyright: ignore[reportCallIssue]
    spec = ModelSpec("tiny", "dit", PARAMS, "linear", "pixels", 8, 3, Defaults("ddim", 8, 2.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


def latents(model: Model, peer: PeerBackbone | None = None, indices: tuple[int, ...] = (0, 1), **changes: object) -> Tensor:
    values = {"labels": (0, 3, 4), "seeds": (7, 8, 9), "solver": SOLVER, "guidance": 2.0, **changes}
    request = SamplingRequest(**values)  # pyright: ignore[reportArgumentType]
    return sample_latents(replace(model, backbone=peer or model.backbone), request, indices)


@torch.no_grad()
@pytest.mark.parametrize("name", ["dit", "dit without sigma"])
@pytest.mark.parametrize("compat", ["official", "diffusers"])
def test_diffusers_on_our_weights_says_what_we_say(name: str, compat: str) -> None:
    drawn = tiny(name)
    ours = DiT(replace(drawn.params, compat=compat)).eval()
    ours.load_state_dict(drawn.state_dict())
    peer = as_backbone(ours)
    x, t, y = inputs(ours)
    assert_close(peer(x, peer.condition(t, y)), ours(x, ours.condition(t, y)), evaluated(ours, foreign=True))


def test_our_engine_samples_the_same_latents_through_diffusers(model: Model) -> None:
    peer = as_backbone(model.backbone)
    some: list[dict[str, Any]] = [{}, {"guidance": 1.0}, {"interval": GuidanceInterval(100.0, 600.0)}]
    for changes in some:
        assert_close(latents(model, peer, **changes), latents(model, **changes), evaluated(model.backbone, 8, 2.0, foreign=True))


def test_a_peer_shares_our_weights(model: Model) -> None:
    ours = {value.data_ptr() for value in model.backbone.parameters()}
    peer = as_backbone(model.backbone)
    assert peer.transformer.proj_out_2.weight.data_ptr() in ours
    assert peer.transformer.transformer_blocks[3].norm1.emb.class_embedder.embedding_table.weight.data_ptr() in ours


def test_half_precision_may_differ_by_its_rounding(model: Model) -> None:
    half = tiny("dit").to(torch.bfloat16)
    assert {value.dtype for value in as_backbone(half).parameters()} == {torch.bfloat16}


@torch.no_grad()
def test_the_cost_is_what_torch_counts(model: Model) -> None:
    peer = as_backbone(model.backbone)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        peer(torch.zeros(1, 4, 8, 8), peer.condition(torch.tensor([5.0]), torch.tensor([0])))
    assert peer.multiply_adds() == {"rest": counter.get_total_flops() // 2}
    assert (peer.cost().planned, peer.cost().saved) == (counter.get_total_flops() // 2, 0.0)


def test_a_plan_is_for_our_sites_only(model: Model) -> None:
    plan = every(2, model.backbone.sites, SOLVER.times)
    request = SamplingRequest((0,), (0,), SOLVER, plan=plan)
    with pytest.raises(PlanMismatch, match=r"the plan is for a model with 8 sites \(0.attn to 3.mlp\), this one has 0 \(none\)"):
        request.check_fits(replace(model, backbone=as_backbone(model.backbone)))


def test_a_network_that_is_not_ours_is_refused_with_the_distance(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = peers.to_diffusers
    monkeypatch.setattr(peers, "to_diffusers", lambda state: {name: value * 1.01 for name, value in theirs(state).items()})
    with pytest.raises(RequestError, match=r"outputs 0\.\d+ away from ours on the same weights, where at most 0\.0001 is rounding"):
        as_backbone(model.backbone)


def test_what_no_peer_runs_is_refused(model: Model) -> None:
    with pytest.raises(RequestError, match="diffusers runs no UViT; compare with it on a DiT"):
        as_backbone(tiny("uvit"))
    with pytest.raises(UnknownName, match="no peer named 'cachedit'; did you mean 'cache-dit'?"):
        as_backbone(model.backbone, "cachedit")


def test_without_the_library_the_way_to_install_it_is_said(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cache_dit", None)
    with pytest.raises(MissingDependency, match=r"pip install 'ditkit\[peers\]'"):
        as_backbone(model.backbone, "cache-dit")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"threshold": 1.0}, "threshold must lie between 0 and 1, not at 1"),
        ({"threshold": 0.0}, "threshold must lie between 0 and 1, not at 0"),
        ({"front": 0}, "at least 1 front and 0 back blocks, not 0 and 0"),
        ({"front": 2, "back": 2}, "F2B2 always computes 4 blocks, and this model has 4"),
    ],
)
def test_settings_that_cannot_be_are_refused(model: Model, settings: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        as_backbone(model.backbone, "cache-dit", DBCache(**settings))  # pyright: ignore[reportArgumentType]


@cache_dit
def test_a_cache_that_never_reuses_changes_nothing(model: Model) -> None:
    peer = as_backbone(model.backbone, "cache-dit", DBCache(warmup=8))
    assert torch.equal(latents(model, peer), latents(model, as_backbone(model.backbone)))
    assert peer.trajectories == [(Evaluation(4, True),) * 8]
    assert peer.cost().saved == 0


@cache_dit
@pytest.mark.parametrize("cache", [GREEDY, replace(GREEDY, back=1), replace(GREEDY, taylor=1)], ids=str)
def test_a_cache_that_reuses_says_where_and_costs_less(model: Model, cache: DBCache) -> None:
    peer = as_backbone(model.backbone, "cache-dit", cache)
    assert not torch.equal(latents(model, peer), latents(model, as_backbone(model.backbone)))
    (trajectory,) = peer.trajectories
    done = "".join("C" if evaluation.computed else "r" for evaluation in trajectory)
    assert done == "CCrrCrrC"
    costs, embedding = model.backbone.multiply_adds(), 256 * 32 + 32 * 32
    block = costs[Site(0, "attn")] + costs[Site(0, "mlp")] + embedding + 6 * 32 * 32
    outside = costs["rest"] + embedding + 2 * 32 * 32
    assert peer.cost().planned == 4 * (done.count("C") * 4 * block + done.count("r") * (cache.front + cache.back) * block + 8 * outside)


@cache_dit
def test_nothing_is_left_of_the_trajectory_before(model: Model) -> None:
    peer = as_backbone(model.backbone, "cache-dit", GREEDY)
    first = latents(model, peer)
    latents(model, peer, (2,))
    assert torch.equal(latents(model, peer), first)
    assert [len(trajectory) for trajectory in peer.trajectories] == [8, 8, 8]
    assert [trajectory[0].rows for trajectory in peer.trajectories] == [4, 2, 4]


@cache_dit
def test_two_peers_do_not_share_a_cache(model: Model) -> None:
    alone = latents(model, as_backbone(model.backbone, "cache-dit", GREEDY))
    one, other = as_backbone(model.backbone, "cache-dit", GREEDY), as_backbone(model.backbone, "cache-dit", DBCache(warmup=8))
    latents(model, other)
    assert torch.equal(latents(model, one), alone)
    assert other.cost().saved == 0 < one.cost().saved


@cache_dit
def test_the_library_prints_nothing_where_results_go(model: Model, capfd: pytest.CaptureFixture[str]) -> None:
    latents(model, as_backbone(model.backbone, "cache-dit", GREEDY))
    assert capfd.readouterr().out == ""
