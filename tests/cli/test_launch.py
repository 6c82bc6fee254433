"""What was typed, read from the context of a command: its signature is the only list of its options."""

from collections.abc import Callable

import pytest
from typer.testing import Result


@pytest.mark.parametrize("command", ["bench", "train-router"])
def test_a_first_word_with_an_equals_sign_is_an_option_and_no_model(ditkit_command: Callable[..., Result], asked, command: str) -> None:
    assert ditkit_command(command, "seed=3", "batch=2").exit_code == 0
    assert ditkit_command(command, "uvit-emoji", "seed=3").exit_code == 0
    (_, (first, _)), (_, (second, _)) = asked.calls
    assert (first.model, first.seed, first.batch) == ("dit-emoji", 3, 2)
    assert (second.model, second.seed) == ("uvit-emoji", 3)


def test_a_model_said_twice_is_named_twice(ditkit_command: Callable[..., Result], asked) -> None:
    result = ditkit_command("bench", "uvit-emoji", "model=dit-emoji")
    assert result.stderr == "ditkit: model is said twice: uvit-emoji and model=dit-emoji\n" and asked.calls == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("sample", "--weights", ""), "weights"),
        (("sample", "codec.path= "), "codec.path"),
        (("train", "--data", ""), "data.path"),
        (("train", "init="), "init"),
        (("sample", "--model", "pixart-emoji", "--prompts", ""), "prompt_file"),
        (("ground", "--boxes", ""), "boxes"),
        (("eval", "--data", "x", "a", ""), "targets"),
    ],
)
def test_an_option_that_names_nothing_is_not_taken_for_one_that_was_left_out(
    ditkit_command: Callable[..., Result], asked, words: tuple[str, ...], name: str
) -> None:
    """As where a variable of the shell is not set."""
    result = ditkit_command(*words)
    assert result.stderr == f"ditkit: {name} is empty; say which, or leave it out\n" and asked.calls == []
    assert ditkit_command("sample", "--model", "pixart-emoji", "--prompt", "", "--negative", "").exit_code == 0


@pytest.mark.parametrize("words", ["sample", "bench uvit-emoji", "eval --generate model=dit-emoji"])
def test_a_configuration_is_no_json(ditkit_command: Callable[..., Result], asked, words: str) -> None:
    result = ditkit_command(*words.split(), "--cfg", "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "ditkit: --cfg prints YAML; leave out --json\n")
    assert asked.calls == []
