"""The queue as the page shows it: what is going on, how far it is, and what came before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from ditkit.ui import form
from ditkit.ui.asked import Asked
from ditkit.ui.gallery import notes
from ditkit.ui.job import Job
from ditkit.ui.queue import Queue

MILLISECONDS = 700  # between two looks at how far it is
GONE = Job(0, Asked("", "", ()), Path())  # whose bar is about to go


@dataclass(frozen=True)
class Waiting:
    queue: Queue

    def layout(self) -> Component:
        return html.Footer(
            [
                dcc.Interval(id="tick", interval=MILLISECONDS),
                dcc.Store(id="news"),
                dcc.Store(id="line-seen"),
                html.Div(id="line", className="queue", role="region", **form.said("queue of runs")),
            ]
        )

    def connect(self, app: Dash) -> None:
        app.callback(Output("news", "data"), Input("tick", "n_intervals"), State("news", "data"))(self.look)
        app.callback(
            Output("line", "children"),
            Output("line-seen", "data"),
            Output({"bar": ALL}, "value"),
            Output({"bar": ALL}, "max"),
            Output({"words": ALL}, "children"),
            Input("news", "data"),
            State("line-seen", "data"),
            State({"bar": ALL}, "id"),
        )(self.show)
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

    def show(self, _: Any, seen: Any, bars: Sequence[dict[str, int]]) -> tuple[Any, Any, list[str], list[str], list[str]]:
        """The queue: drawn anew only when a run comes or ends, so that a button stays the one that is being pressed."""
        jobs = {job.number: job for job in self.queue.jobs()}
        now = [[job.number, job.state, len(job.notes)] for job in jobs.values()]
        there = [jobs.get(each["bar"], GONE) for each in bars]
        counts = [str(job.done) for job in there], [_most(job) for job in there], [job.in_words() for job in there]
        return no_update if now == seen else _all(list(jobs.values())), now, *counts

    def _now(self) -> list[list[Any]]:
        return [[job.number, job.in_words(), len(job.notes), _made(job)] for job in self.queue.jobs()]


def _made(job: Job) -> int:
    """How many samples a run that is going on has put into its folder."""
    return sum(1 for kind in ("images", "clouds") for _ in (job.folder / kind).glob("[0-9]*")) if job.state == "running" else 0


def _all(jobs: Sequence[Job]) -> list[Component]:
    going_on, over = [job for job in jobs if not job.is_over], [job for job in jobs if job.is_over]
    last = [html.Details([html.Summary(f"{len(over)} before"), *map(_past, reversed(over))])] if over else []
    return [*map(_present, going_on), *last] or [html.Span("nothing is running", className="note")]


def _most(job: Job) -> str:
    return str(max(job.total, 1))


def _present(job: Job) -> Component:
    bar = html.Progress(id={"bar": job.number}, value=str(job.done), max=_most(job), **form.said(f"how far {job.name} is"))
    button = html.Button("Leave out" if job.state == "waiting" else "Stop", id={"stop": job.number}, disabled=job.state == "stopping")
    words = html.Span(job.in_words(), id={"words": job.number}, className="state")
    return html.Div([html.Span(job.name, className="name"), bar, words, button], className="job")


def _past(job: Job) -> Component:
    return html.Div(
        [html.Span(job.name, className="name"), html.Span(job.state, className=f"state {job.state}"), *notes(job)], className="job"
    )
