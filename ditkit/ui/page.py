"""The page: four tabs above one queue. The tabs come after the rest, as soon as the models that they offer are loaded."""

from pathlib import Path

from dash import Dash, Input, Output, html
from dash.development.base_component import Component

from ditkit.results import page as written
from ditkit.ui.boxes import Boxes
from ditkit.ui.folders import Served
from ditkit.ui.form import radio, said
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


Tab = Pictures | Boxes | Shapes | Runs
"""`layout` is what it shows, asked for with each page; `connect` tells the program what its parts do."""


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
    shown, waiting = tabs(queue, served), Waiting(queue)
    app.layout = lambda: _layout(shown, waiting)
    for part in (*shown, waiting):
        part.connect(app)
    app.callback(Output("tabs", "children"), Input("tabs", "id"))(lambda _: panels(shown))
    app.callback(*[Output(f"tab-{tab.name}", "hidden") for tab in shown], Input("tab", "value"))(lambda label: _hidden(shown, label))
    return app


def tabs(queue: Queue, served: Served) -> list[Tab]:
    return [Pictures(queue, served), Boxes(queue, served), Shapes(queue, served), Runs(queue, served)]


def panels(tabs: list[Tab]) -> list[Component]:
    """What the tabs show, one of which is not hidden."""
    return [html.Div(tab.layout(), id=f"tab-{tab.name}", hidden=True) for tab in tabs]


def _layout(tabs: list[Tab], waiting: Waiting) -> Component:
    chooser = html.Nav(radio("tab", [tab.label for tab in tabs], tabs[0].label), className="tabs", **said("tabs"))
    loading = html.P("loading the models \u2026", className="note", role="status")
    return html.Main([html.Header([html.H1("ditkit"), chooser]), html.Div(loading, id="tabs"), waiting.layout()])


def _hidden(tabs: list[Tab], label: str) -> list[bool]:
    return [tab.label != label for tab in tabs]
