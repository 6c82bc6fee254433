"""Pictures side by side, with what each shows written below, and said by a screen reader."""

from collections.abc import Sequence
from pathlib import Path

from dash import html
from dash.development.base_component import Component
from PIL import Image

from ditkit.results.page import PIXELATED_BELOW
from ditkit.ui.folders import Served
from ditkit.ui.job import Job

MOST = 100  # pictures that are shown of a run


def gallery(served: Served, paths: Sequence[Path], captions: Sequence[str]) -> Component:
    """The pictures of these files, each a link to itself."""
    figures = [
        html.Figure(
            [
                html.A(picture(served, path, caption), href=served.url(path), target="_blank"),
                html.Figcaption(caption),
            ]
        )
        for path, caption in zip(paths[:MOST], captions, strict=False)
    ]
    more = [html.P(f"{len(paths) - MOST} more are in {paths[0].parent}", className="note")] if len(paths) > MOST else []
    return html.Div([html.Div(figures, className="gallery"), *more])


def picture(served: Served, path: Path, words: str) -> Component:
    """A picture of a run; a small one is enlarged with hard edges, as on every page."""
    try:
        with Image.open(path) as image:
            small = image.width < PIXELATED_BELOW
    except OSError:  # damaged, which the browser shows
        small = False
    return html.Img(src=served.url(path), alt=words, className="pixelated" if small else "")


def heading(job: Job | None, empty: str = "") -> Component:
    """Which run is shown; how far one is that goes on stands in the queue."""
    if job is None:
        return html.P(empty, className="note")
    return html.Div([html.H2([html.Span(job.name), html.Span(f" · {job.state}", className="state")]), *notes(job)])


def notes(job: Job) -> list[Component]:
    """The lines that its process said; those of a run that failed stand out."""
    kind = "note error" if job.state == "failed" else "note"
    return [html.P(line, className=kind) for line in job.notes]
