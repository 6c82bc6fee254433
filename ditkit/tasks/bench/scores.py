"""What the contenders of `ditkit bench` cost and how far off they are, from what they made and how long they took."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from ditkit.codecs.codec import from_uint8, to_uint8
from ditkit.data.images import load_pictures
from ditkit.engine.model import Model
from ditkit.engine.race import Contender, Outcome
from ditkit.metrics.bootstrap import Interval, mean_interval, paired_interval
from ditkit.metrics.fidelity import relative_errors
from ditkit.metrics.frechet import Moments, frechet_distance, frechet_interval
from ditkit.metrics.nearest_points import mean_squared_to_nearest
from ditkit.metrics.reconstruction import psnr
from ditkit.models.judge import Judge
from ditkit.tasks.bench.contenders import share
from ditkit.tasks.bench.peers import PeerBackbone
from ditkit.tasks.shared import costs

BATCH = 128
APART = 0.1  # of the uncached cost, between plans that others are compared with
SAME = 99.0  # dB, where pictures do not differ at all


@dataclass(frozen=True)
class Judged:
    """The share of pictures whose class the judge names, and their Frechet distance in its features to real ones."""

    accuracy: float
    frechet: float | None = None
    frechet_interval: Interval | None = None


@dataclass(frozen=True)
class Score:
    """What one contender costs and how far off it is; seconds are per image, the speed-up is the median ratio of the same rounds.

    `kept` is the share of the uncached run's multiply-adds (for another engine, of its own); `error` the mean relative L2 error of
    the latents, `psnr` that of pictures in dB and `chamfer` the mean distance of clouds, all to the uncached run; `converged` as `error`,
    to the run of many more evaluations; `behind` and `behind_converged` by how much they exceed those of `compared`, paired over the seeds:
    of the plans, or without any the policies, that are first of their cost, the one that costs nearest. `errors` and `errors_converged`
    are those of every sample.
    """

    name: str
    group: str
    evaluations: int
    kept: float
    multiply_adds: float
    cache_bytes: int
    seconds: float
    seconds_p95: float
    speedup: float
    error: float
    error_interval: Interval
    psnr: float | None
    chamfer: float | None
    behind: Interval | None
    compared: str | None
    judged: Judged | None
    errors: tuple[float, ...] = ()
    converged: float | None = None
    converged_interval: Interval | None = None
    behind_converged: Interval | None = None
    errors_converged: tuple[float, ...] = ()


def scored(
    entries: Sequence[Contender],
    outcomes: Sequence[Outcome],
    made: Sequence[Tensor],
    judges: "Judges | None",
    converged: Tensor | None = None,
) -> list[Score]:
    """All scores, against the first contender, the uncached run; `made` are pictures (N, 3, H, W), uint8, or clouds (N, 3, P), and
    `converged` the latents of the run of many more evaluations."""
    clouds = bool(entries[0].model.spec.points)
    errors = [relative_errors(outcome.latents, outcomes[0].latents) for outcome in outcomes]
    full, shares = _multiply_adds(entries[0]), [_kept(entry, entries[0]) for entry in entries]
    scores = []
    apart = [] if converged is None else [relative_errors(outcome.latents, converged) for outcome in outcomes]
    for place, (entry, outcome) in enumerate(zip(entries, outcomes, strict=True)):
        kept, far, beside = shares[place], apart[place] if apart else None, _beside(place, entries, shares)
        behind = None if beside is None else paired_interval(errors[place], errors[beside])
        behind_far = paired_interval(apart[place], apart[beside]) if apart and beside is not None else None
        scores.append(
            Score(
                name=entry.name,
                group=entry.group,
                evaluations=len(entry.request.solver.times),
                kept=kept,
                multiply_adds=kept * full,
                cache_bytes=costs.cache_bytes(entry.model, entry.request),
                seconds=median(outcome.seconds),
                seconds_p95=torch.tensor(outcome.seconds).quantile(0.95).item(),
                speedup=median(theirs / mine for mine, theirs in zip(outcome.seconds, outcomes[0].seconds, strict=True)),
                error=errors[place].mean().item(),
                error_interval=mean_interval(errors[place]),
                psnr=None if clouds else psnr(from_uint8(made[place]), from_uint8(made[0])).clamp(max=SAME).mean().item(),
                chamfer=_chamfer(made[place], made[0]) if clouds else None,
                behind=behind,
                compared=None if beside is None else entries[beside].name,
                judged=judges.of(made[place], entry.request.labels) if judges else None,
                errors=tuple(errors[place].tolist()),
                converged=None if far is None else far.mean().item(),
                converged_interval=None if far is None else mean_interval(far),
                behind_converged=behind_far,
                errors_converged=() if far is None else tuple(far.tolist()),
            )
        )
    return scores


def _beside(place: int, entries: Sequence[Contender], shares: Sequence[float]) -> int | None:
    """Who a contender is compared with: of those that lead and are first of their cost the one that shares nearest. None for themselves."""
    first: list[int] = []
    for plan in (each for each, entry in enumerate(entries) if entry.leads):
        if all(abs(shares[plan] - shares[other]) >= APART for other in first):
            first.append(plan)
    if place == 0 or place in first:
        return None
    return min(first, key=lambda plan: abs(shares[plan] - shares[place]), default=None)


def _chamfer(clouds_N3P: Tensor, others_N3P: Tensor) -> float:
    """The mean Chamfer distance of each cloud to the one from the same noise; 0 for the same clouds."""
    pairs = [(x.T[None], y.T[None]) for x, y in zip(clouds_N3P, others_N3P, strict=True)]
    return torch.stack([mean_squared_to_nearest(x, y) + mean_squared_to_nearest(y, x) for x, y in pairs]).mean().item()


def _multiply_adds(entry: Contender) -> float:
    """Of one image, without a plan."""
    rows = 2 if entry.request.guidance != 1 else 1
    return sum(entry.model.backbone.multiply_adds().values()) * len(entry.request.solver.times) * rows


def _kept(entry: Contender, full: Contender) -> float:
    backbone = entry.model.backbone
    if isinstance(backbone, PeerBackbone):
        cost = backbone.cost()
        return cost.planned / cost.full
    return share(entry.model, entry.request) * len(entry.request.solver.times) / len(full.request.solver.times)


class Judges:
    """The judge, with the moments of the real pictures at `reference`, if there are any."""

    def __init__(self, judge: Judge, reference: str | None, side: int) -> None:
        self._judge = judge
        self._reference = Moments.from_features(self._features(_real(reference, side))) if reference else None

    def of(self, pictures: Tensor, labels: Sequence[int]) -> Judged:
        features = self._features(pictures)
        accuracy = (self._judge.head(features).argmax(1) == torch.tensor(tuple(labels))).float().mean().item()
        if self._reference is None:
            return Judged(accuracy)
        return Judged(
            accuracy, frechet_distance(Moments.from_features(features), self._reference), frechet_interval(features, self._reference)
        )

    def _features(self, pictures: Tensor) -> Tensor:
        return torch.cat([self._judge.features(from_uint8(part)) for part in pictures.split(BATCH)])


def _real(path: str, side: int) -> Tensor:
    known = load_pictures(path, side)
    return torch.stack([torch.from_numpy(known.picture(index, 0).copy()).movedim(-1, 0) for index in range(len(known))])


@torch.inference_mode()
def decoded(model: Model, latents: Tensor) -> Tensor:
    """The pictures (N, 3, H, W) as they would be saved, uint8, or the clouds (N, 3, P)."""
    if model.spec.points:
        return model.codec.decode(latents.float())
    return torch.cat([to_uint8(model.codec.decode(part.to(model.device)).float()).cpu() for part in latents.split(BATCH)])
