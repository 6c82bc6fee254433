"""`ditkit train-router`: learn which branches of a model may be reused, and write the plan."""

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
from ditkit.config.schema import TrainRouterConfig
from ditkit.diffusion.solvers import Solver
from ditkit.engine.distributed import World, barrier, join_world
from ditkit.engine.model import Model
from ditkit.errors import ConfigError, RequestError
from ditkit.execution import Site
from ditkit.files.tensors import read_metadata, read_tensors, write_tensors
from ditkit.results.heatmap import draw_plan
from ditkit.results.plots import draw_curves
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.routing.gates import Gate, gates
from ditkit.routing.objective import GatedRun
from ditkit.routing.router import Router, decided, to_plan
from ditkit.routing.starts import Trajectories
from ditkit.routing.task import RouterTask
from ditkit.routing.trials import SingleEvaluations, Trial, WholeRuns
from ditkit.tasks.shared import build
from ditkit.tasks.shared.loop import HOUSEKEEPING, asked, at_work, read_log, run_steps
from ditkit.tasks.shared.memory import check_batch, latent_bytes
from ditkit.tasks.shared.prompts import table_for
from ditkit.tasks.train_router import forecasts
from ditkit.tasks.train_router.starts import starts_for
from ditkit.tasks.train_router.use import use_of
from ditkit.training.trainer import TrainSettings

LEARNED = ("logits", "weights")
BEGIN = 2.0  # the scores, before the sigmoid, of a plan to begin with


def run(config: TrainRouterConfig, progress: Progress) -> Report:
    """Train the scores until `steps` and write the plan that they make. Interrupted, it leaves what it needs to go on.

    Without scores, for forecasts of whole evaluations, search for the plan instead.
    """
    with at_work(config, _settings(config)):
        return forecasts.run(config, progress) if config.forecasts else _trained(config, progress)


def _trained(config: TrainRouterConfig, progress: Progress) -> Report:
    started = time.perf_counter()
    world = join_world(build.device(config.runtime))
    model = build.model(config, progress)
    check_batch(-(-config.batch // world.size), latent_bytes(model.spec), model.device)
    evaluations = model.spec.defaults.steps if config.evaluations is None else config.evaluations
    solver = build.solver(config.sampler, model.spec, evaluations, reusing=True)
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
        if begin.evaluations != len(solver.times):
            asked = f"say evaluations={begin.evaluations} or begin with another plan"
            raise ConfigError(f"{config.begin} covers {begin.evaluations} evaluations, this training {len(solver.times)}; {asked}")
        begin.check_fits(model.backbone.sites, solver.times, model=model.spec.name, weights=model.origin.get("sketch"), solver=solver.name)
        router.begin_with(begin, gated, abs(config.start or BEGIN))
    router = router.to(model.device)
    if config.budget is not None:  # refused before any work, not after hours
        within_budget(router.logits.detach().cpu(), len(solver.times), model.backbone.sites, costs, config.budget)
    prompts = table_for(config, model, progress, world)
    starts = starts_for(config, model, prompts, solver, guidance, folder, world, progress)
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
        threshold=config.threshold,
        hard=config.straight_through,
        clamp=config.clamp,
    )


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
    notes = [use_of(config, model.spec, plan.evaluations, plan_file)]
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
    keep = decided(logits, len(solver.times), sites, costs, budget=config.budget, threshold=config.threshold)
    learned = {name: value for name, value in asdict(config).items() if name not in HOUSEKEEPING}
    provenance = {"policy": "l2c", "steps": step, "config": learned}
    plan = to_plan(keep, gated, sites, solver.times, provenance, state.get("weights"))
    return replace(plan, model=config.model, weights=model.origin.get("sketch"), solver=solver.name)


def read_router(path: Path) -> tuple[torch.Tensor, dict[str, str]]:
    """The scores before the sigmoid of a router that was trained here, and what it was trained for."""
    return read_tensors(path)["logits"], read_metadata(path)
