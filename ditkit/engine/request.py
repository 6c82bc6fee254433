"""What is asked of the engine, and what comes back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.diffusion.guidance import GuidanceInterval
from ditkit.diffusion.solvers import Dopri5, Solver
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.engine.turns import distinct
from ditkit.errors import PlanMismatch, RequestError

EVERYWHERE = GuidanceInterval()


@dataclass(frozen=True)
class SamplingRequest:
    """One label and one seed per sample. `guidance` is w in null + w (cond - null); 1 is the plain conditional model.

    A label is a class, or the place of a prompt in `prompts`. `known` (3, K) are normalised points that every cloud is to begin with;
    the others are made to go with them. `picture` is the height and width to scale and crop every picture to.
    """

    labels: Sequence[int]
    seeds: Sequence[int]
    solver: Solver
    guidance: float = 1.0
    interval: GuidanceInterval = EVERYWHERE
    plan: CachePlan | None = None
    batch: int = 16
    known: Tensor | None = None
    prompts: PromptTable | None = None
    picture: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.seeds):
            raise RequestError(f"{len(self.labels)} labels but {len(self.seeds)} seeds; give one of each per sample")
        if self.batch < 1:
            raise RequestError(f"the batch must hold at least 1 sample, not {self.batch}")
        if not math.isfinite(self.guidance):
            raise RequestError(f"guidance must be a finite number, not {self.guidance}")

    def check_fits(self, model: Model) -> None:
        """Raise `RequestError` if this model cannot do what is asked, `PlanMismatch` if the plan is not for it."""
        spec = model.spec
        if (self.prompts is None) != (spec.text is None):
            raise RequestError(f"{spec.name} reads prompts" if spec.text else f"{spec.name} reads no prompts; ask it for classes")
        count = len(self.prompts.null) if self.prompts else spec.label_count
        bad = [label for label in distinct(self.labels) if not 0 <= label < max(count, 1)]
        if bad:
            raise RequestError(f"{spec.name} has {'prompts' if self.prompts else 'classes'} 0 to {count - 1}, not {bad[0]}")
        if self.guidance != 1 and not spec.can_be_guided:
            raise RequestError(f"{spec.name} was trained without a null class and cannot be guided; use --guidance 1")
        if self.known is not None and not self.known.shape[-1] < spec.points:
            raise RequestError(f"{self.known.shape[-1]} points are given and a cloud has {spec.points}; ask for more points in all")
        if not self.solver.times:
            self._check_adaptive(model)
        if self.plan:
            known = {"model": spec.name, "weights": model.origin.get("sketch"), "solver": self.solver.name}
            self.plan.check_fits(model.backbone.sites, self.solver.times, **known)

    def _check_adaptive(self, model: Model) -> None:
        """What needs times that are known beforehand."""
        if self.plan:
            raise PlanMismatch(f"{self.solver.name} chooses its times as it goes, so no plan fits it; choose another --solver, or no plan")
        if self.known is not None or model.compiled or model.recorded:
            raise RequestError(f"{self.solver.name} chooses its times as it goes, for plain runs only; choose another --solver")

    @property
    def evaluations(self) -> int:
        """Of a sample; of an adaptive solver the most that it may make."""
        return self.solver.most if isinstance(self.solver, Dopri5) else len(self.solver.times)

    def batches(self) -> list[range]:
        """The samples of each batch; every process cuts them the same way."""
        return [range(first, min(first + self.batch, len(self.seeds))) for first in range(0, len(self.seeds), self.batch)]


@dataclass(frozen=True)
class SampleBatch:
    """Finished samples `indices` of a request: latents (B, C, h, w) and pictures (B, 3, H, W) in [-1, 1].

    `halved` counts how often the batch had to be halved to fit in memory.
    """

    indices: tuple[int, ...]
    latents: Tensor
    pictures: Tensor
    seconds: float
    halved: int = 0

    @property
    def spoiled(self) -> tuple[int, ...]:
        """Those of `indices` whose numbers are not all finite."""
        whole = [values.flatten(1).isfinite().all(1) for values in (self.latents, self.pictures)]
        return tuple(index for index, fine in zip(self.indices, (whole[0] & whole[1]).tolist(), strict=True) if not fine)
