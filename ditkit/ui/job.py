"""A run that was asked for on the page: where it stands, as a value that the queue replaces by the next."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ditkit.results.progress import duration
from ditkit.ui.asked import Asked

State = Literal["waiting", "running", "stopping", "done", "stopped", "failed"]
SAID = "ditkit: "  # how the one line of an error begins
USER_ERROR = 2  # the exit code of what that line says all about
MOST_NOTES, MOST_STRAY = 20, 6


@dataclass(frozen=True)
class Job:
    """`label`, `done` and `total` are of what is counted just now, since `began` (seconds); `notes` are lines worth reading,
    `stray` what libraries said last.
    """

    number: int
    asked: Asked
    folder: Path
    state: State = "waiting"
    label: str = ""
    done: int = 0
    total: int = 0
    began: float = 0.0
    notes: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "stopped", "failed")

    def heard(self, line: str) -> "Job":
        """The job after a line of its process's stderr: a count, a note or an error, or what a library says, kept in case it fails."""
        said = _object(line)
        if "total" in said:
            began = self.began if said["label"] == self.label and said["done"] else time.monotonic()
            return replace(self, label=said["label"], done=said["done"], total=said["total"], began=began)
        if "note" in said:
            return self.noted([said["note"]])
        text = line.strip()
        if text.startswith(SAID):
            return self if self.state == "stopping" else self.noted([text.removeprefix(SAID)])
        return replace(self, stray=(*self.stray, text)[-MOST_STRAY:]) if text else self

    def noted(self, lines: Sequence[str]) -> "Job":
        return replace(self, notes=(*self.notes, *lines)[-MOST_NOTES:])

    def ended(self, code: int, report: str) -> "Job":
        """The job after its process ended with this exit code and this on stdout."""
        if code == 0:
            return replace(self.noted(_object(report).get("notes", ())), state="done")
        if self.state == "stopping":
            return replace(self, state="stopped")
        return replace(self if code == USER_ERROR else self.noted([f"ended with exit code {code}", *self.stray]), state="failed")

    def in_words(self) -> str:
        """Where it stands: "sampling 40 of 320, 0:12 left"."""
        if self.state != "running":
            return self.state
        if not self.total:
            return "starting"
        if self.done == self.total:
            return "finishing"
        seconds = time.monotonic() - self.began
        left = f", {duration((self.total - self.done) * seconds / self.done)} left" if 0 < self.done < self.total else ""
        return f"{self.label} {self.done} of {self.total}{left}"


def _object(text: str) -> dict[str, Any]:
    """The object that a text is in JSON; of anything else an empty one."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
