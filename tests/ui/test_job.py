"""What a run's process says becomes where the job stands."""

from dataclasses import replace
from pathlib import Path

import pytest

from ditkit.ui.asked import Asked
from ditkit.ui.job import Job

JOB = Job(1, Asked("sample", "m", ()), Path("runs/m"), state="running")


def heard(*lines: str) -> Job:
    job = JOB
    for line in lines:
        job = job.heard(f"{line}\n")
    return job


def test_counts_notes_and_errors_are_told_apart_from_what_libraries_say():
    job = heard('{"label": "sampling", "done": 3, "total": 9}', '{"note": "a note"}', "ditkit: no class named 'x'", "Some warning", "")
    assert (job.label, job.done, job.total) == ("sampling", 3, 9)
    assert job.notes == ("a note", "no class named 'x'") and job.stray == ("Some warning",)


def test_where_it_stands_in_words():
    counted = heard('{"label": "sampling", "done": 0, "total": 4}')
    assert [JOB.in_words(), counted.in_words()] == ["starting", "sampling 0 of 4"]
    assert replace(counted, done=2, began=counted.began - 10).in_words() in ("sampling 2 of 4, 0:10 left", "sampling 2 of 4, 0:11 left")
    assert replace(counted, done=4).in_words() == "finishing" and replace(counted, state="done").in_words() == "done"


@pytest.mark.parametrize(
    "state, code, end, notes",
    [
        ("running", 0, "done", ("one was there",)),
        ("running", 2, "failed", ()),
        ("running", 1, "failed", ("ended with exit code 1", "Traceback")),
        ("stopping", 130, "stopped", ()),
        ("stopping", -2, "stopped", ()),
        ("stopping", 0, "done", ("one was there",)),
    ],
)
def test_how_it_ends(state, code, end, notes):
    job = replace(JOB, state=state, stray=("Traceback",)).ended(code, '{"notes": ["one was there"]}')
    assert (job.state, job.notes) == (end, notes)


def test_a_report_that_is_none_is_no_trouble():
    assert JOB.ended(0, "Killed").state == JOB.ended(0, "[]").state == "done"
