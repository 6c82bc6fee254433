"""The tab that draws things in boxes: a canvas to draw on, a row for each box, and plain pictures beside grounded ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from ditkit.config.schema import GroundConfig
from ditkit.errors import DitkitError
from ditkit.grounding.layout_file import as_data
from ditkit.ui import choices, drawn, form, uploads
from ditkit.ui.asked import Asked
from ditkit.ui.asking import Asking
from ditkit.ui.box_runs import BESIDE, HOW, PLAIN, bare, wanted
from ditkit.ui.canvas import aspect, canvas, colour_of, row
from ditkit.ui.drawn import Boxes as Drawn
from ditkit.ui.folders import captions, manifest_of, pictures_in
from ditkit.ui.gallery import gallery, heading
from ditkit.ui.job import Job

FIELDS = ("model", "prompt", "size", "count", "steps", "guidance", "seed", "how", "more")
BUTTONS: Any = {"displaylogo": False, "modeBarButtons": [["drawrect", "eraseshape"]], "displayModeBar": True}


@dataclass(frozen=True)
class Boxes(Asking):
    name: ClassVar[str] = "boxes"
    label: ClassVar[str] = "Boxes"

    def layout(self) -> Component:
        known = choices.chosen(GroundConfig.model)
        frame = html.Div(
            dcc.Graph(id="boxes-canvas", figure=canvas(()), config=BUTTONS, responsive=True),
            id="boxes-frame",
            className="canvas",
            role="img",
            **form.said("canvas to draw boxes on; the fields of each box say the same in words"),
        )
        fields = [
            form.field("Prompt", form.text("boxes-prompt", "made of the labels"), wide=True),
            form.field("Model", form.choice("boxes-model", choices.grounded(), GroundConfig.model, clearable=False), wide=True),
            form.size("boxes", known),
            form.field("Count", form.number("boxes-count", "1")),
            form.field("Seed", form.number("boxes-seed", "0")),
            form.field("Steps", form.number("boxes-steps", str(known.steps))),
            form.field("Guidance", form.number("boxes-guidance", f"{known.guidance:g}")),
            form.field("How", form.ticks("boxes-how", HOW, (BESIDE,)), wide=True),
            form.more("boxes"),
        ]
        files = [
            html.Button("Add a box", id="boxes-add", type="button"),
            html.Button("Download boxes.json", id="boxes-save", type="button"),
            form.upload("boxes-upload", "Open a layout …", uploads.LARGEST_LAYOUT),
            dcc.Download(id="boxes-file"),
        ]
        stores = [dcc.Store(id="boxes-drawn", data=[], storage_type="session"), dcc.Store(id="boxes-moved"), dcc.Store(id="boxes-seen")]
        drawing = [
            frame,
            html.P(
                "Drag to draw; click the edge of a box to choose it, then move it, resize it by its corners, or erase it.", className="note"
            ),
            html.Div(id="boxes-rows"),
        ]
        return html.Div(
            [
                *stores,
                html.Section(
                    [
                        *drawing,
                        html.Div(files, className="act"),
                        html.P(id="boxes-told", className="note", role="status"),
                        html.Div(fields, className="fields"),
                        form.command("boxes", "Draw"),
                    ],
                    className="asks",
                ),
                html.Section(html.Div(id="boxes-made"), className="shows"),
            ],
            className="panel",
        )

    def connect(self, app: Dash) -> None:
        values = [State(f"boxes-{name}", "value") for name in FIELDS]
        rows = {kind: ({"boxes": kind, "box": ALL}, "value") for kind in ("label", "edges")}
        app.callback(
            Output("boxes-drawn", "data"),
            Output("boxes-told", "children"),
            Output("boxes-prompt", "value"),
            Output("boxes-size", "value"),
            Output("boxes-moved", "data"),
            Input("boxes-canvas", "relayoutData"),
            Input("boxes-add", "n_clicks"),
            Input({"boxes": "remove", "box": ALL}, "n_clicks"),
            Input(*rows["label"]),
            Input(*rows["edges"]),
            Input("boxes-upload", "contents"),
            State("boxes-upload", "filename"),
            State("boxes-drawn", "data"),
            prevent_initial_call=True,
        )(self.change)
        app.callback(
            Output("boxes-canvas", "figure"),
            Output("boxes-frame", "style"),
            Output("boxes-rows", "children"),
            Output({"boxes": "swatch", "box": ALL}, "style"),
            Input("boxes-drawn", "data"),
            Input("boxes-size", "value"),
            State("boxes-moved", "data"),
            State({"boxes": "swatch", "box": ALL}, "id"),
            State(*rows["label"]),
            State(*rows["edges"]),
        )(self.redraw)
        app.callback(
            Output("boxes-shapes", "children"),
            Output("boxes-size", "placeholder"),
            Output("boxes-steps", "placeholder"),
            Output("boxes-guidance", "placeholder"),
            Input("boxes-model", "value"),
        )(self.suit)
        asks = [Input(f"boxes-{name}", "value") for name in FIELDS]
        app.callback(Output("boxes-line", "children"), Input("boxes-drawn", "data"), *asks)(self.show_line)
        app.callback(
            Output("boxes-said", "children"),
            Input("boxes-run", "n_clicks"),
            State("boxes-drawn", "data"),
            *values,
            prevent_initial_call=True,
        )(self.run)
        app.callback(
            Output("boxes-file", "data"),
            Output("boxes-said", "children", allow_duplicate=True),
            Input("boxes-save", "n_clicks"),
            State("boxes-drawn", "data"),
            State("boxes-prompt", "value"),
            State("boxes-size", "value"),
            prevent_initial_call=True,
        )(self.save)
        app.callback(Output("boxes-made", "children"), Output("boxes-seen", "data"), Input("news", "data"), State("boxes-seen", "data"))(
            self.show
        )

    def change(
        self,
        relayout: Any,
        added: Any,
        removed: Any,
        labels: Sequence[str | None],
        edges: Sequence[str | None],
        contents: str | None,
        filename: str | None,
        before: Drawn,
    ) -> tuple[Any, Any, Any, Any, Any]:
        """What becomes of the boxes, whatever was just done: they, a line about it, of a file its prompt and its size.

        Last, whether the canvas shows that already: a box that was moved there stays chosen.
        """
        cause = ctx.triggered_id
        try:
            if cause == "boxes-upload":
                return self._opened(contents or "", filename or "the file")
            if cause == "boxes-canvas":
                now = drawn.redrawn(before, relayout or {})
            elif cause == "boxes-add":
                now = drawn.added(before)
            elif cause and cause["boxes"] == "remove":
                now = drawn.without(before, cause["box"]) if ctx.triggered[0]["value"] else before
            else:
                names = [each["id"]["box"] for each in ctx.inputs_list[3]]
                now = drawn.relabelled(before, dict(zip(names, labels, strict=True)), dict(zip(names, edges, strict=True)))
        except DitkitError as error:
            return no_update, str(error), no_update, no_update, no_update
        if list(now) == list(before):
            return no_update, no_update, no_update, no_update, no_update
        return now, "", no_update, no_update, cause == "boxes-canvas" and drawn.is_shown(relayout)

    def _opened(self, contents: str, filename: str) -> tuple[Any, Any, Any, Any, Any]:
        first, *others = uploads.layouts_in(contents, filename)
        said = f"{filename}: the first of {len(others) + 1} layouts" if others else f"{filename} is drawn here"
        return drawn.of_layout(first), said, first.prompt, f"{first.height}x{first.width}" if first.height else "", False

    def redraw(
        self,
        boxes: Drawn,
        size: str | None,
        moved: bool | None,
        ids: Sequence[dict[str, Any]],
        labels: Sequence[str | None],
        edges: Sequence[str | None],
    ) -> tuple[Any, Any, Any, Any]:
        """The canvas and the rows; rows that say it already stay as they are, with whoever is typing in them."""
        there = list(zip((each["box"] for each in ids), labels, edges, strict=True))
        rows = [(box["id"], box["label"], drawn.in_words(box["edges"])) for box in boxes]
        colours = {box["id"]: {"background": colour_of(boxes, box)} for box in boxes}
        shown = no_update if rows == there else [row(boxes, box) for box in boxes]
        return no_update if moved else canvas(boxes), {"aspectRatio": aspect(size)}, shown, [colours.get(each["box"]) for each in ids]

    def suit(self, model: str) -> tuple[Any, ...]:
        known = choices.chosen(model)
        return form.shapes(known), known.shapes[0], str(known.steps), f"{known.guidance:g}"

    def asks(self, *values: Any) -> Sequence[Asked]:
        return wanted(*values)

    def save(self, clicks: int | None, boxes: Drawn, prompt: str | None, size: str | None) -> tuple[Any, str]:
        """The layout as a file that `ditkit ground --boxes` takes."""
        try:
            layout = drawn.layout_from(boxes, prompt, size)
        except DitkitError as error:
            return no_update, str(error)
        return {"content": json.dumps(as_data(layout), indent=2) + "\n", "filename": "boxes.json", "type": "application/json"}, ""

    def show(self, news: Any, seen: Any) -> tuple[Any, Any]:
        """The newest grounded run's pictures, and those of the same without enforcing the boxes."""
        jobs = [job for job in self.queue.jobs() if job.asked.command == "ground"]
        last = self.queue.latest("ground")
        shown = [job for job in jobs if last and bare(job.asked) == bare(last.asked)][-2:]
        now = [[job.number, job.state, len(pictures_in(job.folder)), len(job.notes)] for job in shown]
        if now == seen:
            return no_update, no_update
        columns = [html.Div(self._made(job)) for job in shown]
        return (html.Div(columns, className="columns") if columns else heading(None, "What you draw appears here.")), now

    def _made(self, job: Job) -> list[Component]:
        made = pictures_in(job.folder)
        boxed = [path.parent.parent / "boxed" / path.name for path in made]
        kind = "boxes not enforced" if PLAIN in job.asked.words else "boxes enforced"
        named = [f"{caption}, {kind}" for caption in captions(manifest_of(job.folder), len(made))]
        return [
            heading(job),
            html.P(kind, className="note"),
            gallery(self.served, [path for path in boxed if path.is_file()], named),
        ]
