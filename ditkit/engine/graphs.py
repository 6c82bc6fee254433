"""`runtime.compile=true`: one compiled graph per distinct plan row, on buffers whose addresses never change.

Shapes: R rows of the network's batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ditkit.cache.plan import CachePlan
from ditkit.execution import Execution, Site
from ditkit.models.backbone import Backbone

Row = tuple[bool, ...]
"""Which sites an evaluation computes, in the order of the backbone's sites."""


@dataclass(frozen=True)
class Buffers:
    """What the graphs of one batch size read and write: the network's inputs, and the last output of every site ever reused."""

    x: Tensor
    conditioning: Any
    kept: dict[Site, Tensor]


class GraphedNetwork:
    """A network under a plan, for all batches of a request.

    Before the first evaluation of a batch size an eager one shows the shapes; from then on nothing is allocated but what
    the graphs themselves need, so on a GPU they are captured as CUDA graphs. Its output is not used: bits would depend on which
    batch came first. A graph knows its row and no more: all evaluations with the same row share one.
    """

    def __init__(
        self, backbone: Backbone, plan: CachePlan | None, device: torch.device, backend: str | Callable[..., Any] = "inductor"
    ) -> None:
        self._backbone = backbone
        self._plan = plan
        self._everything = (True,) * len(backbone.sites)
        reused = zip(*plan.compute, strict=True) if plan else ()
        self._sites = [site for site, column in zip(backbone.sites, reused, strict=False) if not all(column)]
        rows = len(set(plan.compute)) if plan else 1
        self._buffers: dict[int, Buffers] = {}
        self._graph: Callable[..., Tensor] = torch.compile(  # pyright: ignore[reportCallIssue] (its overloads lag behind its arguments)
            _evaluate,
            fullgraph=True,
            dynamic=False,
            backend=backend,
            mode="reduce-overhead" if device.type == "cuda" else None,
            recompile_limit=8 * rows,  # for each batch size: the last batch may be smaller, and one that does not fit is halved
            isolate_recompiles=True,
        )

    def __call__(self, x: Tensor, conditioning: Any, evaluation: int) -> Tensor:
        """The network's output at this evaluation; `x` (R, ...) and its conditioning have R rows."""
        row = self._plan.compute[evaluation] if self._plan else self._everything
        if len(x) not in self._buffers:
            self._buffers[len(x)] = self._shown(x, conditioning, row)
        buffers = self._buffers[len(x)]
        tree_map(lambda kept, new: kept.copy_(new), (buffers.x, buffers.conditioning), (x, conditioning))
        return self._graph(self._backbone, buffers, row).clone()  # a captured graph writes its next output to the same address

    def _shown(self, x: Tensor, conditioning: Any, row: Row) -> Buffers:
        """Room for the inputs and for the outputs that are kept."""
        assert all(row), "a plan computes everything at its first evaluation"
        kept: dict[Site, Tensor] = {}

        def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
            output = compute()
            if site in self._sites:
                kept[site] = output.clone(memory_format=torch.contiguous_format)
            return output

        self._backbone(x, conditioning, Execution(branch=branch))
        x, conditioning = tree_map(lambda value: value.clone(memory_format=torch.contiguous_format), (x, conditioning))
        buffers = Buffers(x, conditioning, kept)
        if x.is_cuda:
            _stays(buffers.x, *kept.values())
        return buffers


def _stays(*values: Tensor) -> None:
    """Tell the compiler that it may capture these addresses; it is imported only now, because that takes a second."""
    import torch._dynamo

    for value in values:
        torch._dynamo.mark_static_address(value)


def _evaluate(backbone: Backbone, buffers: Buffers, row: Row) -> Tensor:
    computed = dict(zip(backbone.sites, row, strict=True))

    def branch(site: Site, compute: Callable[[], Tensor]) -> Tensor:
        if not computed[site]:
            return buffers.kept[site]
        output = compute()
        if site in buffers.kept:
            buffers.kept[site].copy_(output)
        return output

    return backbone(buffers.x, buffers.conditioning, Execution(branch=branch))
