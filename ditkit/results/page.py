"""A result as one HTML file that opens anywhere: styles and pictures inside, no scripts, nothing fetched, light or dark as one likes.

A page is plain data: a title, a few words and sections, which are tables, figures, pictures side by side, facts or commands.
"""

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import NamedTuple

from ditkit import __version__
from ditkit.files.atomic import write_atomically
from ditkit.results.report import Cell

STYLE = Path(__file__).with_name("page.css")
PNG = b"\x89PNG\r\n\x1a\n"
WIDTH = 125  # letters of a table's width that the page has room for, each column with its PADDING
PADDING = 3
PIXELATED_BELOW = 128  # pictures smaller than this are enlarged with hard edges: their pixels are the result


class Measured(NamedTuple):
    """A number with its uncertainty, shown as "value ± spread"."""

    value: float
    spread: float


@dataclass(frozen=True)
class Table:
    """Columns of numbers are aligned right. `best` says of a column whether "low" or "high" is good, and its best cells stand out.

    What is wider than the page is shown as several tables below each other, each beginning with the first column, so that nothing
    scrolls sideways; on a narrow screen every row becomes a list.

    Rows whose index is in `reference` are there to compare with: set back, and never best.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | Measured]]
    note: str = ""
    best: Mapping[str, str] = field(default_factory=dict)
    reference: Collection[int] = ()


@dataclass(frozen=True)
class Figure:
    title: str
    png: bytes
    caption: str = ""


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side: one labelled row for each way of making them, one column for each thing made."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[bytes]]]
    note: str = ""


@dataclass(frozen=True)
class Protocol:
    """How it was measured, fact by fact."""

    title: str
    facts: Mapping[str, Cell | Measured]
    note: str = ""


@dataclass(frozen=True)
class Code:
    """What to type to get the same."""

    title: str
    command: str
    note: str = ""


Section = Table | Figure | Pictures | Protocol | Code


@dataclass(frozen=True)
class Page:
    """`intro` and every note are plain text; an empty line begins a new paragraph."""

    title: str
    intro: str
    sections: Sequence[Section]


def write_page(page: Page, path: Path) -> None:
    """Write the page as one file; raises `OutputError` where it cannot be written."""
    write_atomically(path, lambda part: part.write_text(as_html(page), encoding="utf-8"))


def as_html(page: Page) -> str:
    """The page as the text of an HTML file."""
    links = "".join(f'<a href="#s{index}">{escape(section.title)}</a>' for index, section in enumerate(page.sections))
    sections = "\n".join(
        f'<section id="s{index}">\n<h2>{escape(section.title)}</h2>\n{_body(section)}\n</section>'
        for index, section in enumerate(page.sections)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(page.title)}</title>
<style>{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header>
<h1>{escape(page.title)}</h1>
<div class="intro">{_paragraphs(page.intro)}</div>
<nav>{links}</nav>
</header>
{sections}
<footer>Written by ditkit {escape(__version__)}. Everything on this page is in this file.</footer>
</main>
</body>
</html>
"""


def _body(section: Section) -> str:
    match section:
        case Table():
            return _table(section) + _paragraphs(section.note, "note")
        case Figure():
            caption = f"<figcaption>{escape(section.caption)}</figcaption>" if section.caption else ""
            return f'<figure><div class="sheet">{_image(section.png, section.title)}</div>{caption}</figure>'
        case Pictures():
            return _pictures(section) + _paragraphs(section.note, "note")
        case Protocol():
            facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(_text(value))}</dd>" for name, value in section.facts.items())
            return f"<dl>{facts}</dl>" + _paragraphs(section.note, "note")
        case Code():
            return f"<pre><code>{escape(section.command)}</code></pre>" + _paragraphs(section.note, "note")


def _table(table: Table) -> str:
    assert set(table.best) <= set(table.columns) and set(table.best.values()) <= {"low", "high"}, table.best
    right = [all(_number(row[index]) is not None or row[index] is None for row in table.rows) for index in range(len(table.columns))]
    best = [_best(table, index) for index in range(len(table.columns))]
    html = ""
    for group in column_groups(table):
        head = "".join(f"<th{_classes(number=right[index])}>{escape(table.columns[index])}</th>" for index in group)
        body = ""
        for place, row in enumerate(table.rows):
            assert len(row) == len(table.columns), row
            compared = place in table.reference
            cells = ""
            for index in group:
                number = _number(row[index])
                classes = _classes(number=right[index], best=not compared and number is not None and number == best[index])
                cells += f'<td{classes} data-column="{escape(table.columns[index])}">{escape(_text(row[index]))}</td>'
            body += f"<tr{_classes(reference=compared)}>{cells}</tr>\n"
        html += f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"
    return html


def column_groups(table: Table) -> list[list[int]]:
    """The table's columns, by index, in as few tables as fit the page; each begins with the first column, which names the rows."""
    needed = [
        max(map(len, [*(_text(row[index]) for row in table.rows), *column.split(), ""])) + PADDING  # headers break between words
        for index, column in enumerate(table.columns)
    ]
    needed[0] = min(needed[0], WIDTH // 3)  # and names of rows do
    groups: list[list[int]] = []
    for index in range(1, len(table.columns)):
        if not groups or needed[0] + needed[index] + sum(needed[other] for other in groups[-1][1:]) > WIDTH:
            groups.append([0])
        groups[-1].append(index)
    return groups or [[0]]


def _best(table: Table, index: int) -> float | None:
    good = table.best.get(table.columns[index])
    found = [_number(row[index]) for place, row in enumerate(table.rows) if place not in table.reference]
    numbers = [number for number in found if number is not None and number == number]
    return None if good is None or not numbers else (min if good == "low" else max)(numbers)


def _pictures(pictures: Pictures) -> str:
    html = ""
    for label, row in pictures.rows:
        assert len(row) == len(pictures.columns), label
        cells = "".join(
            f"<figure>{_image(png, f'{label}, {column}')}<figcaption>{escape(column)}</figcaption></figure>"
            for png, column in zip(row, pictures.columns, strict=True)
        )
        html += f'<h3>{escape(label)}</h3>\n<div class="pictures">{cells}</div>\n'
    return html


def _image(png: bytes, alt: str) -> str:
    assert png.startswith(PNG), alt
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")  # the header chunk comes first
    classes = _classes(pixelated=width < PIXELATED_BELOW)
    return f'<img{classes} width="{width}" height="{height}" alt="{escape(alt)}" src="data:image/png;base64,{b64encode(png).decode()}">'


def _paragraphs(text: str, kind: str = "") -> str:
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    return "".join(f"<p{_classes(**{kind: True} if kind else {})}>{escape(part)}</p>" for part in parts)


def _classes(**there: bool) -> str:
    names = " ".join(name for name, value in there.items() if value)
    return f' class="{names}"' if names else ""


def _number(cell: Cell | Measured) -> float | None:
    match cell:
        case Measured():
            return cell.value
        case int() | float():
            return cell
    return None


def _text(cell: Cell | Measured) -> str:
    match cell:
        case None:
            return "–"
        case Measured():
            return f"{cell.value:.4g} ± {cell.spread:.2g}"
        case float():
            return f"{cell:.4g}"
    return str(cell)
