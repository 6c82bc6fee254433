"""A page is one well-formed file that fetches nothing, runs nothing and shows text as it was written."""

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ditkit.errors import OutputError
from ditkit.results.page import Code, Figure, Measured, Page, Pictures, Protocol, Section, Table, as_html, column_groups, write_page

NASTY = "<script>alert('x')</script> & \"quoted\""
VOID = {"meta", "img"}


def png(width: int = 4, height: int = 3) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "red").save(file, format="png")
    return file.getvalue()


TABLE = Table(
    "Results",
    ["how", "cost", "error", "seconds"],
    [["uncached", 1.0, 0.0, None], ["router", 0.5, Measured(0.0123456, 0.002), 3], ["every 2", 0.6, Measured(0.05, 0.004), 2]],
    note="Lower is better.",
    best={"error": "low", "cost": "high", "seconds": "low"},
    reference=[0],
)
EVERY_KIND: list[Section] = [
    TABLE,
    Figure("Cost and error", png(), "What it costs."),
    Pictures("Side by side", ["cat", "dog"], [("uncached", [png(), png()]), ("router", [png(200, 100), png()])], "The same seeds."),
    Protocol("Protocol", {"solver": "ddim", "evaluations": 20, "weights": None}),
    Code("Again", "ditkit bench --model dit-emoji\nditkit eval runs/a", "Takes a minute."),
]


class Parsed(HTMLParser):
    """Every tag with its attributes and all text between tags; fails on a tag that is not closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def cells(section: Section) -> list[tuple[str, str]]:
    """The class and the text of every cell of the table's body."""
    html = as_html(Page("t", "", [section]))
    return [(match[1] or "", match[2]) for match in re.finditer(r'<td(?: class="([^"]*)")? data-column="[^"]*">([^<]*)</td>', html)]


def test_a_table_wider_than_the_page_becomes_several_that_name_the_same_rows() -> None:
    columns = ["", *(f"measure {index}" for index in range(9))]
    table = Table("Wide", columns, [[name, *(f"{index}.123 [{index}.001, {index}.456]" for index in range(9))] for name in ("one", "two")])
    groups = column_groups(table)
    assert len(groups) > 1 and all(group[0] == 0 for group in groups)
    assert [index for group in groups for index in group[1:]] == list(range(1, 10))
    assert [text for _, text in cells(table)].count("one") == len(groups)
    assert column_groups(TABLE) == [[0, 1, 2, 3]]


def test_every_kind_of_section_is_shown_and_the_page_is_well_formed() -> None:
    parsed = Parsed(as_html(Page("A bench", "First.\n\nSecond.", EVERY_KIND)))
    text = "".join(parsed.words)
    for words in [
        "A bench",
        "Results",
        "Lower is better.",
        "What it costs.",
        "dog",
        "evaluations",
        "ditkit eval runs/a",
        "Takes a minute.",
    ]:
        assert words in text
    assert sum(tag == "img" for tag, _ in parsed.tags) == 5
    anchors = {attributes["href"] for tag, attributes in parsed.tags if tag == "a"}
    assert anchors == {f"#{attributes['id']}" for tag, attributes in parsed.tags if tag == "section"}
    assert ("p", {}) in parsed.tags


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = as_html(Page("A bench", "", EVERY_KIND))
    parsed = Parsed(html)
    assert {"script", "link", "iframe", "object", "base"}.isdisjoint(tag for tag, _ in parsed.tags)
    for _, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith(("data:image/png;base64,", "#"))
    assert "url(" not in html and "@import" not in html and "://" not in html


def test_text_is_shown_as_it_was_written_wherever_it_stands() -> None:
    sections: list[Section] = [
        Table(NASTY, [NASTY], [[NASTY]], NASTY),
        Figure(NASTY, png(), NASTY),
        Pictures(NASTY, [NASTY], [(NASTY, [png()])], NASTY),
        Protocol(NASTY, {NASTY: NASTY}, NASTY),
        Code(NASTY, NASTY, NASTY),
    ]
    html = as_html(Page(NASTY, NASTY, sections))
    parsed = Parsed(html)
    assert "<script" not in html
    assert "".join(parsed.words).count(NASTY) == 3 + 2 * 5 + (3 + 1 + 3 + 3 + 2)  # page; headings and links; bodies
    assert [attributes["alt"] for tag, attributes in parsed.tags if tag == "img"] == [NASTY, f"{NASTY}, {NASTY}"]


def test_columns_of_numbers_are_aligned_and_the_best_stands_out_but_no_reference() -> None:
    assert cells(TABLE) == [
        *[("", "uncached"), ("number", "1"), ("number", "0"), ("number", "–")],
        *[("", "router"), ("number", "0.5"), ("number best", "0.01235 ± 0.002"), ("number", "3")],
        *[("", "every 2"), ("number best", "0.6"), ("number", "0.05 ± 0.004"), ("number best", "2")],
    ]


def test_what_could_not_be_measured_is_never_best() -> None:
    table = Table("t", ["how", "error"], [["a", float("nan")], ["b", 2.0], ["c", 2.0], ["d", None]], best={"error": "low"})
    assert [kind for kind, _ in cells(table)] == ["", "number", "", "number best", "", "number best", "", "number"]


def test_pictures_know_their_size_and_small_ones_keep_their_pixels() -> None:
    pictures = Pictures("p", ["small", "large"], [("row", [png(64, 32), png(256, 128)])])
    small, large = (attributes for tag, attributes in Parsed(as_html(Page("t", "", [pictures]))).tags if tag == "img")
    assert (small["width"], small["height"], small["class"]) == ("64", "32", "pixelated")
    assert (large["width"], large["height"], "class" in large) == ("256", "128", False)


def test_the_file_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "report.html"
    write_page(Page("First ä", "", []), path)
    assert "First ä" in path.read_text(encoding="utf-8")

    def full(self: Path, *args: object, **named: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match=r"cannot write .*report\.html: No space left on device"):
        write_page(Page("Second", "", []), path)
    assert "First ä" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
