"""What the tabs that ask for runs have in common: the command lines that a form amounts to, and putting them into the queue."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ditkit.errors import DitkitError
from ditkit.ui.asked import Asked
from ditkit.ui.folders import Served
from ditkit.ui.queue import Queue


@dataclass(frozen=True)
class Asking(ABC):
    """A tab whose form asks for runs of one command."""

    queue: Queue
    served: Served

    @abstractmethod
    def asks(self, *values: Any) -> Sequence[Asked]:
        """The runs that the form's values ask for; raises `DitkitError` for values that make none."""

    def show_line(self, *values: Any) -> str:
        """Their command lines, or why there are none."""
        try:
            return "\n".join(each.line(self.queue.root) for each in self.asks(*values))
        except DitkitError as error:
            return f"# {error}"

    def run(self, clicks: int | None, *values: Any) -> str:
        """Put them into the queue, and say so."""
        if not clicks:
            return ""
        try:
            numbers = [self.queue.add(each).number for each in self.asks(*values)]
        except DitkitError as error:
            return str(error)
        return f"run{'s' * (len(numbers) > 1)} {' and '.join(map(str, numbers))} {'are' if len(numbers) > 1 else 'is'} in the queue"
