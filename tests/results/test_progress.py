"""Progress in a log and on a terminal."""

import io
import json

from rich.console import Console

from ditkit.results.progress import JsonProgress, NoProgress, PlainProgress, RichProgress, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end():
    log, clock = io.StringIO(), Clock()
    with PlainProgress(log, clock) as progress:
        progress.start(4, "sampling")
        for second in (4, 8, 12, 16):
            clock.now = second
            progress.advance(loss=0.5, phase="warm")
    assert log.getvalue() == (
        "sampling 3/4  0.25/s  0:04 left  loss 0.5  phase warm\nsampling 4/4  0.25/s  took 0:16  loss 0.5  phase warm\n"
    )


def test_a_program_gets_objects_a_few_times_a_second_and_every_note():
    log, clock = io.StringIO(), Clock()
    with JsonProgress(log, clock) as progress:
        progress.start(4, "sam\npling", done=1)
        for second in (0.1, 0.3, 0.31):
            clock.now = second
            progress.advance(loss=0.5)
        progress.note("two\nlines")
    assert [json.loads(line) for line in log.getvalue().splitlines()] == [
        *({"label": "sam pling", "done": done, "total": 4} for done in (1, 3, 4)),
        {"note": "two lines"},
    ]


def test_what_was_done_before_does_not_count_into_the_rate():
    log, clock = io.StringIO(), Clock()
    progress = PlainProgress(log, clock)
    progress.start(100, "training", done=90)
    clock.now = 10.0
    progress.advance(5)
    assert log.getvalue() == "training 95/100  0.5/s  0:10 left\n"


def test_values_are_read_only_when_they_are_shown():
    class Slow:
        def __float__(self) -> float:
            raise AssertionError("read")

    progress = PlainProgress(io.StringIO(), Clock())
    progress.start(2, "training")
    progress.advance(loss=Slow())


def test_a_terminal_shows_count_values_and_notes():
    screen = io.StringIO()
    with RichProgress(Console(file=screen, force_terminal=True, width=120, _environ={})) as progress:
        progress.start(2, "[sampling]")
        progress.advance(2, loss=0.25)
        progress.note("the [batch] was halved")
    assert all(text in screen.getvalue() for text in ("[sampling]", "2/2", "loss 0.25", "the [batch] was halved"))


def test_no_progress_is_silent(capsys):
    with NoProgress() as progress:
        progress.start(1, "x")
        progress.advance()
        progress.note("y")
    assert capsys.readouterr() == ("", "")


def test_durations_are_minutes_and_hours():
    assert [duration(seconds) for seconds in (0, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]
