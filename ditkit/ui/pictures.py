"""The tab that draws pictures of classes or of prompts."""

from dataclasses import dataclass
from typing import Any, ClassVar

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from ditkit.config.schema import SampleConfig
from ditkit.ui import choices, form
from ditkit.ui.asked import SPEEDS, Asked, asked, more_words
from ditkit.ui.asking import Asking
from ditkit.ui.folders import captions, manifest_of, pictures_in
from ditkit.ui.gallery import gallery, heading

FIELDS = ("model", "classes", "prompt", "negative", "size", "count", "steps", "guidance", "speed", "seed", "batch", "more")
AT_A_TIME = "4"  # pictures appear as batches end


@dataclass(frozen=True)
class Pictures(Asking):
    name: ClassVar[str] = "pictures"
    label: ClassVar[str] = "Pictures"

    def layout(self) -> Component:
        known = choices.chosen(SampleConfig.model)
        fields = [
            form.field("Model", form.choice("pictures-model", choices.pictures(), SampleConfig.model, clearable=False), wide=True),
            html.Div(
                form.field("Classes", form.choice("pictures-classes", known.classes, [], multi=True, placeholder="a spread over all")),
                id="pictures-by-class",
                className="wide",
            ),
            html.Div(
                [
                    form.field("Prompts, one a line", dcc.Textarea(id="pictures-prompt", rows=2, **form.KEPT), wide=True),
                    form.field("Away from", form.text("pictures-negative", "the empty prompt"), wide=True),
                    form.size("pictures", known),
                ],
                id="pictures-by-prompt",
                className="wide",
                hidden=True,
            ),
            form.field("Count", form.number("pictures-count", value="8"), "of prompts: of each"),
            form.field("Seed", form.number("pictures-seed", "0")),
            form.field("Steps", form.number("pictures-steps", str(known.steps)), "network evaluations"),
            form.field("Guidance", form.number("pictures-guidance", f"{known.guidance:g}")),
            form.field("At a time", form.number("pictures-batch", value=AT_A_TIME), "they appear together"),
            form.speed("pictures-speed"),
            form.more("pictures"),
        ]
        return html.Div(
            [
                html.Section([html.Div(fields, className="fields"), form.command("pictures", "Draw")], className="asks"),
                html.Section([dcc.Store(id="pictures-seen"), html.Div(id="pictures-made")], className="shows"),
            ],
            className="panel",
        )

    def connect(self, app: Dash) -> None:
        values = [State(f"pictures-{name}", "value") for name in FIELDS]
        app.callback(
            Output("pictures-classes", "options"),
            Output("pictures-by-class", "hidden"),
            Output("pictures-by-prompt", "hidden"),
            Output("pictures-shapes", "children"),
            Output("pictures-size", "placeholder"),
            Output("pictures-steps", "placeholder"),
            Output("pictures-guidance", "placeholder"),
            Input("pictures-model", "value"),
        )(self.suit)
        app.callback(Output("pictures-line", "children"), *[Input(f"pictures-{name}", "value") for name in FIELDS])(self.show_line)
        app.callback(Output("pictures-said", "children"), Input("pictures-run", "n_clicks"), *values, prevent_initial_call=True)(self.run)
        app.callback(
            Output("pictures-made", "children"), Output("pictures-seen", "data"), Input("news", "data"), State("pictures-seen", "data")
        )(self.show)

    def suit(self, model: str) -> tuple[Any, ...]:
        """What the form offers for a model."""
        known = choices.chosen(model)
        shown = (known.reads, not known.reads, form.shapes(known), known.shapes[0])
        return list(known.classes), *shown, str(known.steps), f"{known.guidance:g}"

    def asks(self, *values: Any) -> tuple[Asked]:
        return (wanted(*values),)

    def show(self, news: Any, seen: Any) -> tuple[Any, Any]:
        """The newest run's pictures, those of a run that is going on as far as they are there."""
        job = self.queue.latest("sample")
        made = pictures_in(job.folder) if job else []
        now = [job.number, job.state, len(made), len(job.notes)] if job else []
        if now == seen:
            return no_update, no_update
        shown = heading(job, "What you draw appears here, and stays in its run folder.")
        named = captions(manifest_of(job.folder), len(made)) if job else []
        return [shown, gallery(self.served, made, named)], now


def wanted(
    model: str,
    classes: list[str] | None,
    prompt: str | None,
    negative: str | None,
    size: str | None,
    count: str | None,
    steps: str | None,
    guidance: str | None,
    speed: str,
    seed: str | None,
    batch: str | None,
    more: str | None,
) -> Asked:
    """The run that the form asks for; of classes and prompts what the model is asked in."""
    reads = choices.chosen(model).reads
    prompts = [line.strip() for line in (prompt or "").splitlines() if line.strip()]
    words = {"--prompt": prompts, "--negative": negative, "--size": size} if reads else {"--class": classes}
    numbers = {"--count": count, "--seed": seed, "--steps": steps, "--guidance": guidance, "--batch": batch}
    return asked("sample", model, {**words, **numbers, **SPEEDS[speed]}, more_words(more))
