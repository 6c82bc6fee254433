"""`ditkit train-router`: learn which branches of a model may be reused, and write the plan."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ditkit.cache.budget import within_budget
from ditkit.cache.cost import trajectory_cost
from ditkit.cache.plan import CachePlan, read_plan, write_plan
from ditkit.codecs.points import Points
from ditkit.config.schema import TrainRouterConfig
from ditkit.data.clouds import CloudDraws
from ditkit.data.images import load_pictures
from ditkit.diffusion.solvers import Solver
from ditkit.engine.conditions import PromptTable
from ditkit.engine.distributed import World, barrier, join_world
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.errors import RequestError
from ditkit.execution import Site
from ditkit.files.tensors import read_metadata, read_tensors, write_tensors
from ditkit.results.plots import draw_curves, draw_plan
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.routing.gates import Gate, gates
from ditkit.routing.objective import GatedRun
from ditkit.routing.router import Router, above, to_plan
from ditkit.routing.starts import NoisedData, Starts, Trajectories, record_trajectories
from ditkit.routing.task import RouterTask
from ditkit.routing.trials import SingleEvaluations, Trial, WholeRuns
from ditkit.tasks.shared import build
from ditkit.tasks.shared.classes import places
from ditkit.tasks.shared.clouds import labelled
from ditkit.tasks.shared.latents import encoded
from ditkit.tasks.shared.loop import HOUSEKEEPING, asked, at_work, read_log, run_steps
from ditkit.tasks.shared.prompts import table_for
from ditkit.tasks.train_router import forecasts
from ditkit.training.trainer import TrainSettings

TRAJECTORY_BATCH = 32
LEARNED = ("logits", "weights")
BEGIN = 2.0  # the scores, before the sigmoid, of a plan to begin with


def run(config: TrainRouterConfig, progress: Progress) -> Report:
    """Train the scores until `steps` and write the plan that they make. Interrupted, it leaves what it needs to go on.

    Without scores, for forecasts of whole evaluations, search for the plan instead.
    """
    if config.forecasts:
        return forecasts.run(config, progress)
    with at_work(Path(config.out), _settings(config)):
        return _trained(config, progress)


def _trained(config: TrainRouterConfig, progress: Progress) -> Report:
    started = time.perf_counter()
    world = join_world(build.device(config.runtime))
    model = build.model(config, progress)
    evaluations = model.spec.defaults.steps if config.evaluations is None else config.evaluations
    solver = build.solver(config.sampler, model.spec, evaluations)
    guidance = model.spec.defaults.guidance if config.guidance is None else config.guidance
    if guidance != 1 and not model.spec.can_be_guided:
        raise RequestError(f"{model.spec.name} was trained without a null class and cannot be guided; use guidance=1")
    gated = gates(solver, config.period)
    costs = model.backbone.multiply_adds()
    folder = Path(config.out)
    task = _task(config, model, solver, gated, guidance, costs, folder, world, progress)
    last = run_steps(task, _settings(config), folder, world, progress, f"training a router for {config.model}")
    barrier(world)
    step = last.step if last else config.steps
    if world.rank:
        return Report(title=f"process {world.rank}")
    return _finish(config, model, solver, gated, costs, folder, step, time.perf_counter() - started)


def _task(
    config: TrainRouterConfig,
    model: Model,
    solver: Solver,
    gated: tuple[Gate, ...],
    guidance: float,
    costs: Mapping[Site | str, int],
    folder: Path,
    world: World,
    progress: Progress,
) -> RouterTask:
    size = len(gated), len(model.backbone.sites)
    router = Router(*size, start=config.start, price=config.price, seed=config.seed, order=config.order)
    if config.begin is not None:
        begin = read_plan(Path(config.begin))
        begin.check_fits(model.backbone.sites, solver.times, model=model.spec.name, solver=solver.name)
        router.begin_with(begin, gated, abs(config.start or BEGIN))
    router = router.to(model.device)
    if config.budget is not None:  # refused before any work, not after hours
        within_budget(router.logits.detach().cpu(), len(solver.times), model.backbone.sites, costs, config.budget)
    prompts = table_for(config, model, progress, world)
    starts = _starts(config, model, prompts, solver, guidance, folder, world, progress)
    trial: Trial
    if config.trial == "runs":
        assert isinstance(starts, Trajectories)  # TrainRouterConfig refuses data for them
        trial = WholeRuns(model, solver, gated, starts, config.batch, guidance, prompts, recompute=config.recompute)
    else:
        trial = SingleEvaluations(GatedRun(model, solver, gated, guidance, prompts), starts, config.batch)
    return RouterTask(
        router,
        trial,
        costs,
        seed=config.seed,
        budget=config.budget,
        by_cost=config.penalty == "multiply-adds",
        threshold=config.threshold if config.straight_through else None,
        clamp=config.clamp,
    )


def _starts(
    config: TrainRouterConfig,
    model: Model,
    prompts: PromptTable | None,
    solver: Solver,
    guidance: float,
    folder: Path,
    world: World,
    progress: Progress,
) -> Starts:
    """Noised pictures or clouds if there are data, else the model's own trajectories; made by the first process and kept on disk."""
    if config.data.path is not None:
        if prompts:
            raise RequestError(f"{config.model} reads prompts and learns from its own trajectories only; leave out --data")
        if model.spec.points:
            return NoisedData(_clouds(config, model, progress), solver, model)
        pictures = load_pictures(config.data.path, model.spec.image_size, config.data.background, progress.note)
        named = places(pictures.class_names, model.spec, model.class_names, config.data.path) if model.spec.label_count else None
        latents = encoded(config.data, pictures, model.codec, model.spec.codec, folder, model.device, world, progress)
        return NoisedData(latents if named is None else replace(latents, labels=torch.tensor(named)[latents.labels]), solver, model)
    request = SamplingRequest(
        labels=build.labels((), config.samples, model, prompts),
        seeds=range(config.seed, config.seed + config.samples),
        solver=solver,
        guidance=guidance,
        batch=TRAJECTORY_BATCH,
        prompts=prompts,
    )
    known = [
        "with ends",
        dict(model.origin),
        solver.name,
        solver.times,
        guidance,
        tuple(request.labels),
        tuple(request.seeds),
        repr(config.sampler),
    ]
    known += [prompts.texts, dict(prompts.origin)] if prompts else []
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]
    file = Path(config.data.cache or folder) / f"trajectories-{digest}.safetensors"
    if world.rank:
        barrier(world)
    if not file.exists():
        progress.start(config.samples * len(solver.times), "sampling trajectories")
        made = record_trajectories(model, request, progress.advance)
        write_tensors(file, {"x": made.x, "ends": made.ends} | ({} if made.remembered is None else {"remembered": made.remembered}))
    if world.rank == 0:
        barrier(world)
    state = read_tensors(file)
    return Trajectories(
        state["x"], state["ends"], state.get("remembered"), torch.tensor(tuple(request.labels)), tuple(request.seeds), solver.draws
    )


