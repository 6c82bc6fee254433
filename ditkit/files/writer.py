"""Files written beside the work that makes what is in them."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

BEHIND = 32


class Writer:
    """Writes on one thread, in the order asked for, and never further behind than so many files: who makes them faster waits.

    What goes wrong in a write is raised by the next `put`, or on leaving, and nothing that was asked for after it is written. On leaving
    everything is written; of what is asked for before an interruption, too.
    """

    def __init__(self, behind: int = BEHIND) -> None:
        self._thread = ThreadPoolExecutor(1, "ditkit-writer")
        self._behind = behind
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def put(self, write: Callable[[], object]) -> None:
        """Have `write` called, some time; raises what an earlier one raised."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._behind):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, write))

    def _write(self, write: Callable[[], object]) -> None:
        if self._failed:
            return
        self._failed = True
        write()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.shutdown()
        if error is None:
            for each in self._waiting:
                each.result()
