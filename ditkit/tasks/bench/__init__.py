"""`ditkit bench`: what plans, policies, fewer steps and other engines gain and lose against the same run without a plan."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ditkit.config.schema import BenchConfig, TrainConfig
from ditkit.engine.model import Model
from ditkit.engine.race import race
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.errors import MissingDependency, RequestError
from ditkit.files.atomic import write_atomically
from ditkit.metrics.bootstrap import Interval
from ditkit.models.judge import JUDGED, load_judge
from ditkit.results.folder import library_versions
from ditkit.results.page import Code, Figure, Measured, Page, Pictures, Protocol, Table, write_page
from ditkit.results.plots import ParetoPoint, draw_pareto
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.shapes import preview
from ditkit.tasks.bench import boxes, gpu, parts, pipelines, training
from ditkit.tasks.bench.contenders import FEWER, UNCACHED, contenders, converged
from ditkit.tasks.bench.scores import Judges, Score, decoded, scored
from ditkit.tasks.shared import build, classes
from ditkit.tasks.shared.command_line import command_line
from ditkit.tasks.shared.pipeline_runs import is_pipeline
from ditkit.tasks.shared.report_folder import reporting_into

COUNT = 64  # images each way, if nothing is said
PICTURED = 8
SIDE = 160  # pixels of a cloud's picture
CHAMFER = "CD x 1000"
UNPLOTTED = (UNCACHED, "diffusers")  # no error by definition
NOTE = (
    "error: |z - z'| / |z'| of the latents, z' from the uncached run with the same seed; converged: the same with z' from "
    "a run of many more evaluations, which favours no way to save any; CD: Chamfer distance of clouds to that run's; "
    "kept: share of the uncached run's multiply-adds (of its own where another engine runs); speed-up: median ratio to the uncached run "
    "over rounds; more than: by how much the errors exceed those of the plan that costs nearest, seed by seed; intervals: 95 % bootstrap."
)


def run(config: BenchConfig, progress: Progress) -> Report:
    """Sample every way in turns, compare with the uncached run, write the numbers, the plot and the page."""
    with reporting_into(Path(config.out)):
        return _measured(config, progress)


def _measured(config: BenchConfig, progress: Progress) -> Report:
    if is_pipeline(config.model):
        return pipelines.run(config, progress)
    if config.parts:
        return parts.run(config, progress)
    if config.gpu_report:
        return gpu.run(config, progress)
    if config.boxes is not None:
        return boxes.run(config, progress)
    config = replace(config, count=COUNT if config.count is None else config.count)
    if config.count == 1:
        raise RequestError("a comparison needs at least 2 images: --count 2 or more")
    model = build.model(config, progress)
    judges = Judges(load_judge(), config.reference, model.spec.image_size) if model.spec.classes == JUDGED else None
    if config.reference and not judges:
        raise RequestError(f"a Frechet distance is measured by the judge, which knows the {JUDGED} classes only; leave out --reference")
    entries = contenders(config, model, progress)
    truth = _converged(config, model, entries[0].request, progress)
    progress.start(sum(len(entry.request.seeds) * len(entry.request.solver.times) for entry in entries), "sampling in turns")
    outcomes = race(entries, progress.advance)
    made = [decoded(model, outcome.latents) for outcome in outcomes]
    return _finish(config, model, scored(entries, outcomes, made, judges, truth), made, classes.names(model, entries[0].request))


def _converged(config: BenchConfig, model: Model, plain: SamplingRequest, progress: Progress) -> Tensor | None:
    """Where the same samples end with many more evaluations of the same solver."""
    request = converged(config, model, plain.prompts)
    if request is None:
        return None
    progress.start(len(request.seeds) * len(request.solver.times), f"{len(request.solver.times)} evaluations, the converged run")
    return torch.cat([sample_latents(model, request, batch, progress.advance).cpu() for batch in request.batches()])


def run_training(config: TrainConfig, progress: Progress) -> Report:
    """Time the parts of the step that this training takes."""
    return training.run(config, progress)


def _finish(config: BenchConfig, model: Model, scores: Sequence[Score], made: Sequence[Tensor], names: Sequence[str]) -> Report:
    folder = Path(config.out)
    numbers, plot, page = (folder / name for name in ("bench.json", "pareto.png", "report.html"))
    command = command_line("bench", config, [config.model], ("model",))
    record = {"command": command, "config": asdict(config), "versions": library_versions(), "scores": list(map(asdict, scores))}
    write_atomically(numbers, lambda path: path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    plotted = [score for score in scores if score.group not in UNPLOTTED]
    points = [ParetoPoint(score.name, score.kept, score.error, score.group, score.error_interval) for score in plotted]
    draw_pareto(points, plot, "share of multiply-adds kept", "relative L2 error of the latents", joined={FEWER}, title=config.model)
    sections = (
        _table(scores),
        Figure("Error against cost", plot.read_bytes(), "Below and to the left is better; bars are 95 % intervals."),
        *_pictures(scores, made, names),
        Protocol("How it was measured", _protocol(config, model)),
        Code("The same again", command),
    )
    intro = "Every row samples the same seeds; batches are sampled in turns, so that a busy machine slows all rows alike."
    write_page(Page(f"ditkit bench: {config.model}", intro, sections), page)
    facts: dict[str, Cell] = {
        "samples": config.count,
        "batch": config.batch,
        "multiply-adds per sample, uncached": f"{scores[0].multiply_adds / 1e9:.2f} G",
    }
    judged = ["judged"] if scores[0].judged else []
    frechet = ["Frechet"] if scores[0].judged and scores[0].judged.frechet is not None else []
    truths = ["converged"] if scores[0].converged is not None else []
    columns = ["", "kept", "speed-up", "s/sample", "p95", "error", *truths, "PSNR" if scores[0].psnr else CHAMFER, *judged, *frechet]
    rows = [_row(score)[: len(columns)] for score in scores]
    notes = ["error: relative L2 of the latents to the uncached run, same seeds; speed-up: median over interleaved rounds"]
    notes += [f"converged: the same to a run of {config.converged} times the evaluations"] if truths else []
    return Report(f"bench {config.model}", facts, columns, rows, [numbers, plot, page], notes, record)


def _row(score: Score) -> list[Cell]:
    row: list[Cell] = [score.name, f"{score.kept:.3f}", f"{score.speedup:.2f}x", f"{score.seconds:.3f}", f"{score.seconds_p95:.3f}"]
    row += [f"{score.error:.4f}", *([] if score.converged is None else [f"{score.converged:.4f}"])]
    row += [f"{score.psnr:.1f}" if score.chamfer is None else f"{1000 * score.chamfer:.3f}"]
    if judged := score.judged:
        row.append(f"{judged.accuracy:.3f}")
        if judged.frechet_interval:
            row.append(f"{judged.frechet:.3f} [{judged.frechet_interval.low:.3f}, {judged.frechet_interval.high:.3f}]")
    return row


def _table(scores: Sequence[Score]) -> Table:
    columns = ["", "kept", "GMACs", "cache MiB", "speed-up", "s/sample", "p95", "error"]
    columns += ["converged"] if scores[0].converged is not None else []
    columns += ["PSNR dB" if scores[0].psnr else CHAMFER]
    judged = scores[0].judged
    columns += ["judged"] if judged else []
    columns += ["Frechet"] if judged and judged.frechet is not None else []
    paired = any(score.behind for score in scores)
    columns += ["more than", "in error", *(["converged"] if scores[0].converged is not None else [])] if paired else []
    rows = []
    for score in scores:
        row: list[Cell | Measured] = [score.name, score.kept, score.multiply_adds / 1e9, score.cache_bytes / 2**20, score.speedup]
        fidelity = score.psnr if score.chamfer is None else 1000 * score.chamfer
        row += [score.seconds, score.seconds_p95, _spread(score.error, score.error_interval)]
        if score.converged is not None and score.converged_interval:
            row.append(_spread(score.converged, score.converged_interval))
        row.append(fidelity)
        if score.judged:
            row.append(score.judged.accuracy)
            if score.judged.frechet is not None and score.judged.frechet_interval:
                row.append(_spread(score.judged.frechet, score.judged.frechet_interval))
        if paired:
            row += [score.compared, _between(score.behind)]
            row += [_between(score.behind_converged)] if score.converged is not None else []
        rows.append(row)
    return Table("Gain and loss", columns, rows, note=NOTE, best={"error": "low"}, reference=[0])


def _between(interval: Interval | None) -> str | None:
    return f"{interval.low:+.4f} to {interval.high:+.4f}" if interval else None


def _spread(value: float, interval: Interval) -> Measured:
    return Measured(value, (interval.high - interval.low) / 2)


def _pictures(scores: Sequence[Score], made: Sequence[Tensor], names: Sequence[str]) -> list[Pictures]:
    """The first samples side by side; of clouds, where they can be drawn."""
    try:
        rows = [(score.name, [_png(sample) for sample in samples[:PICTURED]]) for score, samples in zip(scores, made, strict=True)]
    except MissingDependency:
        return []
    return [Pictures("The same seeds", names[:PICTURED], rows)]


def _png(sample: Tensor) -> bytes:
    buffer = io.BytesIO()
    cloud = sample.ndim == 2
    image = preview.of_cloud(sample.T.contiguous().numpy()).picture(SIDE) if cloud else Image.fromarray(sample.movedim(0, -1).numpy())
    image.save(buffer, format="png")
    return buffer.getvalue()


def _protocol(config: BenchConfig, model: Model) -> dict[str, Cell]:
    return {
        "model": config.model,
        "weights": str(model.origin.get("sketch", "")),
        "samples": config.count,
        "batch": config.batch,
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "precision": config.runtime.precision,
        "compiled": str(config.runtime.compile),
        **library_versions(),
    }