def _clouds(config: TrainRouterConfig, model: Model, progress: Progress) -> CloudDraws:
    """In the coordinates of the model, whatever data it was trained on."""
    data, codec = config.data, model.codec.module
    assert isinstance(codec, Points)
    clouds = labelled(data, model.spec, model.class_names, progress.note)
    return CloudDraws(clouds, codec, model.spec.points, mirror=data.mirror, stretch=data.stretch, balance=data.balance)


def _settings(config: TrainRouterConfig) -> TrainSettings:
    return TrainSettings(
        steps=config.steps,
        batch=config.batch,
        learning_rate=config.learning_rate,
        warmup=0,
        decay=config.decay,
        betas=(0.9, 0.999),
        clip=0.0,
        ema=0.0,
        seed=config.seed,
        save_minutes=config.save_minutes,
        beside=asked(config),
    )


def _finish(
    config: TrainRouterConfig,
    model: Model,
    solver: Solver,
    gated: tuple[Gate, ...],
    costs: Mapping[Site | str, int],
    folder: Path,
    step: int,
    seconds: float,
) -> Report:
    state = read_tensors(folder / "weights.safetensors")
    logits = state["logits"]
    plan = _plan(config, model, solver, gated, state, costs, step)
    cost = trajectory_cost(costs, plan.evaluations, 1, plan)
    router_file, plan_file, picture, curve = (folder / name for name in ("router.safetensors", "plan.json", "heatmap.png", "curve.png"))
    words = {"ditkit": "1", "family": "router", "model": config.model, "solver": solver.name, "times": json.dumps(solver.times)}
    words |= {"gated": json.dumps([gate.evaluation for gate in gated]), "sites": json.dumps(list(map(str, plan.sites)))}
    write_tensors(router_file, {name: value for name, value in state.items() if name in LEARNED}, words)
    write_plan(plan, plan_file)
    draw_plan(plan, picture, f"{config.model}, {solver.name}, {plan.evaluations} evaluations")
    files = [router_file, plan_file, picture]
    if log := read_log(folder):
        draw_curves(curve, list(log), {name: [entry[name] for entry in log.values()] for name in ("loss", "data", "kept", "price")})
        files.append(curve)
    numbers = sum(state[name].numel() for name in LEARNED if name in state)
    facts: dict[str, Any] = {
        "steps": f"{step} of {config.steps}",
        "minutes": f"{seconds / 60:.1f}",
        "trained parameters": f"{numbers} ({len(gated)} gated evaluations x {len(plan.sites)} sites)",
        "reused": f"{plan.reused:.1%} of all branches",
        "multiply-adds": f"{cost.saved:.1%} less",
    }
    command = "gen3d" if model.spec.points else "sample"
    notes = [f"use it: ditkit {command} --model {config.model} --steps {plan.evaluations} --plan {plan_file}"]
    data = {"step": step, "seconds": seconds, "reused": plan.reused, "kept": 1 - cost.saved, "parameters": logits.numel()}
    return Report(title=f"a plan for {config.model}", facts=facts, files=files, notes=notes, data=data)


def _plan(
    config: TrainRouterConfig,
    model: Model,
    solver: Solver,
    gated: tuple[Gate, ...],
    state: Mapping[str, torch.Tensor],
    costs: Mapping[Site | str, int],
    step: int,
) -> CachePlan:
    sites, logits = model.backbone.sites, state["logits"]
    if config.budget is None:
        keep = above(torch.sigmoid(logits), config.threshold)
    else:
        keep = within_budget(logits, len(solver.times), sites, costs, config.budget)
    learned = {name: value for name, value in asdict(config).items() if name not in HOUSEKEEPING}
    provenance = {"policy": "l2c", "steps": step, "config": learned}
    plan = to_plan(keep, gated, sites, solver.times, provenance, state.get("weights"))
    return replace(plan, model=config.model, weights=model.origin.get("sketch"), solver=solver.name)


def read_router(path: Path) -> tuple[torch.Tensor, dict[str, str]]:
    """The scores before the sigmoid of a router that was trained here, and what it was trained for."""
    return read_tensors(path)["logits"], read_metadata(path)
