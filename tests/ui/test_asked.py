"""A form becomes the words of a command line, and the same words are the same run."""

import shlex
from pathlib import Path

import pytest

from ditkit.errors import RequestError
from ditkit.ui.asked import SPEEDS, asked, more_words

ROOT = Path("runs")


def test_what_is_left_empty_is_left_out_and_a_list_is_a_flag_for_each():
    run = asked("sample", "dit-emoji", {"--class": ["fox", "owl"], "--steps": " 4 ", "--seed": "", "--count": None, "--cache": False})
    assert run.words == ("--model", "dit-emoji", "--class", "fox", "--class", "owl", "--steps", "4")


def test_speeds_are_flags():
    lines = [asked("sample", "dit-emoji", flags).words[2:] for flags in SPEEDS.values()]
    assert lines == [(), ("--cache",), ("--cache", "--budget", "0.5")]


def test_a_shell_reads_the_line_as_the_words_that_are_run():
    run = asked("ground", "pixart-emoji", {"--prompt": 'it\'s <b>$(rm -rf x)</b> "a" `b` \\ ;'}, ["rules.name=plain"])
    assert tuple(shlex.split(run.line(ROOT))) == ("ditkit", *run.arguments(ROOT))


def test_the_same_words_go_to_the_same_folder_and_others_to_another():
    first, again, other = (asked("sample", "dit-emoji", {"--steps": steps}) for steps in ("4", "4", "5"))
    assert first.folder(ROOT) == again.folder(ROOT) != other.folder(ROOT)
    assert asked("ground", "dit-emoji", {"--steps": "4"}).folder(ROOT) != first.folder(ROOT)


def test_no_name_leads_out_of_the_folder_of_runs():
    for model in ("../../evil", "/etc", "..", "a/b", "-x", ""):
        assert asked("sample", model, {}).folder(ROOT).parent == ROOT


def test_anything_else_is_read_as_a_shell_reads_it():
    assert more_words("--weights 'my file.pt' runtime=gpu") == ["--weights", "my file.pt", "runtime=gpu"] and more_words(None) == []
    with pytest.raises(RequestError, match="cannot read --lora 'a: no closing quotation"):
        more_words("--lora 'a")
