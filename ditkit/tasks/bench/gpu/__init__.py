"""`ditkit bench --gpu-report`: what a GPU makes of the large models in every mode, precision and way to save, in a few minutes.

Where there is no GPU, small models are measured by the clock: that all of it runs, and nothing about a GPU.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ditkit.config.schema import BenchConfig
from ditkit.errors import RequestError
from ditkit.models import registry
from ditkit.results.folder import library_versions
from ditkit.results.page import Code, Page, Protocol, Section, Table, write_page
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.bench.gpu.ledger import Ledger, Measured
from ditkit.tasks.bench.gpu.matrix import CPU, EVALUATIONS, GPU, Case, Matrix, Row, cases, rows
from ditkit.tasks.bench.gpu.turns import ROUNDS, Watch, measure
from ditkit.tasks.shared import build
from ditkit.tasks.shared.command_line import command_line

EVERY = "all"
FIRST, SECOND = 6.0, 3.0  # times the time of a later precision's case: of the very first one, and of the others of its precision
COLUMNS = ("", "ms", "times eager", "TFLOP/s", "of the product", "of the saving", "MiB", "calls", "kernels", "apart")
SMALL = "no GPU is here: small models, by the clock; it shows that the report runs, and says nothing of a GPU"
NOTE = (
    f"medians over {ROUNDS} rounds in turns, of whole runs of {EVALUATIONS} evaluations, guided as the model's default is, without "
    f"decoding; ms: of a run, for each of {EVALUATIONS} evaluations, skipped ones too; times eager: ratio to ditkit's eager run without a "
    "plan; TFLOP/s: of the multiply-adds that are made, two each; of the product: of what a matrix product reaches in the same rounds; of "
    "the saving: share of the saved multiply-adds that is saved in time; MiB: the most that is allocated beside the weights; calls and "
    "kernels: what the host launches and the device runs, for each evaluation (on a CPU: operators); apart: relative L2 of the latents to "
    "the eager run's."
)


def run(config: BenchConfig, progress: Progress) -> Report:
    """Measure what fits into the minutes, then write the page; what was measured before is not measured again."""
    device = build.device(config.runtime)
    if config.runtime.threads:
        torch.set_num_threads(config.runtime.threads)
    matrix, model = GPU if device.type == "cuda" else CPU, _model(config)
    ledger = Ledger(Path(config.out), _head(config, device, matrix))
    found = [(case, rows(case, matrix.modes)) for case in cases(matrix, model)]
    if matrix is CPU:
        progress.note(SMALL)
    progress.start(sum(len(each) for _, each in found), "rows")
    watch = Watch(60 * config.minutes)
    weights = [SECOND if case.precision == matrix.precisions[0] else 1.0 for case, _ in found]
    weights[0] = FIRST
    for place, (case, wanted) in enumerate(found):
        measure(case, wanted, config, ledger, matrix.ceiling, watch.share(weights[place], sum(weights[place:])), progress)
    return _finish(config, ledger, found, small=matrix is CPU)


def _model(config: BenchConfig) -> str | None:
    """The one model that is asked for; raises `UnknownName` if there is none of that name, `RequestError` for weights of no model."""
    if config.model != EVERY:
        return registry.find(config.model).name
    if config.weights:
        raise RequestError("--weights belong to one model: say ditkit bench MODEL --gpu-report")
    return None


def _head(config: BenchConfig, device: torch.device, matrix: Matrix) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "device": name,
        "matrix": {"evaluations": EVALUATIONS, "ceiling": matrix.ceiling, "weights": config.weights, "guidance": config.guidance},
        "versions": library_versions(),
        "threads": torch.get_num_threads(),
        "command": command_line("bench", config, [config.model], ("model",)),
    }


def _finish(config: BenchConfig, ledger: Ledger, found: Sequence[tuple[Case, Sequence[Row]]], *, small: bool) -> Report:
    ledger.write()
    page, measured = ledger.path.with_name("gpu.html"), [ledger.of(row) for _, wanted in found for row in wanted]
    reasons = Counter(each.why or "not yet" for each in measured if not each.seconds)
    sections: list[Section] = [_table(case, wanted, ledger) for case, wanted in found]
    facts: dict[str, Cell] = {
        "device": ledger.head["device"],
        "rows": len(measured),
        "not measured": reasons.total(),
        "minutes": config.minutes,
    }
    protocol = Protocol("How it was measured", {**facts, "threads": ledger.head["threads"], **ledger.head["versions"]}, NOTE)
    sections += [protocol, Code("The same again, or what is missing", ledger.head["command"])]
    intro = SMALL if small else "Weights are drawn at random unless some were given: what decides time is a network's sizes."
    write_page(Page(f"ditkit on {ledger.head['device']}", intro, sections), page)
    shown = [[str(case), *_cells(row, ledger)] for case, wanted in found for row in wanted if ledger.of(row).seconds]
    notes = [SMALL] if small else []
    notes += [f"not measured: {count} rows: {why}" for why, count in reasons.items()]
    return Report(
        f"ditkit on {ledger.head['device']}", facts, ["case", *COLUMNS], shown, [ledger.path, page], notes, {"rows": len(measured)}
    )


def _table(case: Case, wanted: Sequence[Row], ledger: Ledger) -> Table:
    ceiling = ledger.ceiling(case)
    reached = f"A matrix product reaches {ceiling:.4g} TFLOP/s. " if ceiling else ""
    missing: dict[str, list[str]] = {}
    for row in wanted:
        if not ledger.of(row).seconds:
            missing.setdefault(ledger.of(row).why or "not yet", []).append(row.name)
    why = " ".join(f"Not measured ({reason}): {'; '.join(names)}." for reason, names in missing.items())
    there = [_cells(row, ledger) for row in wanted if ledger.of(row).seconds]
    return Table(str(case), COLUMNS, there, note=reached + why, best={"ms": "low"})


def _cells(row: Row, ledger: Ledger) -> list[Cell]:
    measured, ceiling = ledger.of(row), ledger.ceiling(row.case)
    tflops = measured.tflops
    return [
        row.name,
        _rounded(1000 * median(measured.seconds) / EVALUATIONS),
        _rounded(measured.speedup),
        _rounded(tflops),
        f"{tflops / ceiling:.0%}" if tflops and ceiling else None,
        None if measured.realised is None else f"{measured.realised:.0%}",
        None if measured.peak_bytes is None else round(measured.peak_bytes / 2**20),
        _each(measured.calls, measured),
        _each(measured.kernels, measured),
        "same bits" if measured.equal else _rounded(measured.apart),
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _each(count: int | None, measured: Measured) -> float | None:
    """For each evaluation of the run, a forecast one too."""
    return None if count is None else _rounded(count / measured.evaluations)
