"""`ditkit accelerate`: a plan for any diffusers pipeline, and its runs with and without it."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ditkit.cache.plan import write_plan
from ditkit.cache.words import in_words
from ditkit.config.schema import AccelerateConfig
from ditkit.config.schema.accelerate import PipelineConfig
from ditkit.errors import RequestError
from ditkit.files.atomic import check_writable
from ditkit.pipelines.accelerate import accelerate
from ditkit.pipelines.calibrate import LEAST, calibrate, shares
from ditkit.results.folder import library_versions
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.shared import pipeline_runs
from ditkit.tasks.shared.command_line import command_line
from ditkit.tasks.shared.pipeline_runs import WITHOUT, Way
from ditkit.tasks.shared.prompts import read_prompts


def run(config: AccelerateConfig, progress: Progress) -> Report:
    """Calibrate on the first prompts, compare on the last ones, write the plan and a page beside it."""
    prompts = [*config.prompts, *(read_prompts(config.prompt_file) if config.prompt_file else [])]
    fitted, held_out = divided(prompts, config.measured)
    target = Path(config.out)
    check_writable(target)
    pipe = pipeline_runs.load(config.pipeline, config.revision, config.runtime)
    more = arguments(config.ask)
    progress.start(sum(map(len, shares(len(fitted)))), "runs of the calibration")
    plan = calibrate(
        pipe,
        fitted,
        config.steps,
        config.budget,
        order=config.order,
        seed=config.seed,
        module=config.module,
        on_run=progress.advance,
        **more,
    )
    plan = replace(plan, provenance={**plan.provenance, "pipeline": config.pipeline, "steps": config.steps})
    write_plan(plan, target)
    share = f"{pipeline_runs.kept(plan):.2f} of its calls"
    facts: dict[str, Cell] = {"pipeline": plan.model, "scheduler": plan.solver, "evaluations": plan.evaluations, "kept": share}
    notes = [in_words(plan), f"use it: with ditkit.accelerate(pipe, {str(target)!r}): pipe(prompt, num_inference_steps={config.steps})"]
    if not held_out:
        return Report(f"a plan for {config.pipeline}", facts, files=[target], notes=notes)
    fewer = max(1, round(config.steps * pipeline_runs.kept(plan)))
    ways = [
        Way(WITHOUT),
        Way("the plan", partial(accelerate, pipe, plan, config.module), kept=pipeline_runs.kept(plan)),
        Way(f"{fewer} steps", steps=fewer, kept=fewer / config.steps),
    ]
    seed = config.seed + len(fitted)
    runs = pipeline_runs.compare(pipe, ways, held_out, config.steps, seed, more, progress)
    columns, _, data = pipeline_runs.table(runs)
    page, command = target.with_suffix(".html"), command_line("accelerate", config, [config.pipeline], ("pipeline",))
    said = {**facts, "prompts": f"{len(fitted)} calibrated on, {len(held_out)} compared", **library_versions()}
    pipeline_runs.write(runs, held_out, page, f"ditkit accelerate: {config.pipeline}", said, command)
    record = {"command": command, "config": asdict(config), "rows": data}
    return Report(f"a plan for {config.pipeline}", facts, columns, pipeline_runs.plain_rows(runs), [target, page], notes, record)


def divided(prompts: list[str], measured: int) -> tuple[list[str], list[str]]:
    """Those to calibrate on and those, the last ones, to compare on; few prompts are used for both, the seeds being others."""
    if len(prompts) < LEAST:
        raise RequestError(f"a plan is calibrated on at least {LEAST} prompts; give a file with one on each line: --prompts FILE")
    if not measured:
        return prompts, []
    count = min(measured, len(prompts))
    return (prompts[:-count] if len(prompts) - count >= LEAST else prompts), prompts[-count:]


def arguments(ask: PipelineConfig) -> dict[str, Any]:
    """What the pipeline's calls are given beside the prompt, under diffusers' names."""
    given = {"guidance_scale": ask.guidance, "height": ask.height, "width": ask.width, "negative_prompt": ask.negative}
    return {name: value for name, value in given.items() if value is not None}
