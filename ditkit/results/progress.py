"""How far a long task is: a bar on a terminal, a line now and then in a log, objects for a program, nothing in a notebook.

A task is handed a `Progress` and neither knows nor asks which one. Everything is shown on stderr.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, SupportsFloat, TextIO, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichBars

from ditkit.results.printable import one_line

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_OBJECTS = 0.2
SECONDS_BETWEEN_VALUES = 0.5  # reading a value may wait for the device

Value = SupportsFloat | str


@runtime_checkable
class Progress(Protocol):
    """Counts one thing after another: `start` what is counted, `advance` as it is done. Use as a context manager."""

    def start(self, total: int, label: str, done: int = 0) -> None:
        """Begin to count to `total`, of which `done` were there before (a resumed run)."""
        ...

    def advance(self, n: int = 1, **values: Value) -> None:
        """`n` more are done; `values` are shown beside the count and read only when they are."""
        ...

    def note(self, text: str) -> None:
        """Say something on a line of its own."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class NoProgress:
    """Shows nothing."""

    def start(self, total: int, label: str, done: int = 0) -> None: ...

    def advance(self, n: int = 1, **values: Value) -> None: ...

    def note(self, text: str) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class PlainProgress:
    """A line every ten seconds and one at the end: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.clock = stream or sys.stderr, clock
        self.total = self.done = self.first = 0
        self.label = ""
        self.began = self.shown = clock()

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.total, self.label, self.done, self.first = total, label, done, done
        self.began = self.shown = self.clock()

    def advance(self, n: int = 1, **values: Value) -> None:
        self.done += n
        now = self.clock()
        if now - self.shown >= SECONDS_BETWEEN_LINES or self.done == self.total:
            self.shown = now
            self._line(now - self.began, values)

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a log that is full, or that nobody reads any more, stops no work
            print(one_line(text), file=self.stream, flush=True)

    def _line(self, seconds: float, values: dict[str, Value]) -> None:
        rate = (self.done - self.first) / max(seconds, 1e-9)
        left = f"{duration((self.total - self.done) / rate)} left" if self.done < self.total and rate else f"took {duration(seconds)}"
        self.note("  ".join([f"{self.label} {self.done}/{self.total}", f"{rate:.3g}/s", left, *shown(values)]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class JsonProgress:
    """An object a line, for a program that shows it in its own way: `{"label", "done", "total"}` now and then, `{"note"}` at once."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.clock = stream or sys.stderr, clock
        self.total = self.done = 0
        self.label = ""
        self.shown = 0.0

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.total, self.label, self.done = total, label, done
        self._count()

    def advance(self, n: int = 1, **values: Value) -> None:
        self.done += n
        if self.clock() - self.shown >= SECONDS_BETWEEN_OBJECTS or self.done == self.total:
            self._count()

    def note(self, text: str) -> None:
        self._say({"note": one_line(text)})

    def _count(self) -> None:
        self.shown = self.clock()
        self._say({"label": one_line(self.label), "done": self.done, "total": self.total})

    def _say(self, what: dict[str, str | int]) -> None:
        with contextlib.suppress(OSError):  # whoever asked may have left; that stops no work
            print(json.dumps(what), file=self.stream, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class RichProgress:
    """A live bar: count, rate, elapsed and remaining time, and the latest values."""

    def __init__(self, console: Console) -> None:
        self.bars = RichBars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            console=console,
        )
        self.task = None
        self.read = 0.0

    def start(self, total: int, label: str, done: int = 0) -> None:
        self.task = self.bars.add_task(one_line(label), total=total, completed=done, rate="", values="")
        self.read = 0.0

    def advance(self, n: int = 1, **values: Value) -> None:
        assert self.task is not None, "advance before start"
        self.bars.advance(self.task, n)
        now = time.monotonic()
        task = self.bars.tasks[self.task]
        if now - self.read >= SECONDS_BETWEEN_VALUES or task.finished:
            self.read, speed = now, task.finished_speed or task.speed
            self.bars.update(self.task, rate=f"{speed:.3g}/s" if speed else "", values="  ".join(shown(values)))

    def note(self, text: str) -> None:
        self.bars.console.print(one_line(text), markup=False, highlight=False)

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bars.stop()


def shown(values: dict[str, Value]) -> list[str]:
    """Each value with its name: `loss 0.123`."""
    return [f"{name} {one_line(value) if isinstance(value, str) else format(float(value), '.4g')}" for name, value in values.items()]


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
