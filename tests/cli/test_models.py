"""`ditkit models`: alone it lists, with a name it describes, and it converts."""

import pytest


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ([], ("models.listing", ())),
        (["dit-emoji"], ("models.describe", ("dit-emoji",))),
        (["convert", "a.pt", "b.safetensors"], ("models.convert", ("a.pt", "b.safetensors", "ditkit", None, None))),
        (["convert", "a", "b", "--layout", "diffusers"], ("models.convert", ("a", "b", "diffusers", None, None))),
    ],
)
def test_each_form_asks_its_task(ditkit_command, asked, words: list[str], call: tuple):
    result = ditkit_command("models", *words)
    assert result.exit_code == 0, result.stderr
    assert asked.calls == [call]


@pytest.mark.parametrize("words", [["--json"], ["--json", "dit-emoji"], ["dit-emoji", "--json"], ["--json", "convert", "a", "b"]])
def test_json_may_stand_before_or_after_the_name(ditkit_command, words: list[str]):
    assert ditkit_command("models", *words).stdout.startswith("{")


def test_an_unknown_layout_is_refused(ditkit_command, asked):
    result = ditkit_command("models", "convert", "a", "b", "--layout", "diffuser")
    assert result.exit_code == 2 and "'diffuser' is not one of 'ditkit', 'diffusers'" in result.stderr
    assert asked.calls == []
