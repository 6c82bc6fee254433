"""Other people's engines as backbones of ours: diffusers' DiT on our weights, and cache-dit's cache around it.

Our solver, noise, guidance and clock drive both sides, so a comparison differs in nothing but the network's implementation and cache.

Shapes: R rows of the network's batch, N any leading shape of conditioning, C channels, H W latent.
"""

import copy
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ditkit.cache.cost import Cost
from ditkit.errors import ConfigError, MissingDependency, RequestError, UnknownName
from ditkit.execution import PLAIN, Execution, Site, Sites
from ditkit.models.diffusers_layout import to_config, to_diffusers
from ditkit.models.dit import DiT

PEERS = ("diffusers", "cache-dit")
AGREEMENT = 1e-4  # relative, in float32, whatever precision is compared in: it is the equations that have to agree


@dataclass(frozen=True)
class DBCache:
    """cache-dit's DBCache. Where the first `front` blocks changed x by nearly the same as when all blocks last ran, the middle is reused.

    "Nearly" is a relative L1 distance below `threshold`, one mean over the whole batch, guidance's halves included: a sample depends
    on its batch. Always computed are the last `back` blocks, the first `warmup` evaluations, and one evaluation after `longest` in
    a row that reused (-1: no limit). `taylor` is the order of TaylorSeer's forecast of the middle; 0 reuses it as it was. With `steps`
    (1 computed, 0 not) it follows these instead, as `ditkit plan export` writes them.

    The defaults are those with which SGLang runs cache-dit (F1B0, 4 evaluations of warm-up, threshold 0.24, 3 in a row).
    """

    threshold: float = 0.24
    front: int = 1
    back: int = 0
    warmup: int = 4
    longest: int = 3
    taylor: int = 0
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"cache-dit's threshold must lie between 0 and 1, not at {self.threshold:g}")
        if self.front < 1 or self.back < 0:
            raise ConfigError(f"cache-dit computes at least 1 front and 0 back blocks, not {self.front} and {self.back}")

    def __str__(self) -> str:
        when = f"at {sum(self.steps)} of {len(self.steps)}" if self.steps else f"{self.threshold:g}"
        return f"F{self.front}B{self.back} {when}{f' T{self.taylor}' if self.taylor else ''}"


class PeerConditioning(NamedTuple):
    """Times and labels as they are: diffusers embeds them anew in every block at every evaluation."""

    t_N: Tensor
    y_N: Tensor


class Evaluation(NamedTuple):
    """What a peer did at one evaluation: for how many rows, and whether all blocks were computed."""

    rows: int
    computed: bool


class PeerBackbone:
    """diffusers' DiT called as our engine calls a backbone; it has no sites, so there is nothing for an `Execution` to decide.

    A peer's cache lives in its network, so it runs one trajectory at a time: asking for the conditioning begins a new one.
    """

    sites: Sites = ()

    def __init__(self, transformer: Any, ours: DiT, cache: DBCache | None) -> None:
        self.transformer, self.cache, self.params = transformer, cache, ours.params
        self.predicts_variance = ours.predicts_variance
        first, costs = transformer.transformer_blocks[0], ours.multiply_adds()
        self._per_block = sum(costs[site] for site in ours.sites if site.block == 0) + _linear(first.norm1)
        self._outside = costs["rest"] + _linear(first.norm1.emb) + _linear(transformer.proj_out_1)
        self._finished: list[tuple[Evaluation, ...]] = []
        self._rows: list[int] = []
        self._library = cached(transformer, cache) if cache else None

    def parameters(self) -> Iterator[Tensor]:
        return self.transformer.parameters()

    def condition(self, t_N: Tensor, y_N: Tensor) -> PeerConditioning:
        """Begin a trajectory: what the cache holds of the last one is dropped."""
        self._finished, self._rows = self.trajectories, []
        if self._library:
            self._library.refresh_context(self.transformer)
        return PeerConditioning(t_N, y_N)

    def null(self, y_N: Tensor) -> Tensor:
        return torch.full_like(y_N, self.params.classes)

    def __call__(self, x_RCHW: Tensor, conditioning: PeerConditioning, execution: Execution = PLAIN) -> Tensor:
        self._rows.append(len(x_RCHW))
        t_R, y_R = conditioning
        return self.transformer(x_RCHW, timestep=t_R, class_labels=y_R, return_dict=False)[0]

    def multiply_adds(self) -> dict[Site | str, int]:
        """Per sample of an evaluation that reuses nothing, with the conditioning that is computed in every block."""
        return {"rest": self.params.depth * self._per_block + self._outside}

    @property
    def trajectories(self) -> list[tuple[Evaluation, ...]]:
        """What was computed in every trajectory so far, the last one included."""
        if not self._rows:
            return self._finished
        reused = self._library.summary(self.transformer, logging=False)[-1].cached_steps if self._library else ()
        return [*self._finished, tuple(Evaluation(rows, index not in reused) for index, rows in enumerate(self._rows))]

    def cost(self) -> Cost:
        """Multiply-adds of all trajectories so far, all rows together."""
        kept = self.cache.front + self.cache.back if self.cache else self.params.depth
        evaluations = [evaluation for trajectory in self.trajectories for evaluation in trajectory]
        blocks = sum(rows * (self.params.depth if computed else kept) for rows, computed in evaluations)
        rows = sum(evaluation.rows for evaluation in evaluations)
        return Cost(blocks * self._per_block + rows * self._outside, rows * self.multiply_adds()["rest"])


