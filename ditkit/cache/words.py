"""A plan in a sentence, and as the mask that other libraries take."""

from collections.abc import Iterable

from ditkit.cache.forecast import Cell
from ditkit.cache.plan import CachePlan


def in_words(plan: CachePlan) -> str:
    """What a plan does: "computes 10 of 20 evaluations whole, forecasts 10 as a whole from the last 2 outputs"."""
    whole = [e for e, row in enumerate(plan.compute) if all(row) and e not in plan.whole]
    parts = [e for e, row in enumerate(plan.compute) if not all(row) and e not in plan.whole]
    said = [f"computes {len(whole)} of {plan.evaluations} evaluations whole"]
    if plan.whole:
        said.append(f"forecasts {len(plan.whole)} as a whole from the last {_outputs(plan.whole.values())}, the network not being called")
    if parts:
        cells = len(parts) * len(plan.sites)
        computed = sum(sum(plan.compute[e]) for e in parts)
        held = cells - computed - len(plan.forecast)
        done = [f"computes {computed / cells:.0%}"] if computed else []
        done += [f"forecasts {len(plan.forecast) / cells:.0%} from the last {_outputs(plan.forecast.values())}"] if plan.forecast else []
        done += [f"holds {held / cells:.0%}"] if held else []
        said.append(f"in {len(parts)} of their branches {_listed(done)}")
    return _listed(said)


def steps_mask(plan: CachePlan) -> list[int]:
    """1 for every evaluation that computes at least half of its branches, 0 for the others: what a cache of whole steps can follow."""
    return [int(e not in plan.whole and 2 * sum(row) >= len(row)) for e, row in enumerate(plan.compute)]


def _outputs(cells: Iterable[Cell]) -> str:
    counts = sorted({len(cell) for cell in cells})
    most = counts[-1]
    return "output" if most == 1 else f"{counts[0]} to {most} outputs" if counts[0] < most else f"{most} outputs"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
