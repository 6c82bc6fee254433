"""Runs one after another, each in a process of its own, whoever looks on: a page that is closed stops nothing."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ditkit.errors import RequestError
from ditkit.ui.asked import Asked
from ditkit.ui.helper import READY, Helper
from ditkit.ui.job import Job

MOST_WAITING = 20
KEPT = 20  # jobs that are over
SECONDS_TO_END = 10.0  # that a run is given before it is killed


class Queue:
    """The jobs of a server, in order. Threads may ask at any time; every answer is a value that changes no more."""

    def __init__(self, root: Path, command: tuple[str, ...] = READY) -> None:
        self.root, self.command = root, command
        self._jobs: dict[int, Job] = {}
        self._numbers = 0
        self._changed = threading.Condition()  # whose lock a thread may take twice
        self._running: Helper | None = None
        self._ready: Helper | None = None  # waits for the next job
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="queue", daemon=True)

    def __enter__(self) -> Self:
        """Begin to run what is in it, until the end of the `with`."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def jobs(self) -> tuple[Job, ...]:
        """All that are remembered, the newest last."""
        with self._changed:
            return tuple(self._jobs.values())

    def latest(self, command: str) -> Job | None:
        """The newest job of a command that has begun, or the newest of all."""
        own = [job for job in self.jobs() if job.asked.command == command]
        return next((job for job in reversed(own) if job.state != "waiting"), own[-1] if own else None)

    def add(self, asked: Asked) -> Job:
        """Put a run into the queue; one that is there already is not run twice at once. Raises `RequestError` for too many."""
        with self._changed:
            going_on = [job for job in self._jobs.values() if not job.is_over]
            if (same := next((job for job in going_on if job.asked == asked), None)) is not None:
                return same
            if len(going_on) >= MOST_WAITING:
                raise RequestError(f"{len(going_on)} runs are waiting; let some of them end, or stop some")
            self._numbers += 1
            job = Job(self._numbers, asked, asked.folder(self.root))
            self._jobs[job.number] = job
            for number in [job.number for job in self._jobs.values() if job.is_over][:-KEPT]:
                del self._jobs[number]
            self._changed.notify_all()
            return job

    def stop(self, number: int) -> None:
        """Take a waiting run out of the queue, or interrupt the one that is going on; what it made stays, and is gone on with."""
        with self._changed:
            job = self._jobs.get(number)
            if job is None or job.is_over:
                return
            if job.state == "waiting":
                self._jobs[number] = replace(job, state="stopped")
                return
            self._jobs[number] = replace(job, state="stopping")
            if self._running is not None:
                self._running.interrupt()

    def close(self) -> None:
        """Interrupt what is going on, wait for it to tidy up, and run nothing more."""
        with self._changed:
            self._closed = True
            for job in self.jobs():
                self.stop(job.number)
            self._changed.notify_all()
        self._thread.join(SECONDS_TO_END)
        for helper in (self._running, self._ready):
            if helper is not None:
                helper.end()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._run(job)
            except (OSError, ValueError) as error:  # words that no process can be given; no process to be had
                self._update(job.number, lambda now, said=str(error): replace(now.noted([said]), state="failed"))
            finally:
                if self._running is not None:
                    self._running.end()
                self._running = None

    def _next(self) -> Job | None:
        """The next job, from now on running; None once the queue is closed. While there is none, a process is made ready for it."""
        with self._changed:
            if self._ready is None and not self._closed:
                with contextlib.suppress(OSError):  # the job that would have used it will say so
                    self._ready = Helper.started(self.command)
            while not self._closed:
                if (job := next((job for job in self._jobs.values() if job.state == "waiting"), None)) is not None:
                    self._jobs[job.number] = running = replace(job, state="running")
                    return running
                self._changed.wait()
        return None

    def _run(self, job: Job) -> None:
        words = (*job.asked.arguments(self.root), "--json")
        with self._changed:
            helper, self._ready = self._ready, None
            if helper is None or not helper.takes(words):
                helper = Helper.started(self.command)
                helper.takes(words)
            self._running = helper
            if self._jobs[job.number].state == "stopping":
                helper.interrupt()
        for line in helper.lines():
            self._update(job.number, lambda now, line=line: now.heard(line))
        code, report = helper.result()
        self._update(job.number, lambda now: now.ended(code, report))

    def _update(self, number: int, change: Callable[[Job], Job]) -> None:
        with self._changed:
            self._jobs[number] = change(self._jobs[number])