def as_backbone(ours: Any, against: str = "diffusers", cache: DBCache | None = None) -> PeerBackbone:
    """Our DiT in a peer's hands, sharing its weights: diffusers' network, for `against="cache-dit"` with its `cache` around it.

    Raises `RequestError` where there is no such network, or where its outputs on a random batch are not ours: nothing could be
    compared then. Raises `MissingDependency` without cache-dit.
    """
    if against not in PEERS:
        raise UnknownName("peer", against, PEERS)
    if type(ours) is not DiT:
        raise RequestError(f"{against} runs no {type(ours).__name__}; compare with it on a DiT")
    exact = ours if next(ours.parameters()).dtype == torch.float32 else copy.deepcopy(ours).float()
    _check_agreement(exact, _transformer(exact))
    return PeerBackbone(_transformer(ours), ours, (cache or DBCache()) if against == "cache-dit" else None)


def _transformer(ours: DiT) -> Any:
    """diffusers' network on our weights, running our equations: the published ones, unless ours is `compat="diffusers"` itself."""
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

    config = to_config(ours.params)
    del config["_class_name"]
    with torch.device("meta"):
        transformer: Any = DiTTransformer2DModel(**config)
    transformer.load_state_dict(to_diffusers(ours.state_dict()), assign=True)
    transformer.pos_embed.pos_embed = ours.pos_embed
    if ours.params.compat == "official":
        for block in transformer.transformer_blocks:
            block.norm1.emb.time_proj.downscale_freq_shift = 0  # frequencies 10000^(-k / 128), not / 127
            block.norm3.eps = 1e-6  # before the MLP; diffusers has 1e-5
    return transformer.eval().requires_grad_(False)


def cached(transformer: Any, cache: DBCache) -> Any:
    """Put cache-dit's cache around the network and return the library; one batched forward [cond; null] is one evaluation to it."""
    depth, always = len(transformer.transformer_blocks), cache.front + cache.back
    if always >= depth:
        raise ConfigError(
            f"cache-dit's F{cache.front}B{cache.back} always computes {always} blocks, and this model has {depth}; lower them"
        )
    os.environ.setdefault("CACHE_DIT_LOG_LEVEL", "error")  # it logs to stdout, where results go
    try:
        library = importlib.import_module("cache_dit")
    except ImportError as error:
        raise MissingDependency("comparing with cache-dit needs its package: pip install 'ditkit[peers]'") from error
    config = library.DBCacheConfig(
        Fn_compute_blocks=cache.front,
        Bn_compute_blocks=cache.back,
        residual_diff_threshold=cache.threshold,
        max_warmup_steps=cache.warmup,
        max_continuous_cached_steps=cache.longest,
        enable_separate_cfg=False,
        **({"steps_computation_mask": list(cache.steps), "steps_computation_policy": "static"} if cache.steps else {}),
    )
    forecast = library.TaylorSeerCalibratorConfig(taylorseer_order=cache.taylor, enable_encoder_calibrator=False) if cache.taylor else None
    library.enable_cache(transformer, cache_config=config, calibrator_config=forecast)
    return library


@torch.inference_mode()
def _check_agreement(ours: DiT, transformer: Any) -> None:
    """Both networks on the same noise, times and labels, the null label among them."""
    weight, params = next(ours.parameters()), ours.params
    generator = torch.Generator().manual_seed(0)
    x_RCHW = torch.randn(2, params.channels, params.input_size, params.input_size, generator=generator).to(weight)
    t_R = torch.tensor([37.0, 741.5], device=weight.device)
    y_R = torch.tensor([0, params.classes], device=weight.device)
    wanted = ours(x_RCHW, ours.condition(t_R, y_R)).float()
    found = transformer(x_RCHW, timestep=t_R, class_labels=y_R, return_dict=False)[0].float()
    apart = float((found - wanted).norm() / wanted.norm().clamp_min(1e-12))
    if not apart <= AGREEMENT:
        raise RequestError(
            f"diffusers' DiT gives outputs {apart:.2g} away from ours on the same weights, where at most {AGREEMENT:g} is rounding; "
            "compare with a release of diffusers that ditkit was tested with"
        )


def _linear(module: nn.Module) -> int:
    """Multiply-adds of the linear layers in a module that sees one vector per sample."""
    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear))
