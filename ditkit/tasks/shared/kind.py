"""What a command makes, as the run folder that all of them share sees it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ditkit.cache.plan import CachePlan
from ditkit.config.schema.runs import RunConfig
from ditkit.engine.denoiser import OnStep
from ditkit.engine.distributed import World
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.models.spec import ModelSpec
from ditkit.results.folder import RunFolder
from ditkit.results.progress import Progress

Record = dict[str, Any]
Costs = Callable[[Model, SamplingRequest, int], tuple[Mapping[str, Any], Mapping[str, Any]]]
"""What a run costs beside sampling, as facts and as data; told the multiply-adds of one sample without a plan."""


class Kind(Protocol):
    """What a command makes: of which models, how a sample is kept, and what is drawn of all of them together."""

    @property
    def command(self) -> str: ...
    @property
    def samples(self) -> str:
        """What they are called: "images"."""
        ...

    @property
    def schema(self) -> type[RunConfig]: ...

    def check(self, config: Any, spec: ModelSpec) -> None:
        """Raise `RequestError` for a model that makes something else, or is asked for what it does not know."""
        ...

    def request(self, config: Any, model: Model, plan: CachePlan | None, progress: Progress, world: World) -> tuple[Model, SamplingRequest]:
        """What is asked, and the model as it is to answer; the same on every process."""
        ...

    def record(self, config: Any, request: SamplingRequest) -> Record:
        """What decides the bits beside all that every command has."""
        ...

    def sample(
        self, config: Any, model: Model, request: SamplingRequest, folder: RunFolder, batches: Sequence[range], on_step: OnStep
    ) -> Iterator[SampleBatch]:
        """Make the samples of these batches."""
        ...

    def file(self, folder: RunFolder, index: int) -> Path: ...

    def save(self, config: Any, folder: RunFolder, index: int, sample: Tensor) -> None: ...

    def finish(self, config: Any, folder: RunFolder, request: SamplingRequest, names: Sequence[str]) -> tuple[list[Path], list[str]]:
        """Write what shows all samples; the files, and lines worth saying."""
        ...
