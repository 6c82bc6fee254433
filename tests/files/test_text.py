"""Text files of every maker say the same, and what is no text is refused in one line."""

import codecs
import json
from pathlib import Path

import pytest

from ditkit.errors import DataError
from ditkit.files.atomic import read_json
from ditkit.files.text import lines_of, read_text

LINES = ["a café", "line\u2028separator", "next\x85line", "form\x0cfeed", "tab\x0bbed", "paragraph\u2029end", "file\x1cseparator"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_only_line_ends_part_lines_in_every_encoding(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "a.txt").write_bytes(end.join(LINES).encode(encoding))
    assert lines_of(read_text(tmp_path / "a.txt", "text", DataError)) == LINES


@pytest.mark.parametrize(("mark", "encoding"), [(codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF16_LE, "utf-16-le")])
def test_a_byte_order_mark_says_the_order_and_is_dropped(tmp_path: Path, mark: bytes, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes(mark + json.dumps({"prompt": "é"}, ensure_ascii=False).encode(encoding))
    assert read_json(tmp_path / "a.json", "layout", DataError) == {"prompt": "é"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("café".encode("latin-1"), "is not text in UTF-8: byte 3 cannot be read; save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"a", "is not text in UTF-16: byte 2 cannot be read; save it as UTF-8"),
        ("a cat".encode("utf-16-le"), "is no text, or text in UTF-16 that does not say so: it holds NUL; save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_one_line_with_a_way_out(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_text(tmp_path / "a.txt", "text", DataError)
    assert str(caught.value) == f"{tmp_path / 'a.txt'} {line}"
