"""A cache plan as a figure: evaluations from left to right, a row for every branch of every block, and what is done there in words."""

from typing import Any

import plotly.graph_objects as go

from ditkit.cache.plan import CachePlan
from ditkit.results.heatmap import COMPUTED, FORECAST, REUSED, kind_of

KINDS = {"computed": COMPUTED, "held": REUSED, "forecast": FORECAST}
ROW, LEAST = 9, 160  # pixels


def heatmap(plan: CachePlan) -> go.Figure:
    """Every cell says, when pointed at, which it is; those that are computed for another reason than their own look no different."""
    order = sorted(range(len(plan.sites)), key=lambda column: (plan.sites[column].branch, plan.sites[column].block))
    kinds = [[kind_of(plan, evaluation, column) for evaluation in range(plan.evaluations)] for column in order]
    names, colours = list(KINDS), list(KINDS.values())
    last = len(KINDS) - 1
    scale = [[place / len(KINDS), colours[index]] for index in range(len(KINDS)) for place in (index, index + 1)]
    figure = go.Figure(
        go.Heatmap(
            z=kinds,
            zmin=-0.5,
            zmax=last + 0.5,
            colorscale=scale,
            xgap=1,
            ygap=1,
            x=list(range(1, plan.evaluations + 1)),
            y=[str(plan.sites[column]) for column in order],
            text=[[names[kind] for kind in row] for row in kinds],
            customdata=[[f"{time:.1f}" for time in plan.times]] * len(order),
            hovertemplate="%{y}, evaluation %{x} (time %{customdata}): %{text}<extra></extra>",
            colorbar={"tickvals": list(range(len(KINDS))), "ticktext": names, "thickness": 12, "len": 1},
        )
    )
    branches: dict[str, Any] = {"autorange": "reversed", "type": "category", "automargin": True, "fixedrange": True}
    return figure.update_layout(
        height=max(LEAST, ROW * len(order) + 70),
        xaxis={"title": "evaluation, first to last", "fixedrange": True},
        yaxis=branches,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#7f8c99", "size": 11},
    )
