"""What a terminal is shown of words from elsewhere."""

import pytest

from ditkit.results.printable import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;mine\x07", "\\x1b]0;mine\\x07"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("a\u202eb\u2066c\u2028d", "a\\u202eb\\u2066c\\u2028d"),
        ("caf\udce9 \ud800", "caf\\xe9 \\ud800"),
        ("café 日本 👩\u200d🚒 \\x1b", "café 日本 👩\u200d🚒 \\x1b"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out_and_letters_stay(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_become_one() -> None:
    assert one_line("a\r\n  b\tc\x0bd\n") == "a b c\\x0bd"
