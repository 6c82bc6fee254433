"""`ditkit plan`: each form asks its task."""

import pytest


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["show", "a.json"], ("plan.show", ("a.json", None))),
        (["show", "a.json", "--png", "a.png"], ("plan.show", ("a.json", "a.png"))),
        (["diff", "a.json", "b.json"], ("plan.diff", ("a.json", "b.json"))),
        (["import", "r.pt", "--out", "a.json"], ("plan.import_plan", ("r.pt", "a.json", None, None, None))),
    ],
)
def test_each_form_asks_its_task(ditkit_command, asked, words: list[str], call: tuple):
    result = ditkit_command("plan", *words)
    assert result.exit_code == 0, result.stderr
    assert asked.calls == [call]


def test_an_import_needs_to_know_where_to(ditkit_command, asked):
    result = ditkit_command("plan", "import", "r.pt")
    assert result.exit_code == 2 and "Missing option '--out'" in result.stderr
    assert asked.calls == []
