"""Drawn boxes as they are shown: on a canvas to draw on, and in a row of fields each, which say the same in words."""

from html import escape
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from ditkit.errors import RequestError
from ditkit.grounding.draw import COLOURS
from ditkit.ui.drawn import Box, Boxes, in_words, sides


def canvas(boxes: Boxes) -> go.Figure:
    """A figure on which rectangles are drawn, moved and erased; every box in its phrase's colour, its label as plain text."""
    phrases = list(dict.fromkeys(box["label"] for box in boxes))
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="none", hoverinfo="skip"))
    for box in boxes:
        left, top, right, bottom = box["edges"]
        colour = COLOURS[phrases.index(box["label"]) % len(COLOURS)]
        figure.add_shape(
            type="rect",
            x0=left,
            y0=top,
            x1=right,
            y1=bottom,
            name=str(box["id"]),
            editable=True,
            line={"color": colour, "width": 3},
            fillcolor=f"{colour}22",
            label={"text": escape(box["label"], quote=False), "textposition": "top left", "font": {"size": 16}},
        )
    axis: dict[str, Any] = {
        "fixedrange": True,
        "dtick": 0.25,
        "showticklabels": False,
        "zeroline": False,
        "gridcolor": "rgba(128,128,128,.35)",
    }
    figure.update_layout(
        xaxis={**axis, "range": [0, 1]},
        yaxis={**axis, "range": [1, 0]},
        dragmode="drawrect",
        margin={"l": 2, "r": 2, "t": 2, "b": 2},
        newshape={"line": {"color": COLOURS[len(phrases) % len(COLOURS)], "width": 3}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "rgb(128,128,128)", "activecolor": COLOURS[1]},
        activeshape={"fillcolor": "rgba(128,128,128,.45)", "opacity": 1},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(128,128,128,.08)",
        uirevision=None,
    )
    return figure


def aspect(size: str | None) -> str:
    """The shape of the canvas, as CSS has it: that of a size like "96x128"; square while it says nothing, or not yet all."""
    try:
        height, width = sides(size)
        return f"{width} / {height}" if height and width else "1"
    except RequestError:
        return "1"


def colour_of(boxes: Boxes, box: Box) -> str:
    return COLOURS[list(dict.fromkeys(other["label"] for other in boxes)).index(box["label"]) % len(COLOURS)]


def row(boxes: Boxes, box: Box) -> Component:
    """The fields of a box; what is typed counts when the field is left, or at Enter."""
    number, name = box["id"], box["label"] or f"box {box['id']}"

    def typed(kind: str, value: str, label: str, placeholder: str) -> Component:
        control = dcc.Input(
            id={"boxes": kind, "box": number}, type="text", value=value, debounce=True, placeholder=placeholder, autoComplete="off"
        )
        return html.Label([html.Span(label, className="hidden"), control], className=kind)

    return html.Div(
        [
            html.Span(id={"boxes": "swatch", "box": number}, className="swatch", style={"background": colour_of(boxes, box)}),
            typed("label", box["label"], f"what {name} holds", "what it holds"),
            typed("edges", in_words(box["edges"]), f"left, top, right, bottom of {name}", "left, top, right, bottom"),
            html.Button("Remove", id={"boxes": "remove", "box": number}, type="button", title=f"remove {name}"),
        ],
        className="box",
    )
