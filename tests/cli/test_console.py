"""Tables for people: nothing is cut in a pipe, nothing is taken for markup."""

from collections import Counter
from pathlib import Path

from ditkit.cli.console import progress, show
from ditkit.results.progress import JsonProgress, NoProgress, PlainProgress
from ditkit.results.report import Report


def _printed(report: Report, capsys) -> list[str]:
    show(report)
    return capsys.readouterr().out.splitlines()


def test_numbers_are_aligned_at_the_right_and_nothing_is_a_dash(capsys):
    table = Report("models", columns=["name", "M"], rows=[["dit-emoji", 5.5], ["dit-xl-2-256", 675.0]])
    assert _printed(table, capsys) == ["models", "name            M", "dit-emoji     5.5", "dit-xl-2-256  675"]
    assert _printed(Report("models", columns=["name", "M"], rows=[["x", None]]), capsys)[-1] == "x     -"


def test_a_long_line_is_not_folded_in_a_pipe(capsys):
    note, path = "n" * 300, Path("p" * 300)
    assert _printed(Report("t", notes=[note], files=[path]), capsys) == ["t", note, f"wrote {path}"]


def test_a_terminal_too_narrow_for_a_word_folds_it_and_cuts_nothing(capsys, monkeypatch):
    monkeypatch.setattr("ditkit.cli.console.PIPE_WIDTH", 20)
    name, weights = "pixart-xl-2-512-x2", "PixArt-XL-2-512x512.pth"
    for report in (Report("t", columns=["name", "weights"], rows=[[name, weights]]), Report("t", facts={name: weights})):
        lines = _printed(report, capsys)[1:]
        assert max(map(len, lines)) <= 20 and not Counter(name + weights) - Counter("".join(lines))


def test_square_brackets_are_only_square_brackets(capsys):
    assert _printed(Report("[bold]t", facts={"[red]": "[/]"}), capsys) == ["[bold]t", "  [red]  [/]"]


def test_progress_is_plain_where_there_is_no_terminal_objects_for_a_program_and_silent_in_other_processes(monkeypatch):
    assert isinstance(progress(), PlainProgress)
    monkeypatch.setenv("DITKIT_PROGRESS", "json")
    assert isinstance(progress(), JsonProgress)
    monkeypatch.setenv("RANK", "3")
    assert isinstance(progress(), NoProgress)
