"""`ditkit train`: base models, the small autoencoder and the judge. Run again, the same command goes on where it stopped."""

import time
from pathlib import Path
from typing import Any

import torch

from ditkit.config.schema import TrainConfig
from ditkit.engine.distributed import barrier, join_world
from ditkit.errors import ConfigError
from ditkit.files.tensors import read_tensors
from ditkit.results.plots import draw_curves
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.tasks.shared import build
from ditkit.tasks.shared.loop import asked, at_work, read_log, run_steps
from ditkit.tasks.train import gpu
from ditkit.tasks.train.recipes import recipe_of
from ditkit.training.trainer import StepReport, TrainSettings


def run(config: TrainConfig, progress: Progress) -> Report:
    """Train until `steps`; the averaged weights end up in `out/model.safetensors`. Interrupted, it leaves what it needs to go on."""
    with at_work(config, settings_of(config), tensorboard=config.tensorboard):
        return _trained(config, progress)


def _trained(config: TrainConfig, progress: Progress) -> Report:
    where = prepared(config)
    world = join_world(where)
    folder = Path(config.out)
    torch.manual_seed(config.seed)
    recipe = recipe_of(config, folder, where, world, progress)
    started = time.perf_counter()
    title = f"training {config.model}"
    last = run_steps(recipe.task, settings_of(config), folder, world, progress, title, tensorboard=config.tensorboard)
    barrier(world)
    weights = folder / "model.safetensors"
    if world.rank == 0:
        recipe.write(read_tensors(folder / "weights.safetensors"), weights)
    return _report(config, last, [weights, *_curves(folder, config.batch)], time.perf_counter() - started)


def prepared(config: TrainConfig) -> torch.device:
    """The device to train on, with as many threads as asked for; raises `ConfigError` for what cannot be trained."""
    if config.data.path is None:
        raise ConfigError("training needs data: --data FOLDER (one subfolder of images, or of clouds, per class) or --data FILE.npz")
    if config.runtime.precision == "float16":
        raise ConfigError("training in float16 would lose small gradients; use runtime.precision=bfloat16 or float32")
    if config.runtime.threads:
        torch.set_num_threads(config.runtime.threads)
    where = build.device(config.runtime)
    gpu.repeatable(where)
    return where


def settings_of(config: TrainConfig) -> TrainSettings:
    """How long and how fast, as asked."""
    return TrainSettings(
        steps=config.steps,
        batch=config.batch,
        learning_rate=config.learning_rate,
        warmup=config.warmup,
        decay=config.decay,
        weight_decay=config.weight_decay,
        clip=config.clip,
        ema=config.ema,
        seed=config.seed,
        precision=config.runtime.precision,
        save_minutes=config.save_minutes,
        minutes=config.minutes,
        optimizer=config.optimizer,
        beside=asked(config),
    )


def _curves(folder: Path, batch: int) -> list[Path]:
    """What was logged, of all sittings, against the examples seen: a picture, once there are two lines of it."""
    log = read_log(folder)
    names = [name for name in next(iter(log.values()), {}) if all(name in entry for entry in log.values())]
    if len(log) < 2 or not names:
        return []
    curve = folder / "curve.png"
    draw_curves(curve, [step * batch for step in log], {name: [entry[name] for entry in log.values()] for name in names}, "examples seen")
    return [curve]


def _report(config: TrainConfig, last: StepReport | None, files: list[Path], seconds: float) -> Report:
    step = last.step if last else config.steps
    facts: dict[str, Any] = {"steps": f"{step} of {config.steps}", "minutes": f"{seconds / 60:.1f}"}
    if last:
        facts |= {"loss": f"{float(last.loss):.4f}"} | {name: f"{float(value):.4g}" for name, value in last.values.items()}
    notes = [f"{step} of {config.steps} steps are done; the same command goes on from there"] if step < config.steps else []
    return Report(title=f"trained {config.model}", facts=facts, files=files, notes=notes, data={"step": step, "seconds": seconds})
