"""Files written beside the work: all of them, in order, within bounds; and what goes wrong is not lost."""

import threading
from pathlib import Path

import pytest

from ditkit.engine.signals import Stopped
from ditkit.errors import OutputError
from ditkit.files.atomic import write_atomically
from ditkit.files.writer import Writer


def test_everything_is_written_in_order_and_on_another_thread() -> None:
    written: list[int] = []
    threads: set[int] = set()
    with Writer() as writer:
        for number in range(100):
            writer.put(lambda number=number: (written.append(number), threads.add(threading.get_ident())))
    assert written == list(range(100))
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_who_is_too_far_ahead_waits() -> None:
    gate, written = threading.Event(), []
    with Writer(behind=2) as writer:
        writer.put(gate.wait)
        writer.put(lambda: written.append(1))
        opener = threading.Timer(0.05, gate.set)
        opener.start()
        writer.put(lambda: written.append(2))  # the third: one has to be done first
        assert gate.is_set()
    assert written == [1, 2]


def test_what_goes_wrong_is_raised_on_leaving_and_nothing_is_written_after_it() -> None:
    written: list[int] = []
    gate = threading.Event()

    def full() -> None:
        gate.wait()
        raise OutputError("cannot write it: no space left on device")

    with pytest.raises(OutputError, match="no space left"), Writer() as writer:
        writer.put(lambda: written.append(1))
        writer.put(full)
        writer.put(lambda: written.append(2))
        gate.set()
    assert written == [1]


def test_what_goes_wrong_is_raised_by_what_is_put_next() -> None:
    def broken() -> None:
        raise OutputError("cannot write it")

    with pytest.raises(OutputError, match="cannot write it"), Writer(behind=1) as writer:
        writer.put(broken)
        writer.put(lambda: None)
        raise AssertionError("the second one was taken")


def test_an_interruption_is_what_is_raised_and_what_was_asked_for_is_whole(tmp_path: Path) -> None:
    with pytest.raises(Stopped), Writer() as writer:
        for number in range(5):
            file = tmp_path / f"{number}.txt"
            writer.put(lambda file=file: write_atomically(file, lambda part: part.write_text("whole", encoding="utf-8")))
        raise Stopped(2)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{number}.txt" for number in range(5)]
