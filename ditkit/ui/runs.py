"""The tab that shows runs that are there: their manifests, their pictures side by side, their plans, and pages of measurements."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dash import Dash, Input, Output, dcc, html
from dash.development.base_component import Component

from ditkit.errors import DitkitError
from ditkit.ui import form
from ditkit.ui.folders import Served, as_text, captions, manifest_of, pictures_in
from ditkit.ui.gallery import gallery, picture
from ditkit.ui.queue import Queue

MOST_RUNS, MOST_PICTURES = 6, 24  # that are shown side by side
SHOWN = ("model", "solver", "guidance", "batch", "precision", "size", "negative")  # of a request, beside what is counted
GRID, PARETO, REPORT = "grid.png", "pareto.png", "report.html"
WHOLE = (GRID, "turntable.gif", PARETO, "heatmap.png")  # pictures of a run as a whole


@dataclass(frozen=True)
class Runs:
    queue: Queue
    served: Served
    name: ClassVar[str] = "runs"
    label: ClassVar[str] = "Runs"

    def layout(self) -> Component:
        chooser = form.choice("runs-chosen", self.served.runs(), [], multi=True, placeholder="one run, or several to compare")
        return html.Div(
            [
                html.Section(
                    [
                        html.Div(form.field(f"Runs in {self.served.root}, newest first", chooser, wide=True), className="fields"),
                        html.Div(html.Button("Look again", id="runs-again", type="button"), className="act"),
                    ],
                    className="asks",
                ),
                html.Section(html.Div(id="runs-shown"), className="shows"),
            ],
            className="panel one",
        )

    def connect(self, app: Dash) -> None:
        app.callback(Output("runs-chosen", "options"), Input("runs-again", "n_clicks"), Input("tab", "value"))(self.look)
        app.callback(Output("runs-shown", "children"), Input("runs-chosen", "value"), Input("runs-again", "n_clicks"))(self.show)

    def look(self, *_: Any) -> list[str]:
        return self.served.runs()

    def show(self, names: Sequence[str] | None, _: Any = None) -> list[Component]:
        """All that is known of the chosen runs; those side by side that have pictures."""
        if not names:
            return [html.P("Choose a run to look at.", className="note")]
        shown: list[Component] = []
        found: dict[str, Path] = {}
        for name in names[:MOST_RUNS]:
            try:
                self.served.inside(name)
                found[name] = self.served.root / name
            except DitkitError as error:
                shown.append(html.P(str(error), className="note error"))
        made = {name: paths for name, folder in found.items() if (paths := pictures_in(folder))}
        if len(made) > 1:
            shown.append(self._beside(made))
        return [*shown, *(self._run(name, folder) for name, folder in found.items())]

    def _beside(self, made: Mapping[str, Sequence[Path]]) -> Component:
        """A column for each run, a row for each picture."""
        named = {name: captions(manifest_of(self.served.root / name), len(paths)) for name, paths in made.items()}
        rows = min(MOST_PICTURES, max(map(len, made.values())))
        cells: list[Component] = [html.Div(html.Strong(name), className="name") for name in made]
        for index in range(rows):
            for name, paths in made.items():
                shown = [picture(self.served, paths[index], f"{name}: {named[name][index]}")] if index < len(paths) else []
                cells.append(html.Figure([*shown, html.Figcaption(named[name][index] if shown else "")]))
        return html.Div(cells, className="beside", style={"gridTemplateColumns": f"repeat({len(made)}, minmax(0, 13rem))"})

    def _run(self, name: str, folder: Path) -> Component:
        manifest = manifest_of(folder)
        parts: list[Component] = [html.H2(name)]
        if manifest:
            parts += [_facts(manifest), *_again(manifest, folder)]
        parts += _plan(folder, manifest)
        made = pictures_in(folder)
        parts += [gallery(self.served, made, captions(manifest, len(made)))] if made else []
        parts += [html.Img(src=self.served.url(path), alt=f"{path.stem} of {name}") for path in _whole(folder, bool(made))]
        if (page := folder / REPORT).is_file():
            parts.append(html.Iframe(src=self.served.url(page), title=f"the report of {name}", className="report"))
        if manifest:
            parts.append(html.Details([html.Summary("manifest.json"), html.Pre(html.Code(as_text(manifest)), tabIndex="0")]))
        return html.Section(parts, className="run")


def _whole(folder: Path, pictured: bool) -> list[Path]:
    """The pictures of a run as a whole, but for those that say nothing more than what else is shown: its pictures, or its report."""
    said = {GRID: pictured, PARETO: (folder / REPORT).is_file()}
    return [path for path in map(folder.joinpath, WHOLE) if path.is_file() and not said.get(path.name)]


def _facts(manifest: Mapping[str, Any]) -> Component:
    """What a run was asked for, and how long it took."""
    request = manifest["request"]
    timing, seeds, times = manifest.get("timing", {}), request.get("seeds", []), request.get("times", [])
    facts = {
        "command": f"ditkit {manifest.get('command', 'sample')}",
        **{key: request[key] for key in SHOWN if request.get(key) is not None},
        "samples": f"{len(seeds)}, seeds from {seeds[0]}" if seeds else 0,
        "evaluations": len(times),
        "seconds": f"{timing['seconds']:.1f} on {timing.get('device')}" if "seconds" in timing else None,
        "finished": "yes" if manifest.get("complete") else "no: the same command goes on with it",
    }
    said = [each for key, value in facts.items() if value is not None for each in (html.Dt(key), html.Dd(str(value)))]
    return html.Dl(said)


def _again(manifest: Mapping[str, Any], folder: Path) -> list[Component]:
    """How to repeat a run that was finished."""
    if not manifest.get("complete"):
        return []
    line = shlex.join(["ditkit", manifest.get("command", "sample"), "--from", str(folder)])
    return [html.Pre(html.Code(line), tabIndex="0")]


def _plan(folder: Path, manifest: Mapping[str, Any]) -> list[Component]:
    """The plan of a run, or the one that a training wrote."""
    from ditkit.cache.plan import from_data, read_plan
    from ditkit.cache.words import in_words
    from ditkit.ui.heatmap import heatmap

    try:
        if data := manifest.get("request", {}).get("plan"):
            plan = from_data(data, str(folder / "manifest.json"))
        elif (file := folder / "plan.json").is_file():
            plan = read_plan(file)
        else:
            return []
    except DitkitError as error:
        return [html.P(str(error), className="note error")]
    said = in_words(plan)
    graph = dcc.Graph(figure=heatmap(plan), responsive=True, config={"displaylogo": False, "displayModeBar": False})
    return [html.Figure([html.Div(graph, role="img", **form.said(f"cache plan: {said}")), html.Figcaption(said)])]
