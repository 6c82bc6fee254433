"""Every error that ditkit raises on purpose. The command line prints one as a single line and exits with code 2.

* DitkitError: something the user can fix
  * UnknownName: no model, solver, class ... of that name (names the nearest)
  * ConfigError: an option or override that cannot be
  * RequestError: a sampling request that cannot be carried out
  * CheckpointError: a file that is not the weights it should be
  * PlanMismatch: a cache plan that does not fit this model, solver or time grid
  * DataError: training or reference data that cannot be read
  * ScheduleError: a noise schedule or time grid that cannot be
  * OutputError: a folder or file that cannot be written
  * MissingDependency: a library, or a file of the system, that is not installed
  * ProcessLost: another process of torchrun's that is gone

Anything else that escapes is a bug, shown with its traceback and exit code 1, except what the system lacks: memory, room.
"""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from os.path import commonprefix


class DitkitError(Exception):
    """Something the user can fix; the message is one line that says how."""


class UnknownName(DitkitError):
    """A name that is in no list: `UnknownName("model", "dit-xl-3", SPECS)` suggests the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names, typed = sorted(known), name.lower()

        def distance(other: str) -> tuple[int, float, str]:
            """Whatever begins alike is near, and then whatever is alike."""
            begins_alike = len(commonprefix([typed, other.lower()]))  # noqa: RUF071 (letters, not folders)
            return -begins_alike, -SequenceMatcher(None, other.lower(), typed).ratio(), other

        near = get_close_matches(typed, {other.lower() for other in names}, n=max(1, len(names)), cutoff=0.5)
        nearest = min((other for other in names if other.lower() in near), key=distance, default=None)
        hint = f"did you mean '{nearest}'?" if nearest else f"known: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        super().__init__(f"no {kind} named '{name}'; {hint}")


class ConfigError(DitkitError):
    pass


class RequestError(DitkitError):
    pass


class CheckpointError(DitkitError):
    pass


class PlanMismatch(DitkitError):
    pass


class DataError(DitkitError):
    pass


class ScheduleError(DitkitError):
    pass


class OutputError(DitkitError):
    pass


class MissingDependency(DitkitError):
    pass


class ProcessLost(DitkitError):
    pass


LACKING = ("can't allocate memory", "not enough memory", "cannot allocate memory", "backend out of memory", "failed to map segment")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, an allocator or the system ran out of memory."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(words in said for words in LACKING)
