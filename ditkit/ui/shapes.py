"""The tab that makes point clouds and surfaces, several to turn side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dash import ALL, Dash, Input, Output, Patch, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from ditkit.config.schema import Gen3DConfig
from ditkit.errors import DitkitError
from ditkit.ui import choices, form, uploads
from ditkit.ui.asked import SPEEDS, Asked, asked, more_words
from ditkit.ui.asking import Asking
from ditkit.ui.folders import captions, clouds_in, manifest_of
from ditkit.ui.gallery import heading
from ditkit.ui.solid import solid

FIELDS = ("model", "categories", "count", "points", "steps", "guidance", "speed", "seed", "mesh", "more")
MOST = 8  # shapes that are shown at once: browsers draw a limited number in space
PARTS = "parts"  # the folder of clouds to complete, among those of the runs
MESH = "also surfaces (--mesh)"
CAMERA = "scene.camera"


@dataclass(frozen=True)
class Shapes(Asking):
    name: ClassVar[str] = "shapes"
    label: ClassVar[str] = "Shapes"

    def layout(self) -> Component:
        known = choices.chosen(Gen3DConfig.model)
        fields = [
            form.field("Model", form.choice("shapes-model", choices.clouds(), Gen3DConfig.model, clearable=False), wide=True),
            form.field(
                "Categories", form.choice("shapes-categories", known.classes, [], multi=True, placeholder="a spread over all"), wide=True
            ),
            form.field("Count", form.number("shapes-count", str(Gen3DConfig.count))),
            form.field("Points", form.number("shapes-points", str(known.points))),
            form.field("Seed", form.number("shapes-seed", "0")),
            form.field("Steps", form.number("shapes-steps", str(known.steps))),
            form.field("Guidance", form.number("shapes-guidance", f"{known.guidance:g}")),
            form.field("Surfaces", form.ticks("shapes-mesh", (MESH,)), wide=True),
            form.speed("shapes-speed"),
            form.more("shapes"),
        ]
        part = [
            form.upload("shapes-upload", "Complete a cloud …", uploads.LARGEST_CLOUD),
            html.Button("Complete none", id="shapes-none", type="button", hidden=True),
            html.Span(id="shapes-told", className="note", role="status"),
        ]
        together = form.ticks("shapes-together", ("turn all together",), ("turn all together",))
        return html.Div(
            [
                dcc.Store(id="shapes-part", storage_type="session"),
                dcc.Store(id="shapes-seen"),
                html.Section(
                    [
                        html.Div(fields, className="fields"),
                        html.Div(part, className="act"),
                        html.Div(id="shapes-given"),
                        form.command("shapes", "Make"),
                    ],
                    className="asks",
                ),
                html.Section([together, html.Div(id="shapes-made")], className="shows"),
            ],
            className="panel",
        )

    def connect(self, app: Dash) -> None:
        values = [*(State(f"shapes-{name}", "value") for name in FIELDS), State("shapes-part", "data")]
        asks = [*(Input(f"shapes-{name}", "value") for name in FIELDS), Input("shapes-part", "data")]
        app.callback(
            Output("shapes-categories", "options"),
            Output("shapes-points", "placeholder"),
            Output("shapes-steps", "placeholder"),
            Output("shapes-guidance", "placeholder"),
            Input("shapes-model", "value"),
        )(self.suit)
        app.callback(
            Output("shapes-part", "data"),
            Output("shapes-told", "children"),
            Input("shapes-upload", "contents"),
            Input("shapes-none", "n_clicks"),
            State("shapes-upload", "filename"),
            prevent_initial_call=True,
        )(self.take)
        app.callback(Output("shapes-given", "children"), Output("shapes-none", "hidden"), Input("shapes-part", "data"))(self.show_part)
        app.callback(Output("shapes-line", "children"), *asks)(self.show_line)
        app.callback(Output("shapes-said", "children"), Input("shapes-run", "n_clicks"), *values, prevent_initial_call=True)(self.run)
        app.callback(Output("shapes-made", "children"), Output("shapes-seen", "data"), Input("news", "data"), State("shapes-seen", "data"))(
            self.show
        )
        app.callback(
            Output({"shape": ALL}, "figure"),
            Input({"shape": ALL}, "relayoutData"),
            State("shapes-together", "value"),
            prevent_initial_call=True,
        )(self.turn)

    def suit(self, model: str) -> tuple[Any, ...]:
        known = choices.chosen(model)
        return list(known.classes), str(known.points), str(known.steps), f"{known.guidance:g}"

    def take(self, contents: str | None, _: Any, filename: str | None) -> tuple[Any, str]:
        """Keep an uploaded cloud, or let go of it."""
        if ctx.triggered_id == "shapes-none" or not contents:
            return None, ""
        name = filename or "the file"
        try:
            kept, points = uploads.kept_cloud(contents, name, self.served.root / PARTS)
        except DitkitError as error:
            return no_update, str(error)
        return {"path": str(kept), "name": name}, f"{name}: {len(points)} points, to be completed"

    def show_part(self, part: dict[str, str] | None) -> tuple[Any, bool]:
        path = self._part(part)
        if path is None:
            return None, True
        return _graph(solid(path), f"the cloud to complete: {(part or {}).get('name')}", {"given": 0}), False

    def asks(self, *values: Any) -> tuple[Asked]:
        *fields, part = values
        return (wanted(*fields, part=self._part(part)),)

    def show(self, news: Any, seen: Any) -> tuple[Any, Any]:
        """The newest run's clouds, as surfaces where it made them."""
        job = self.queue.latest("gen3d")
        made = clouds_in(job.folder) if job else []
        meshes = {path.stem: path for path in (job.folder / "meshes").glob("[0-9]*.obj")} if job else {}
        now = [job.number, job.state, len(made), len(meshes), len(job.notes)] if job else []
        if now == seen:
            return no_update, no_update
        named = captions(manifest_of(job.folder), len(made)) if job else []
        shown = [
            self._shape(index, path, meshes.get(path.stem), caption) for index, (path, caption) in enumerate(zip(made, named, strict=True))
        ]
        more = [html.P(f"{len(shown) - MOST} more are in {job.folder}", className="note")] if job and len(shown) > MOST else []
        return [
            heading(job, "What you make appears here, to be turned."),
            html.Div(shown[:MOST], className="solids"),
            *more,
        ], now

    def turn(self, moves: Sequence[Any], together: Sequence[str]) -> list[Any]:
        """All shapes as the one that was just turned."""
        names = [each["id"] for each in ctx.inputs_list[0]]
        moved = moves[names.index(ctx.triggered_id)] if ctx.triggered_id in names else None
        if not together or not isinstance(moved, dict) or CAMERA not in moved:
            return [no_update] * len(names)
        seen = Patch()
        seen["layout"]["scene"]["camera"] = moved[CAMERA]
        return [no_update if name == ctx.triggered_id else seen for name in names]

    def _shape(self, index: int, cloud: Path, mesh: Path | None, caption: str) -> Component:
        files = [
            html.A(path.suffix, href=self.served.url(path), download=f"{cloud.parent.parent.name}-{path.name}")
            for path in (cloud, mesh)
            if path
        ]
        return html.Figure(
            [_graph(solid(mesh or cloud), caption, {"shape": index}), html.Figcaption([caption, " ", *files])], key=f"{cloud}{mesh}"
        )

    def _part(self, part: dict[str, str] | None) -> Path | None:
        """The uploaded cloud that a page names; of another file nothing."""
        path = Path(part["path"]) if part else None
        return path if path and path.parent == self.served.root / PARTS and path.is_file() else None


def wanted(
    model: str,
    categories: list[str] | None,
    count: str | None,
    points: str | None,
    steps: str | None,
    guidance: str | None,
    speed: str,
    seed: str | None,
    mesh: Sequence[str],
    more: str | None = None,
    part: Path | None = None,
) -> Asked:
    """The run that the form asks for."""
    numbers = {"--count": count, "--points": points, "--seed": seed, "--steps": steps, "--guidance": guidance}
    source = {"--from": None if part is None else str(part), "--mesh": MESH in mesh}
    return asked("gen3d", model, {"--category": categories, **numbers, **source, **SPEEDS[speed]}, more_words(more))


def _graph(figure: Any, caption: str, name: dict[str, int]) -> Component:
    graph = dcc.Graph(id=name, figure=figure, responsive=True, config={"displaylogo": False, "displayModeBar": False})
    return html.Div(graph, className="solid", role="img", **form.said(f"{caption}; drag to turn it"))
