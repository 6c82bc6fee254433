"""One run of a pipeline, as its denoiser's calls see it."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ditkit.cache.words import NETWORK
from ditkit.execution import Site, Sites
from ditkit.pipelines.clock import Clock, Grid
from ditkit.pipelines.outputs import Held, packed

Answer = Callable[[int, int, Callable[[], Tensor]], Tensor]
"""The output at an evaluation, in one of its calls; the last argument makes the call."""


def sites_of(calls: int) -> Sites:
    """A site for each call that a step makes of the network: one, or two where guidance takes them one by one."""
    return tuple(Site(call, NETWORK) for call in range(calls))


class Run:
    """Where a run is, and how the denoiser returns its outputs. Make a new one for every run."""

    def __init__(self, grid: Grid, answer: Answer) -> None:
        self.clock, self._answer = Clock(grid), answer
        self._held: dict[int, Held] = {}

    def __call__(self, time: float, call: Callable[[], Any]) -> Any:
        """What the denoiser, called at this time, is to have returned."""
        evaluation, place = self.clock.tick(time)
        made: list[tuple[Tensor, Any]] = []

        def compute() -> Tensor:
            returned = call()
            output, self._held[place] = packed(returned)
            made.append((output.clone(), returned))  # remembered is a copy: a pipeline may go on to change what it was given
            return made[0][0]

        output = self._answer(evaluation, place, compute)
        if made and output is made[0][0]:
            return made[0][1]
        return self._held[place].back(output.clone())
