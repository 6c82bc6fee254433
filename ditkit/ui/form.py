"""What the tabs are made of: labelled fields, the command line to copy, and lines that are said."""

from collections.abc import Iterable, Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from ditkit.ui.asked import SPEEDS
from ditkit.ui.choices import Chosen

KEPT: dict[str, Any] = {"persistence": True, "persistence_type": "session"}  # what was typed outlives a reload


def said(words: str) -> dict[str, Any]:
    """What a screen reader says of a part that has no text of its own."""
    return {"aria-label": words}


def field(label: str, control: Component, note: str = "", wide: bool = False) -> Component:
    """A control with its label, which a screen reader says too, and a few words below."""
    below = [html.Small(note)] if note else []
    return html.Div([html.Label(label, htmlFor=getattr(control, "id", None)), control, *below], className="field wide" if wide else "field")


def text(name: str, placeholder: str = "", **more: Any) -> Component:
    """Numbers are typed as text too: the command line checks them, in its own words."""
    return dcc.Input(id=name, type="text", placeholder=placeholder, autoComplete="off", **(KEPT | more))


def number(name: str, placeholder: str = "", value: str = "") -> Component:
    return text(name, placeholder, value=value, inputMode="decimal")


def choice(name: str, options: Sequence[str], value: Any = None, **more: Any) -> Component:
    return dcc.Dropdown(id=name, options=list(options), value=value, **(KEPT | more))


def radio(name: str, options: Iterable[str], value: str) -> Component:
    return dcc.RadioItems(id=name, options=list(options), value=value, className="radio", **KEPT)


def ticks(name: str, options: Iterable[str], value: Sequence[str] = ()) -> Component:
    return dcc.Checklist(id=name, options=list(options), value=list(value), className="radio", **KEPT)


def size(tab: str, known: Chosen) -> Component:
    """Any size can be typed; those that the model was trained on are suggested."""
    typed = text(f"{tab}-size", known.shapes[0], list=f"{tab}-shapes")
    return html.Div([field("Height x width", typed), html.Datalist(shapes(known), id=f"{tab}-shapes")])


def shapes(known: Chosen) -> list[Component]:
    return [html.Option(value=shape) for shape in known.shapes]


def more(tab: str) -> Component:
    typed = text(f"{tab}-more", "--weights FILE runtime.threads=2")
    return field("Anything else", typed, "as it is typed after the command", wide=True)


def speed(name: str) -> Component:
    return field("Speed", radio(name, SPEEDS, "uncached"), "forecasts save network calls; see the command line", wide=True)


def command(tab: str, button: str) -> Component:
    """The button that runs what the form asks for, and the command line that makes the same run."""
    return html.Div(
        [
            html.Div(
                [
                    html.Button(button, id=f"{tab}-run", className="run"),
                    html.Span(id=f"{tab}-said", className="said", role="status"),
                ],
                className="act",
            ),
            html.Div(
                [
                    html.Pre(html.Code(id=f"{tab}-line"), tabIndex="0", **said("the command line that makes the same run")),
                    dcc.Clipboard(target_id=f"{tab}-line", title="copy the command line", className="copy"),
                ],
                className="line",
            ),
        ],
        className="command",
    )


def upload(name: str, words: str, largest: int) -> Component:
    """A button that takes a file of so many bytes at most, which it says; files may be dropped on it too."""
    button = html.Button([words, html.Small(f" up to {largest / 2**20:.0f} MiB")], type="button")
    return dcc.Upload(button, id=name, className="upload", className_active="upload active")
