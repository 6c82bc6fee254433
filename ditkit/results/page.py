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

PNG = b"\x89PNG\r\n\x1a\n"
PIXELATED_BELOW = 128  # pictures smaller than this are enlarged with hard edges: their pixels are the result


class Measured(NamedTuple):
    """A number with its uncertainty, shown as "value ± spread"."""

    value: float
    spread: float


@dataclass(frozen=True)
class Table:
    """Columns of numbers are aligned right. `best` says of a column whether "low" or "high" is good, and its best cells stand out.

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
<style>{STYLE}</style>
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
    head = "".join(f"<th{_classes(number=right[index])}>{escape(column)}</th>" for index, column in enumerate(table.columns))
    body = ""
    for place, row in enumerate(table.rows):
        assert len(row) == len(table.columns), row
        compared = place in table.reference
        cells = "".join(
            f"<td{_classes(number=right[index], best=not compared and _number(cell) is not None and _number(cell) == best[index])}>"
            f"{escape(_text(cell))}</td>"
            for index, cell in enumerate(row)
        )
        body += f"<tr{_classes(reference=compared)}>{cells}</tr>\n"
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _best(table: Table, index: int) -> float | None:
    good = table.best.get(table.columns[index])
    found = [_number(row[index]) for place, row in enumerate(table.rows) if place not in table.reference]
    numbers = [number for number in found if number is not None and number == number]
    return None if good is None or not numbers else (min if good == "low" else max)(numbers)


def _pictures(pictures: Pictures) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in pictures.columns)
    body = ""
    for label, row in pictures.rows:
        assert len(row) == len(pictures.columns), label
        cells = "".join(f"<td>{_image(png, f'{label}, {column}')}</td>" for png, column in zip(row, pictures.columns, strict=True))
        body += f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>\n'
    return f'<div class="wide"><table class="pictures"><thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


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


STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --soft: #5b6b7b; --line: #dde4ea; --paper: #ffffff; --wash: #f4f7f9;
  --accent: #1f4e79; --best: #dff0e2; --best-ink: #14532d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --soft: #9aa9b8; --line: #2c3843; --paper: #12181e; --wash: #1a222a;
  --accent: #8bbbe6; --best: #173824; --best-ink: #a7e3b8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .75rem; }
h2 { font-size: 1.2rem; margin: 3rem 0 .9rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: 0 0 .75rem; }
.intro { max-width: 46rem; font-size: 1.05rem; }
.note, figcaption, footer { color: var(--soft); font-size: .875rem; max-width: 46rem; margin-top: .75rem; white-space: pre-line; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; margin-top: 1rem; font-size: .9rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; min-width: 60%; }
th, td { padding: .4rem .7rem; text-align: left; vertical-align: middle; white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--soft); vertical-align: bottom; white-space: normal; }
tbody tr { border-bottom: 1px solid var(--line); }
tbody tr:hover { background: var(--wash); }
.number { text-align: right; }
.best { background: var(--best); color: var(--best-ink); font-weight: 650; }
.reference { color: var(--soft); font-style: italic; }
figure { margin: 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.sheet { background: #ffffff; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; }
.pictures { min-width: 0; }
.pictures th, .pictures td { padding: .2rem; text-align: center; font-weight: 500; color: var(--soft); font-size: .8rem; border: 0; }
.pictures tbody th { text-align: right; padding-right: .8rem; color: var(--ink); font-size: .875rem; }
.pictures tbody tr, .pictures tbody tr:hover { border: 0; background: none; }
.pictures img { display: block; width: 6.5rem; height: auto; border-radius: .3rem; }
.pixelated { image-rendering: pixelated; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; margin: 0; font-size: .925rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: .5rem; padding: .85rem 1rem; overflow-x: auto; margin: 0;
  font: .875rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { border-top: 1px solid var(--line); margin-top: 3.5rem; padding-top: 1rem; max-width: none; }
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } main { padding-top: 1.5rem; } }
@media print { section { break-inside: avoid; } nav { display: none; } }
"""
