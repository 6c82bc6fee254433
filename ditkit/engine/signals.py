"""Signals that ask a process to end: obeyed at once, or when whoever is at work says that it is a good moment."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}


class Stopped(BaseException):
    """A signal asked the process to end, which exits with 128 and the signal's `number`. No `Exception`: nobody takes it for a failure."""

    def __init__(self, number: int, message: str = "") -> None:
        self.number = number
        word = WORDS[signal.Signals(number).name]
        super().__init__(f"{word}: {message}" if message else word)

    @property
    def code(self) -> int:
        return 128 + self.number


@contextlib.contextmanager
def obeyed() -> Iterator[None]:
    """Every such signal raises `Stopped`, wherever the process is, so that whatever is at work tidies up."""

    def stop(number: int) -> None:
        raise Stopped(number)

    with _handled(stop):
        yield


@contextlib.contextmanager
def asked() -> Iterator[Callable[[], int]]:
    """Every such signal waits until it is asked for: the number of the latest one, or 0."""
    latest = [0]

    def remember(number: int) -> None:
        latest[0] = number

    with _handled(remember):
        yield lambda: latest[0]


@contextlib.contextmanager
def _handled(handle: Callable[[int], None]) -> Iterator[None]:
    """A second signal ends the process at once. SIGHUP stays ignored under nohup."""

    def once(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        handle(number)

    numbers = [getattr(signal, name) for name in WORDS if hasattr(signal, name)]
    wanted = [number for number in numbers if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    earlier = {}
    with contextlib.suppress(ValueError):  # handlers can be set in the main thread only
        earlier = {number: signal.signal(number, once) for number in wanted}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
