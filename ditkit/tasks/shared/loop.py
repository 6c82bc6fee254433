"""A training loop as people watch it: a bar, a line of log.jsonl every few steps, tensorboard if wanted."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ditkit.config.schema import TrainConfig, TrainRouterConfig
from ditkit.engine.distributed import World
from ditkit.errors import ConfigError, OutputError
from ditkit.files.atomic import append_line, remove_parts, write_atomically
from ditkit.files.in_use import in_use
from ditkit.files.regular import check_regular
from ditkit.results.folder import has_manifest
from ditkit.results.progress import Progress
from ditkit.training.trainer import EXTENDABLE, StepReport, Task, TrainSettings, check_resumable, train

LOG, LOG_EVERY = "log.jsonl", 20
HOUSEKEEPING = (*EXTENDABLE, "out", "runtime", "tensorboard")  # may change without changing what is learned
PLACES = ("data.path", "data.cache")  # of the same things, wherever they have been moved


@contextlib.contextmanager
def at_work(config: TrainConfig | TrainRouterConfig, settings: TrainSettings, *, tensorboard: bool = False) -> Iterator[None]:
    """Hold the folder of a training, of torchrun's processes in the first; raises for what would stop it, before any work is done."""
    folder = Path(config.out)
    if tensorboard:
        _summary_writer()
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    if has_manifest(folder):
        raise OutputError(f"{folder} holds a run of samples; choose another folder with --out")
    if config.data.path and Path(config.data.path).resolve() in (folder.resolve(), *folder.resolve().parents):
        raise OutputError(f"{folder} lies in {config.data.path}, where it would be taken for data; choose another folder with --out")
    with in_use(folder):
        check_resumable(folder, settings)
        remove_parts(folder)
        yield


def run_steps(
    task: Task, settings: TrainSettings, folder: Path, world: World, progress: Progress, title: str, *, tensorboard: bool = False
) -> StepReport | None:
    """Train until the end or an interruption; the last step's report, or None when nothing was left to do."""
    board = _summary_writer()(str(folder)) if tensorboard and world.rank == 0 else None
    last, done = None, None
    for last in train(task, settings, folder, world):
        if done is None:
            done = last.step - 1
            if world.rank == 0:
                _forget_beyond(folder, done)
            progress.start(settings.steps, title, done)
        progress.advance(1, loss=last.loss, **last.values)
        if last.step % LOG_EVERY == 0 and world.rank == 0:
            values = {"loss": float(last.loss), **{name: float(value) for name, value in last.values.items()}}
            _log(folder, last.step, values)
            if board:
                for name, value in values.items():
                    board.add_scalar(name, value, last.step)
    if board:
        board.close()
    return last


def read_log(folder: Path) -> dict[int, dict[str, float]]:
    """What was logged, by step, as far as lines are whole: a system that went down leaves any bytes at the end of a file."""
    file = folder / LOG
    check_regular(file, OutputError)
    text = file.read_bytes().decode("utf-8", "replace") if file.exists() else ""
    entries: dict[int, dict[str, float]] = {}
    for line in text.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            entry = json.loads(line)
            entries[entry.pop("step")] = entry
    return entries


def asked(config: Any) -> dict[str, Any]:
    """What a configuration says of what is learned, by dotted name."""
    named = _named({name: value for name, value in asdict(config).items() if name not in HOUSEKEEPING})
    return {name: value for name, value in named if name not in PLACES}


def _named(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _log(folder: Path, step: int, values: dict[str, float]) -> None:
    append_line(folder / LOG, json.dumps({"step": step, **{name: float(f"{value:.6g}") for name, value in values.items()}}))


def _forget_beyond(folder: Path, step: int) -> None:
    """Drop from the log what was done after `step` and lost in a kill, for it is done again; and a line that was cut off."""
    file = folder / LOG
    if not file.exists():
        return
    kept = [json.dumps({"step": done, **values}) + "\n" for done, values in read_log(folder).items() if done <= step]
    write_atomically(file, lambda part: part.write_text("".join(kept), encoding="utf-8"))


def _summary_writer() -> type[Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard=true needs the tensorboard package: pip install 'ditkit[tensorboard]'") from error
    return SummaryWriter
