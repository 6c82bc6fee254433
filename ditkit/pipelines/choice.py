"""Which evaluations of a pipeline are forecast: chosen as the engine's are, by how far the end of a run moves with each.

An evaluation's outputs are exchanged for those before it, and the run goes on. From how far that moves the end, and from the products of
the outputs with each other, it is known how far off a run ends that forecasts this evaluation from any earlier ones. Calls before the
exchange are answered from memory, so that half of a run is what one takes on average.

Shapes: E evaluations, N numbers of all that an evaluation's calls return.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.errors import PlanMismatch
from ditkit.pipelines.clock import Grid
from ditkit.pipelines.outputs import Held
from ditkit.pipelines.run import Answer, Run
from ditkit.routing.response import Response
from ditkit.routing.search import best_choice

TRIED = 12  # evaluations of a run; between them gains change slowly
TINY = 1e-12  # of a gain; an evaluation that nothing follows from has none

Pipeline = Callable[[int, Run], Any]
"""The result for one of the prompts, with the denoiser's calls going through this run."""


def chosen(
    pipeline: Pipeline, prompts: Iterable[int], grid: Grid, skipped: int, order: int, counted: Callable[[Tensor], Tensor]
) -> frozenset[int]:
    """The best `skipped` evaluations to forecast from the last `order` outputs; `counted` is the part of an output that decides the run."""
    evaluations = len(grid.times)
    products = [torch.zeros(e, e, dtype=torch.float64) for e in range(evaluations)]
    for prompt in prompts:
        said, held, end = _recorded(pipeline, prompt, grid)
        flat_EN = torch.stack([torch.cat([counted(each).flatten().double() for each in outputs]) for outputs in said])
        places = tried(evaluations)
        moves = [ending(pipeline(prompt, Run(grid, _exchanged(said, e), held))) - end for e in places]
        put_in = [flat_EN[e - 1] - flat_EN[e] for e in places]
        gains = [float(move.norm() / change.norm().clamp_min(TINY)) + TINY for move, change in zip(moves, put_in, strict=True)]
        between = np.exp(np.interp(range(evaluations), places, np.log(gains))) / max(float(end.norm()), TINY)
        for e in range(1, evaluations):
            changes = flat_EN[:e].flip(0) - flat_EN[e]
            products[e] += between[e] ** 2 * (changes @ changes.T).cpu()
    return best_choice(Response(tuple(products)), skipped, order)[0]


def tried(evaluations: int) -> list[int]:
    """The evaluations whose outputs are exchanged: evenly spread, the second and the last among them."""
    return sorted({round(float(e)) for e in np.linspace(1, evaluations - 1, min(TRIED, evaluations - 1))})


def _recorded(pipeline: Pipeline, prompt: int, grid: Grid) -> tuple[list[list[Tensor]], Mapping[int, Held], Tensor]:
    """What every call of the prompt's run returns, by evaluation, and as what; and where the run ends."""
    said: list[list[Tensor]] = [[] for _ in grid.times]

    def answer(evaluation: int, place: int, compute: Callable[[], Tensor]) -> Tensor:
        said[evaluation].append(compute())
        return said[evaluation][-1]

    run = Run(grid, answer)
    end = ending(pipeline(prompt, run))
    return said, run.held, end


def _exchanged(said: list[list[Tensor]], exchanged: int) -> Answer:
    """The same run again, but with the evaluation before in the place of one, and what comes of that."""

    def answer(evaluation: int, place: int, compute: Callable[[], Tensor]) -> Tensor:
        return compute() if evaluation > exchanged else said[evaluation - (evaluation == exchanged)][place]

    return answer


def ending(result: Any) -> Tensor:
    """What a pipeline returns first, latents or pictures, as float64 numbers; raises `PlanMismatch` for what is none."""
    while not isinstance(result, Tensor | np.ndarray) and isinstance(result, tuple | list | dict) and result:
        if not isinstance(result, dict) and hasattr(result[0], "getbands"):
            result = np.stack([np.asarray(each) for each in result])
        else:
            result = next(iter(result.values() if isinstance(result, dict) else result))
    try:
        return torch.as_tensor(result).double().flatten()
    except (TypeError, RuntimeError) as error:
        raise PlanMismatch(f"the pipeline returns a {type(result).__name__}, whose distance to another is not known") from error
