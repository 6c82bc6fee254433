"""What `ditkit eval` writes beside what it prints: metrics.json, plots, and one page with everything on it."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ditkit.cache.plan import CachePlan, from_data
from ditkit.config.schema import EvalConfig
from ditkit.data.pictures import read_picture
from ditkit.files.atomic import write_atomically
from ditkit.results.folder import has_manifest, library_versions
from ditkit.results.heatmap import draw_plan
from ditkit.results.page import Code, Figure, Page, Protocol, Section, Table, write_page
from ditkit.results.page import Pictures as Shown
from ditkit.results.plots import ParetoPoint, draw_pareto
from ditkit.results.report import Report
from ditkit.tasks.shared.boxes import Pictures
from ditkit.tasks.shared.command_line import command_line

PICTURED = 8
LARGEST = 256  # pixels of a picture on the page


@dataclass(frozen=True)
class Entry:
    """What the page shows of one line beside its numbers: pictures of single samples, or a grid of them; of `score`, less is better."""

    name: str
    request: Mapping[str, Any] | None = None
    pictures: Sequence[Path] = ()
    grid: Path | None = None
    score: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def plan(self) -> CachePlan | None:
        plan = (self.request or {}).get("plan")
        return None if plan is None else from_data(plan, self.name)

    @property
    def cost(self) -> float | None:
        """Evaluations of the network, those branches not counted that a plan reuses."""
        times = (self.request or {}).get("times")
        return None if times is None else len(times) * (1 - (self.plan.reused if self.plan else 0.0))


@dataclass(frozen=True)
class Measured:
    """A report with what is shown of each line; `scored` says in words what an entry's score is."""

    report: Report
    entries: Sequence[Entry] = field(default_factory=list)
    scored: str = ""


def pictured(pictures: Pictures, score: float | None = None, interval: tuple[float, float] | None = None) -> Entry:
    """What the page shows of pictures that were asked for in words."""
    return Entry(pictures.name, pictures.request, pictures.files[:PICTURED], score=score, interval=interval)


def written(measured: Measured, config: EvalConfig) -> Report:
    """Write the numbers, the plots and the page; the report with their files."""
    folder, report = folder_of(config), measured.report
    numbers, page = folder / "metrics.json", folder / "report.html"
    command = command_line("eval", config, config.targets, ("targets",))
    record = {"command": command, "config": asdict(config), "versions": library_versions(), **report.data}
    write_atomically(numbers, lambda path: path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    plots, sections = _sections(measured, folder)
    everything = (
        Table("Scores", report.columns, report.rows, note="\n".join(report.notes)),
        *sections,
        Protocol("How it was measured", {**report.facts, **library_versions()}),
        Code("The same again", command),
    )
    write_page(Page(report.title, "Every number stands with its estimator below; square brackets hold 95 % intervals.", everything), page)
    return replace(report, files=[*report.files, numbers, *plots, page])


def folder_of(config: EvalConfig) -> Path:
    """Where the report goes: --out, or the one run that it is about, or a folder named after what was asked."""
    if config.out:
        return Path(config.out)
    if len(config.targets) == 1 and has_manifest(Path(config.targets[0])):
        return Path(config.targets[0])
    asked = json.dumps(asdict(config), sort_keys=True).encode()
    return Path("runs") / f"eval-{hashlib.sha256(asked).hexdigest()[:8]}"


def _sections(measured: Measured, folder: Path) -> tuple[list[Path], list[Section]]:
    """The plots that were drawn and what of the page is made of pictures."""
    plots: list[Path] = []
    sections: list[Section] = []
    points = [
        ParetoPoint(entry.name, entry.cost, entry.score, "with a plan" if entry.plan else "without a plan", entry.interval)
        for entry in measured.entries
        if entry.cost is not None and entry.score is not None
    ]
    if len(points) > 1:
        plots.append(folder / "pareto.png")
        draw_pareto(points, plots[-1], "evaluations of the network, less what a plan reuses", measured.scored)
        sections.append(Figure("Score against cost", plots[-1].read_bytes(), "Below and to the left is better; bars are 95 % intervals."))
    sections += _side_by_side([entry for entry in measured.entries if entry.pictures])
    sections += [Figure(f"Samples of {entry.name}", entry.grid.read_bytes()) for entry in measured.entries if entry.grid]
    for index, entry in enumerate(measured.entries):
        if entry.plan:
            plots.append(folder / f"plan-{index}.png")
            draw_plan(entry.plan, plots[-1], entry.name)
            sections.append(Figure(f"Plan of {entry.name}", plots[-1].read_bytes()))
    return plots, sections


def _side_by_side(entries: Sequence[Entry]) -> list[Section]:
    if not entries:
        return []
    shown = min(PICTURED, *(len(entry.pictures) for entry in entries))
    asked = {json.dumps([(entry.request or {}).get(key, ())[:shown] for key in ("labels", "seeds")]) for entry in entries}
    note = "A column is of one class and one seed." if len(asked) == 1 and entries[0].request else ""
    rows = [(entry.name, [_png(file) for file in entry.pictures[:shown]]) for entry in entries]
    return [Shown("First samples", [str(index) for index in range(shown)], rows, note)]


def _png(file: Path) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(read_picture(file))
    picture.thumbnail((LARGEST, LARGEST))
    picture.save(buffer, format="png")
    return buffer.getvalue()
