"""What people and programs see: results on stdout, everything else on stderr."""

import json
import os
import sys

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ditkit.results.printable import one_line
from ditkit.results.progress import JsonProgress, NoProgress, PlainProgress, Progress, RichProgress
from ditkit.results.report import Cell, Report

PIPE_WIDTH = 1000  # a pipe has no width: never fold or cut a line for it


def show(report: Report, as_json: bool = False) -> None:
    """Print the report on stdout; only the first of torchrun's processes does."""
    if not _is_first_process():
        return
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(Text(one_line(report.title), style="bold"))
        if report.facts:
            console.print(_facts(report.facts))
        if report.rows:
            console.print(_table(report))
        for line in [*report.notes, *(f"wrote {path}" for path in report.files)]:
            console.print(Text(one_line(line)), soft_wrap=True)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))  # rich pads every cell, the last one too


def progress() -> Progress:
    """A bar on a terminal, lines in a log, objects for a program that asks for them; one process of torchrun shows its own."""
    if not _is_first_process():
        return NoProgress()
    if os.environ.get("DITKIT_PROGRESS") == "json":
        return JsonProgress()
    console = Console(stderr=True)
    return RichProgress(console) if console.is_terminal else PlainProgress()


def _facts(facts: dict[str, Cell]) -> Table:
    table = Table.grid(Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2))  # a name is no name without its end
    for name, value in facts.items():
        table.add_row(Text(f"  {one_line(name)}", style="dim"), Text(_text(value)))
    return table


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(report.columns):
        numbers = all(isinstance(row[index], int | float) for row in report.rows)
        table.add_column(Text(one_line(column)), justify="right" if numbers else "left", overflow="fold")
    for row in report.rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    return table


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return "-"
        case float():
            return f"{cell:.4g}"
    return one_line(str(cell))


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
