"""A case's rows: warmed up one by one as long as there is time, then timed in turns."""

import gc
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ditkit.config.schema import BenchConfig
from ditkit.engine.recorded import NOT_RECORDED
from ditkit.errors import DitkitError, is_out_of_memory
from ditkit.results.progress import Progress
from ditkit.tasks.bench.gpu import clock
from ditkit.tasks.bench.gpu.ledger import Ledger, Measured
from ditkit.tasks.bench.gpu.matrix import MODES, NONE, Case, Row
from ditkit.tasks.bench.gpu.subjects import Candidate, Subject, candidate, subject
from ditkit.tasks.shared import build

ROUNDS = 5
WARMING = 0.7  # of a case's time, after which nothing more is warmed up
COMPILING = 30.0  # seconds: with less of them left a GPU's compiler is not begun with
WATCHED = (1.0, 0.5)  # shares kept whose launches are counted: a profiler takes a second for each row
NO_TIME = "no time was left"


class Watch:
    """What is left of the minutes; every case gets its share of it, and hands on what it does not use."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def share(self, weight: float, of: float) -> "Watch":
        return Watch(self.left * weight / of)


class Turns:
    """The rows of a case that are ready, and their times round by round."""

    def __init__(self, case: Case, ledger: Ledger, device: torch.device, ceiling: int) -> None:
        self.case, self.ledger, self.device = case, ledger, device
        self.ready: dict[Row, tuple[Candidate, Measured]] = {}
        dtype = build.PRECISIONS[case.precision]
        self._flops = 2 * ceiling**3
        self._a, self._b = torch.randn(2, ceiling, ceiling, device=device, dtype=dtype)
        self._product: list[float] = []
        torch.mm(self._a, self._b)  # the first loads what it needs
        self.eager: Tensor | None = None

    def warm(self, row: Row, of: Subject) -> None:
        """Make the row ready: compile, record and allocate; see what it launches and how near it comes to the eager run."""
        found, mode = candidate(row, of), MODES[row.mode]
        made: list[Tensor] = []
        again = 2 if mode.recorded else 1  # the second of a size is recorded, and the next ones replayed
        with warnings.catch_warnings():
            warnings.filterwarnings("error", NOT_RECORDED)  # it would be measured as what it is not
            peak = clock.peak_bytes(lambda: made.extend(found.run() for _ in range(1 + again)), self.device)
        measured = Measured(evaluations=found.evaluations, flops=found.flops, kept=found.kept, peak_bytes=peak)
        if row.way == NONE:
            self.eager = made[-1] if self.eager is None else self.eager
            apart = (made[-1] - self.eager).norm() / self.eager.norm().clamp_min(1e-12)
            measured = replace(measured, apart=float(apart), equal=torch.equal(made[-1], self.eager))
        if row.budget in WATCHED:
            seen = clock.launched(found.run, self.device, compiled=mode.compiled)
            measured = replace(measured, calls=seen.calls, kernels=seen.kernels)
        self.ready[row] = found, measured

    def round(self, wanted: Sequence[Row]) -> None:
        """Time everything that is ready once; rows that are there only to compare with are not written again."""
        self._product.append(self._flops / clock.seconds(lambda: self._a @ self._b, self.device) / 1e12)
        self.ledger.ceilings[str(self.case)] = self._product
        for row, (found, measured) in self.ready.items():
            measured.seconds.append(clock.seconds(found.run, self.device))
            measured.eager = self._times(Row(self.case))
            measured.whole = self._times(row.whole)
            if row in wanted:
                self.ledger.put(row, measured)

    def _times(self, row: Row) -> list[float]:
        return list(self.ready[row][1].seconds) if row in self.ready else []


def measure(case: Case, rows: Sequence[Row], config: BenchConfig, ledger: Ledger, ceiling: int, watch: Watch, progress: Progress) -> None:
    """Measure those rows of the case that have not had their rounds, beside what they are compared with; say of the others why not."""
    wanted = [row for row in rows if len(ledger.of(row).seconds) < ROUNDS]
    progress.advance(len(rows) - len(wanted))
    if not wanted:
        return
    device, total = build.device(config.runtime), watch.left
    if total <= 0:
        return _not_measured(wanted, ledger, progress)
    needed = {Row(case), *wanted, *(row.whole for row in wanted)}
    with torch.inference_mode():
        turns, of = Turns(case, ledger, device, ceiling), subject(case, config, progress)
        for row in [row for row in rows if row in needed]:
            late = watch.left < total * (1 - WARMING) or not _may_begin(row, device, watch)
            why = NO_TIME if late else _warmed(turns, row, of)
            if row in wanted:
                if why:
                    _not_measured([row], ledger, progress, why)
                else:
                    progress.advance()
        for number in range(ROUNDS if turns.ready else 0):
            if number and watch.left < 0:
                break
            turns.round(wanted)
    del turns, of
    _forget(device)


def _not_measured(rows: Sequence[Row], ledger: Ledger, progress: Progress, why: str = NO_TIME) -> None:
    """Say of these rows why not, unless an earlier run had some rounds of them."""
    for row in rows:
        if not ledger.of(row).seconds:
            ledger.put(row, Measured(why=why))
        progress.advance()


def _may_begin(row: Row, device: torch.device, watch: Watch) -> bool:
    """Whether there is time for the compiler, if it is needed."""
    return watch.left > 0 and not (device.type == "cuda" and MODES[row.mode].compiled and watch.left < COMPILING)


def _warmed(turns: Turns, row: Row, of: Subject) -> str | None:
    """Why the row cannot be measured; None if it is ready. One row that fails, whatever it is, does not cost the others."""
    try:
        turns.warm(row, of)
    except DitkitError as error:
        return str(error)
    except Exception as error:
        if is_out_of_memory(error):
            return "out of memory"
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
    return None


def _forget(device: torch.device) -> None:
    """The case's graphs, compiled ones too, and its memory."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
