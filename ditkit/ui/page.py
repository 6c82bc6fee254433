"""The page: four tabs above one queue. It is put together anew each time that a browser asks for it."""

from pathlib import Path
from typing import Any, Protocol

from dash import Dash, Input, Output, html
from dash.development.base_component import Component

from ditkit.results import page as written
from ditkit.ui.boxes import Boxes
from ditkit.ui.folders import Served
from ditkit.ui.form import radio
from ditkit.ui.pictures import Pictures
from ditkit.ui.queue import Queue
from ditkit.ui.runs import Runs
from ditkit.ui.shapes import Shapes
from ditkit.ui.waiting import Waiting

STYLE = Path(__file__).with_name("page.css")
INDEX = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{%title%}</title>
{%css%}
<style>STYLE</style>
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""


class Tab(Protocol):
    """`layout` is what it shows, asked for with each page; `connect` tells the program what its parts do."""

    name: str
    label: str

    def layout(self) -> Component: ...

    def connect(self, app: Dash) -> None: ...


def application(queue: Queue, served: Served) -> Dash:
    """The program behind the page; everything that a browser needs comes from this machine."""
    app = Dash(
        "ditkit.ui",
        title="ditkit",
        update_title=None,  # pyright: ignore[reportArgumentType] (which leaves the title alone)
        serve_locally=True,
        include_assets_files=False,
        suppress_callback_exceptions=True,  # rows and shapes come and go
        index_string=INDEX.replace("STYLE", written.STYLE.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")),
    )
    tabs: list[Tab] = [Pictures(queue, served), Boxes(queue, served), Shapes(queue, served), Runs(queue, served)]
    waiting = Waiting(queue)
    app.layout = lambda: _layout(tabs, waiting)
    for part in (*tabs, waiting):
        part.connect(app)
    app.callback(*[Output(f"tab-{tab.name}", "hidden") for tab in tabs], Input("tab", "value"))(lambda label: _hidden(tabs, label))
    return app


def _layout(tabs: list[Tab], waiting: Waiting) -> Component:
    first = tabs[0].label
    chooser = html.Nav(radio("tab", [tab.label for tab in tabs], first), className="tabs", **{"aria-label": "tabs"})
    shown = [html.Div(tab.layout(), id=f"tab-{tab.name}", hidden=tab.label != first) for tab in tabs]
    return html.Main([html.Header([html.H1("ditkit"), chooser]), *shown, waiting.layout()])


def _hidden(tabs: list[Tab], label: str) -> list[Any]:
    return [tab.label != label for tab in tabs]
