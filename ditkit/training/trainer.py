"""One training loop for every model: a task computes the loss of a step, the loop does the rest.

A step's loss is a pure function of (weights, step): tasks draw data, noise and dropout from `noise.step_generator(seed, step)`.
So a run killed at any moment and started again from its last saved state ends with the same bits as one never killed,
and there is no data position or generator state to save.
"""

import contextlib
import copy
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ditkit.engine import signals
from ditkit.engine.distributed import World, averaged, gather, sum_gradients
from ditkit.errors import CheckpointError, ConfigError, OutputError, RequestError
from ditkit.files.state import read_state, write_state
from ditkit.files.tensors import write_tensors
from ditkit.training.optimizer import build_optimizers

STATE = "state.pt"
EXTENDABLE = ("steps", "decay", "save_minutes", "minutes")  # settings that a resumed run may change


class Task(Protocol):
    """What is trained: a module and the loss of one step."""

    @property
    def module(self) -> nn.Module: ...

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        """The *sum* of the losses of samples `rows` of the step's batch, and further values to show."""
        ...


@dataclass(frozen=True)
class TrainSettings:
    """How long and how fast: `steps` updates of `batch` samples.

    The learning rate rises over `warmup` steps, stays, and falls to zero over the last `decay`. After `minutes` it ends early, between two
    steps, to be gone on with. `beside` is what else the run was asked
    for, by name, in plain values: a resumed run has to say the same.
    """

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100
    decay: int = 0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    precision: str = "float32"
    save_minutes: float = 5.0
    minutes: float | None = None
    optimizer: str = "adamw"
    beside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepReport:
    """One finished step. `loss` and `values` are tensors: read them only when they are shown."""

    step: int
    steps: int
    loss: Tensor
    values: dict[str, Tensor]


def rate_factor(step: int, settings: TrainSettings) -> float:
    """The share of the learning rate used at `step`: linear warm-up, flat, linear decay to zero."""
    rising = min(1.0, (step + 1) / max(settings.warmup, 1))
    falling = min(1.0, (settings.steps - step) / settings.decay) if settings.decay else 1.0
    return rising * falling


def train(
    task: Task, settings: TrainSettings, folder: Path, world: World | None = None, mark: Callable[[str], None] = lambda part: None
) -> Generator[StepReport]:
    """Train `task` and report each step; resumes from `folder/state.pt`, saves there every few minutes and at the end.

    A signal that asks the process to end is obeyed between two steps, after saving: `Stopped` is raised then. The averaged weights are in
    `folder/weights.safetensors`. `mark` is told of every part of a step when it is done: forward, backward, optimiser, average.
    """
    world = world or World()
    if settings.batch < world.size:
        raise ConfigError(f"a batch of {settings.batch} cannot be shared by {world.size} processes; say batch={world.size} or more")
    run = _Run(task, settings, folder, mark)
    rows = world.share(settings.batch)
    began = saved = time.monotonic()
    with signals.asked() as asked_to_end:
        while run.step < settings.steps:
            loss, values = run.update(rows, world)
            yield StepReport(run.step, settings.steps, loss, values)
            now = time.monotonic()
            late = settings.minutes is not None and now - began > settings.minutes * 60
            said = gather((asked_to_end(), late), world)  # together, or one process would wait for the other for ever
            stop, late = max(number for number, _ in said), any(each for _, each in said)
            if stop or late or now - saved > settings.save_minutes * 60:
                if world.rank == 0:
                    run.save()
                saved = now
            if stop:
                raise signals.Stopped(stop, f"{run.step} of {settings.steps} steps are done and saved; the same command goes on from there")
            if late:
                return
        if world.rank == 0:
            run.save()


