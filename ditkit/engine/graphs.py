"""`runtime.compile=true`: one compiled graph per distinct plan row, on buffers whose addresses never change.

Shapes: R rows of the network's batch, E evaluations, S sites.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ditkit.cache.forecast import HELD, MOST, remembered
from ditkit.cache.plan import CachePlan
from ditkit.engine.transfers import sent
from ditkit.execution import Execution, Site
from ditkit.models.backbone import Backbone


class Cell(NamedTuple):
    """What a graph knows of a site: from how many outputs it is forecast (0: it is computed), and how many are kept afterwards."""

    outputs: int
    kept: int
    held: bool = False


Row = tuple[Cell, ...]
"""What an evaluation does with each site, in the order of the backbone's sites; weights are no part of it, so they make no new graphs."""


@dataclass(frozen=True)
class Buffers:
    """What the graphs of one batch size read and write: the network's inputs, the weights (S, 3) of an evaluation's forecasts, and of
    every site that ever needs them its last outputs (K, R, ...), newest first."""

    x: Tensor
    conditioning: Any
    weights: Tensor
    kept: dict[Site, Tensor]


class GraphedNetwork:
    """A network under a plan, for all batches of a request.

    Before the first evaluation of a batch size an eager one shows the shapes; from then on nothing is allocated but what
    the graphs themselves need. Its output is not used: bits would depend on which batch came first. A graph knows its row and no
    more: all evaluations with the same row share one. On a GPU, `engine.recorded` makes one CUDA graph of all that a run launches.
    """

    def __init__(
        self, backbone: Backbone, plan: CachePlan | None, device: torch.device, backend: str | Callable[..., Any] = "inductor"
    ) -> None:
        self._backbone = backbone
        self._rows = _rows(plan) if plan else []
        self._everything = (Cell(0, 0),) * len(backbone.sites)
        self._most = {site: max(cell.kept for cell in column) for site, column in zip(backbone.sites, zip(*self._rows), strict=False)}  # noqa: B905
        self._weights = _weights(plan, device) if plan and plan.forecast else torch.zeros(max(1, len(self._rows)), 0, MOST, device=device)
        self._buffers: dict[int, Buffers] = {}
        self._graph: Callable[..., Tensor] = torch.compile(  # pyright: ignore[reportCallIssue] (its overloads lag behind its arguments)
            _evaluate,
            fullgraph=True,
            dynamic=False,
            backend=backend,
            recompile_limit=8 * max(1, len(set(self._rows))),  # for each batch size: the last batch may be smaller, or is halved
            isolate_recompiles=True,
        )

    def __call__(self, x: Tensor, conditioning: Any, evaluation: int) -> Tensor:
        """The network's output at this evaluation; `x` (R, ...) and its conditioning have R rows."""
        if len(x) not in self._buffers:
            self._buffers[len(x)] = self._shown(x, conditioning)
        buffers = self._buffers[len(x)]
        tree_map(lambda kept, new: kept.copy_(new), (buffers.x, buffers.conditioning), (x, conditioning))
        if buffers.weights.numel():
            buffers.weights.copy_(self._weights[evaluation])
        row = self._rows[evaluation] if self._rows else self._everything
        return self._graph(self._backbone, buffers, row)

    def _shown(self, x: Tensor, conditioning: Any) -> Buffers:
        """Room for the inputs and for the outputs that are kept."""
        kept: dict[Site, Tensor] = {}

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            output = compute()
            if self._most.get(site):
                kept[site] = torch.stack([output] * self._most[site])
            return output

        self._backbone(x, conditioning, Execution(branch=branch))
        x, conditioning = tree_map(lambda value: value.clone(memory_format=torch.contiguous_format), (x, conditioning))
        return Buffers(x, conditioning, self._weights[0].clone(), kept)


def _rows(plan: CachePlan) -> list[Row]:
    """What each evaluation's graph has to know; of one that is forecast as a whole there is none."""
    columns = []
    for column in map(plan.column, range(len(plan.sites))):
        cells = [() if cell is None else cell for cell in column]
        columns.append([Cell(len(cell), kept, cell == HELD) for cell, kept in zip(cells, remembered(column), strict=True)])
    return list(zip(*columns, strict=True))


def _weights(plan: CachePlan, device: torch.device) -> Tensor:
    """The weights (E, S, 3) of all forecasts, on the device before the first step."""
    weights = torch.zeros(plan.evaluations, len(plan.sites), MOST)
    for (evaluation, column), cell in plan.forecast.items():
        weights[evaluation, column, : len(cell)] = torch.tensor(cell)
    return sent(weights, device)


def _evaluate(backbone: Backbone, buffers: Buffers, row: Row) -> Tensor:
    cells = dict(zip(backbone.sites, enumerate(row), strict=True))

    def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        column, cell = cells[site]
        if cell.held:
            return buffers.kept[site][0]
        if cell.outputs:
            terms = [buffers.weights[column, place] * buffers.kept[site][place] for place in range(cell.outputs)]
            return sum(terms[1:], terms[0])  # the compiler makes one kernel of it
        output = compute()
        for place in reversed(range(1, cell.kept)):
            buffers.kept[site][place].copy_(buffers.kept[site][place - 1])
        if cell.kept:
            buffers.kept[site][0].copy_(output)
        return output

    return backbone(buffers.x, buffers.conditioning, Execution(branch=branch))
