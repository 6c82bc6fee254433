"""What the report measures, as data: cases (a model, a batch, a precision) and their rows, what matters most first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

EVALUATIONS = 20  # of every run, so that a share of 0.7 or 0.5 is a whole number of them


class Sizes(NamedTuple):
    """A model and how many samples at a time."""

    model: str
    batches: tuple[int, ...]


class Mode(NamedTuple):
    """How a network is run: as compiled graphs or not; a whole run recorded as one CUDA graph, or launched."""

    compiled: bool
    recorded: bool


@dataclass(frozen=True)
class Matrix:
    """Everything that is to be measured on one kind of device, and the side of the matrix product that stands for what it can do."""

    subjects: tuple[Sizes, ...]
    precisions: tuple[str, ...]
    modes: tuple[str, ...]
    ceiling: int


EAGER, GRAPHS, COMPILED, BOTH = "eager", "CUDA graphs", "compiled", "compiled, CUDA graphs"
MODES = {EAGER: Mode(False, False), GRAPHS: Mode(False, True), COMPILED: Mode(True, False), BOTH: Mode(True, True)}

GPU = Matrix(
    (Sizes("dit-xl-2-256", (8, 1, 64)), Sizes("pixart-xl-2-512", (1,)), Sizes("dit3d-s-4-32", (16,))),
    ("bfloat16", "float16"),
    (EAGER, GRAPHS, BOTH, COMPILED),
    8192,
)
CPU = Matrix(  # small: it shows that all of it runs, and is told of as that
    (Sizes("dit-emoji", (4, 1)), Sizes("pixart-emoji", (1,)), Sizes("dit3d-shapes", (2,))),
    ("float32",),
    (EAGER, COMPILED),
    1024,
)

NONE = "no plan"
FORECAST, BRANCHES, FEWER = "whole forecasts", "forecast branches", "fewer steps"
BUDGETS = (0.5, 0.7)
DIFFUSERS, CACHE_DIT, OURS = "diffusers", "cache-dit", "ditkit"


@dataclass(frozen=True)
class Case:
    """What is timed in turns: one network in one precision, so many samples at a time."""

    model: str
    batch: int
    precision: str

    def __str__(self) -> str:
        return f"{self.model}, batch {self.batch}, {self.precision}"


@dataclass(frozen=True)
class Row:
    """One way to sample a case: whose engine, how it is run, and what it saves, of a run of all evaluations the share that is kept."""

    case: Case
    engine: str = OURS
    mode: str = EAGER
    way: str = NONE
    budget: float = 1.0

    @property
    def key(self) -> str:
        """What the report's file knows it by."""
        return f"{self.case}, {self.name}"

    @property
    def name(self) -> str:
        kept = "" if self.way == NONE else f" {self.budget:g}"
        return f"{self.engine} {self.mode}, {self.way}{kept}"

    @property
    def whole(self) -> "Row":
        """The same without anything saved, which a saving is measured by."""
        return Row(self.case, self.engine, self.mode)


def cases(matrix: Matrix, model: str | None = None) -> list[Case]:
    """All of them, or those of one model; the first precision's before any of the next."""
    subjects = [sizes for sizes in matrix.subjects if model in (None, sizes.model)] or [Sizes(str(model), (1, 8))]
    return [Case(name, batch, precision) for precision in matrix.precisions for name, batches in subjects for batch in batches]


def rows(case: Case, modes: Sequence[str]) -> list[Row]:
    """Without a plan in every mode, then what saves half, then other engines; last what needs compiled graphs of its own."""
    plain = [Row(case, mode=mode) for mode in modes]
    half, most = ([Row(case, mode=mode, way=way, budget=budget) for mode in modes for way in (FORECAST, FEWER)] for budget in BUDGETS)
    peers = [Row(case, DIFFUSERS), Row(case, DIFFUSERS, COMPILED), Row(case, CACHE_DIT)]
    return [*plain, *half, *peers, *most, *_branches(case, modes)]


def _branches(case: Case, modes: Sequence[str]) -> Iterator[Row]:
    for mode in sorted(modes, key=lambda mode: MODES[mode].compiled):
        yield from (Row(case, mode=mode, way=BRANCHES, budget=budget) for budget in BUDGETS)
