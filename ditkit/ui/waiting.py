"""The queue as the page shows it: what is going on, how far it is, and what came before."""

from dataclasses import dataclass
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from ditkit.ui import form
from ditkit.ui.gallery import notes
from ditkit.ui.job import Job
from ditkit.ui.queue import Queue

MILLISECONDS = 700  # between two looks at how far it is


@dataclass(frozen=True)
class Waiting:
    queue: Queue

    def layout(self) -> Component:
        return html.Footer(
            [
                dcc.Interval(id="tick", interval=MILLISECONDS),
                dcc.Store(id="news"),
                html.Div(id="line", className="queue", role="region", **form.said("queue of runs")),
            ]
        )

    def connect(self, app: Dash) -> None:
        app.callback(Output("news", "data"), Input("tick", "n_intervals"), State("news", "data"))(self.look)
        app.callback(Output("line", "children"), Input("news", "data"))(self.show)
        app.callback(Output("news", "data", allow_duplicate=True), Input({"stop": ALL}, "n_clicks"), prevent_initial_call=True)(self.stop)

    def look(self, _: Any, known: Any) -> Any:
        """What changes whenever anything of a run does; nothing where nothing did."""
        now = self._now()
        return no_update if now == known else now

    def stop(self, _: Any) -> Any:
        """Stop the run whose button was pressed; buttons that were only drawn press nothing."""
        if ctx.triggered_id and ctx.triggered[0]["value"]:
            self.queue.stop(ctx.triggered_id["stop"])
            return self._now()
        return no_update

    def show(self, _: Any) -> list[Component]:
        jobs = self.queue.jobs()
        going_on, over = [job for job in jobs if not job.is_over], [job for job in jobs if job.is_over]
        last = [html.Details([html.Summary(f"{len(over)} before"), *map(_past, reversed(over))])] if over else []
        return [*map(_present, going_on), *last] or [html.Span("nothing is running", className="note")]

    def _now(self) -> list[list[Any]]:
        return [[job.number, job.in_words(), len(job.notes), _made(job)] for job in self.queue.jobs()]


def _made(job: Job) -> int:
    """How many samples a run that is going on has put into its folder."""
    return sum(1 for kind in ("images", "clouds") for _ in (job.folder / kind).glob("[0-9]*")) if job.state == "running" else 0


def _present(job: Job) -> Component:
    words = job.in_words()
    bar = html.Progress(value=str(job.done), max=str(max(job.total, 1)), **form.said(f"{job.name}: {words}"))
    button = html.Button("Leave out" if job.state == "waiting" else "Stop", id={"stop": job.number}, disabled=job.state == "stopping")
    return html.Div([html.Span(job.name, className="name"), bar, html.Span(words, className="state"), button], className="job")


def _past(job: Job) -> Component:
    return html.Div(
        [html.Span(job.name, className="name"), html.Span(job.state, className=f"state {job.state}"), *notes(job)], className="job"
    )
