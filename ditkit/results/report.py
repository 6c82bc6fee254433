"""What a task found out, for people and for programs; `ditkit.cli.console` prints it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True)
class Report:
    """One result: named `facts`, at most one table (`columns` and `rows`), the `files` written and `notes` worth a line.

    `data` is for programs only: `--json` prints it beside the rest, and anything JSON can hold may stand in it.
    """

    title: str
    facts: dict[str, Cell] = field(default_factory=dict)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    files: Sequence[Path] = ()
    notes: Sequence[str] = ()
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; a row becomes an object with the columns as keys."""
        return {
            "title": self.title,
            "facts": self.facts,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "files": [str(path) for path in self.files],
            "notes": list(self.notes),
            "data": self.data,
        }