class _Run:
    """Weights, their average, the optimiser and the step: what a saved state holds."""

    def __init__(self, task: Task, settings: TrainSettings, folder: Path, mark: Callable[[str], None]) -> None:
        self.task, self.settings, self.folder, self.mark = task, settings, folder, mark
        self.step = 0
        self.average = copy.deepcopy(task.module).requires_grad_(False)
        self.parameters = [parameter for parameter in task.module.parameters() if parameter.requires_grad]
        self._averaged, self._current = (
            [value for value in (*module.parameters(), *module.buffers()) if value.is_floating_point()]  # each once
            for module in (self.average, task.module)
        )
        self.optimizers = build_optimizers(task.module, settings.optimizer, settings.learning_rate, settings.betas, settings.weight_decay)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
        if self.state_file.exists():
            self.load()

    @property
    def state_file(self) -> Path:
        return self.folder / STATE

    def update(self, rows: slice, world: World) -> tuple[Tensor, dict[str, Tensor]]:
        settings = self.settings
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = settings.learning_rate * rate_factor(self.step, settings) * group.get("share", 1.0)
        low = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(settings.precision)
        device = self.parameters[0].device.type
        with torch.autocast(device, low) if low else contextlib.nullcontext():
            total, values = self.task.loss(self.step, rows)
        self.mark("forward")
        loss = total / settings.batch
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        sum_gradients(self.parameters, world)
        self.mark("backward")
        if settings.clip:
            values = {**values, "grad": nn.utils.clip_grad_norm_(self.parameters, settings.clip)}
        for optimizer in self.optimizers:
            optimizer.step()
        self.mark("optimiser")
        self.step += 1
        self._move_average()
        self.mark("average")
        shown = averaged({"loss": loss.detach() * world.size, **values}, world)
        return shown.pop("loss"), shown

    @torch.no_grad()
    def _move_average(self) -> None:
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))  # early on the average follows closely
        torch._foreach_lerp_(self._averaged, self._current, 1 - keep)  # pyright: ignore[reportPrivateImportUsage] (all at once)

    def save(self) -> None:
        """Write the state over the last one; raises `RequestError` for one that nothing can be learned from any more."""
        if not all(bool(value.isfinite().all()) for value in self._current):
            kept = f"{self.state_file} is left as it was" if self.state_file.exists() else "nothing of it was saved"
            raise RequestError(
                f"the training's numbers stopped being finite by step {self.step}; {kept}: take a smaller learning_rate, and another --out"
            )
        state = {
            "step": self.step,
            "settings": asdict(self.settings),
            "model": self.task.module.state_dict(),
            "ema": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        write_state(self.state_file, state)
        write_tensors(self.folder / "weights.safetensors", self.average.state_dict())

    def load(self) -> None:
        """Take over the saved state."""
        state = _resumable(self.state_file, self.settings)
        try:
            self.task.module.load_state_dict(state["model"])
            self.average.load_state_dict(state["ema"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step = state["step"]
        except Exception as error:  # torch raises many kinds, and has much to say
            raise CheckpointError(f"{self.state_file} is of another network or optimiser; move it away to start afresh") from error


def check_resumable(folder: Path, settings: TrainSettings) -> None:
    """Raise `CheckpointError` if the folder holds a state from which these settings cannot go on, as far as they are known already."""
    if (file := folder / STATE).exists():
        _resumable(file, settings, mapped=True)


def _resumable(file: Path, settings: TrainSettings, *, mapped: bool = False) -> dict[str, Any]:
    """The saved state. What may differ from the run that saved it: how long to go on, and how often to save."""
    state = read_state(file, mapped=mapped)
    try:
        earlier = TrainSettings(**state["settings"])
        step = int(state["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} holds no state of a training; move it away to start afresh") from error
    mine, theirs = map(_by_name, (settings, earlier))
    if mapped:
        theirs = {name: value for name, value in theirs.items() if name in mine}
    changed = [f"{name}={value}" for name, value in theirs.items() if name not in EXTENDABLE and mine.get(name) != value]
    if changed:
        raise CheckpointError(f"{file} was trained with {', '.join(changed)}; say the same, or choose another folder with --out")
    if step > settings.steps:
        raise CheckpointError(f"{file} has {step} steps behind it, which steps={settings.steps} cannot undo")
    return state


def _by_name(settings: TrainSettings) -> dict[str, Any]:
    named = asdict(settings)
    return named | named.pop("beside")
