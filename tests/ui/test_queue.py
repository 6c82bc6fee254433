"""Runs go one after another in processes of their own, of which the queue only hears."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ditkit.errors import RequestError
from ditkit.ui.asked import Asked
from ditkit.ui.job import Job
from ditkit.ui.queue import MOST_WAITING, Queue

PRETENDER = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell takes it away from what it runs in the background
words = json.loads(sys.stdin.readline())
def say(**what): print(json.dumps(what), file=sys.stderr, flush=True)
say(label="sampling", done=1, total=2)
if "bad" in words: sys.exit(print("ditkit: no class named 'bad'", file=sys.stderr) or 2)
for _ in range(6000 if "long" in words else 0): time.sleep(0.01)  # a signal just before a sleep is heard only after it
print(json.dumps({"notes": words}))
"""


@contextmanager
def running(root: Path) -> Iterator[Queue]:
    with Queue(root, (sys.executable, "-S", "-c", PRETENDER)) as queue:
        yield queue


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def asked(word: str) -> Asked:
    return Asked("sample", "m", (word,))


def job(queue: Queue, number: int) -> Job:
    return next(job for job in queue.jobs() if job.number == number)


def test_runs_end_in_order_and_say_what_they_were_given(tmp_path):
    with running(tmp_path) as queue:
        numbers = [queue.add(asked(word)).number for word in ("a", "bad", "b")]
        until(lambda: all(job.is_over for job in queue.jobs()))
        states = [(job.number, job.state) for job in queue.jobs()]
    assert states == list(zip(numbers, ("done", "failed", "done"), strict=True))
    assert queue.jobs()[0].notes == ("sample", "a", "--out", str(asked("a").folder(tmp_path)), "--json")
    assert queue.jobs()[1].notes == ("no class named 'bad'",)


def test_one_runs_at_a_time_and_the_same_run_is_not_started_twice(tmp_path):
    with running(tmp_path) as queue:
        first, second, again = queue.add(asked("long")), queue.add(asked("a")), queue.add(asked("long"))
        until(lambda: job(queue, 1).done == 1)
        assert again.number == first.number and [job.state for job in queue.jobs()] == ["running", "waiting"]
        queue.stop(second.number)
        queue.stop(first.number)
        until(lambda: job(queue, 1).is_over)
        assert [job.state for job in queue.jobs()] == ["stopped", "stopped"]
        assert queue.add(asked("long")).number == 3  # what was stopped can be gone on with


def test_the_end_of_the_server_interrupts_what_is_going_on_and_runs_nothing_more(tmp_path):
    with running(tmp_path) as queue:
        queue.add(asked("long"))
        queue.add(asked("a"))
        until(lambda: job(queue, 1).done == 1)
    assert [job.state for job in queue.jobs()] == ["stopped", "stopped"]


def test_words_that_no_process_can_be_given_are_a_run_that_failed(tmp_path):
    with Queue(tmp_path, (str(tmp_path / "nothing"),)) as queue:
        queue.add(asked("a"))
        until(lambda: job(queue, 1).is_over)
    assert job(queue, 1).state == "failed" and "No such file" in job(queue, 1).notes[0]


def test_a_queue_has_an_end(tmp_path):
    queue = Queue(tmp_path)
    for number in range(MOST_WAITING):
        queue.add(asked(str(number)))
    with pytest.raises(RequestError, match="runs are waiting"):
        queue.add(asked("one more"))
