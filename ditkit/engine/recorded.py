"""A whole run of a batch as one CUDA graph: recorded once for each batch size, and launched with a single call from then on.

Recording is what the loop allows because nothing in it asks the device for a value: plan rows, coefficients and forecasts, of branches
and of whole evaluations, are host numbers that are the same for every batch of a request. What differs from batch to batch, noise and
conditions, lies in buffers that never move.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from ditkit.engine.conditions import Conditions, conditions_apart
from ditkit.engine.denoiser import OnStep, denoiser
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import drawn, run_of

NOT_RECORDED = "no CUDA graph is recorded"
Run = Callable[[], Tensor]
Record = Callable[[Run, torch.device], Run]
"""Runs something once on a device, and returns what does the same again with whatever its inputs then hold."""


def cuda_graph(run: Run, device: torch.device) -> Run:
    """What the run launches, as a CUDA graph. Everything that it needs must have been compiled and loaded before."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local"):  # other threads do as they like
        out = run()

    def replay() -> Tensor:
        graph.replay()
        return out.clone()  # the graph writes its next output to the same address

    return replay


@dataclass(frozen=True)
class Tape:
    """A recorded run, and the buffers that it reads: noise (1 + draws, B, ...) and the columns of a batch's conditions.

    What else a replay reads, times and which sample has which column, belongs to the run: it stays as long as the tape does.
    """

    noise: Tensor
    columns: Any
    run: Run
    replay: Run


class RecordedRuns:
    """Draws the batches of a request. The first of a size is run launch by launch, the second recorded, all others replayed.

    What cannot be recorded, for want of memory above all, goes on launch by launch, with a warning.
    """

    def __init__(
        self,
        model: Model,
        request: SamplingRequest,
        on_step: OnStep | None = None,
        graphs: GraphedNetwork | None = None,
        record: Record = cuda_graph,
    ) -> None:
        self._model, self._request, self._graphs = model, request, graphs
        self._on_step, self._record = on_step, record
        self._seen: set[int] = set()
        self._tapes: dict[int, Tape | None] = {}

    @torch.inference_mode()
    def __call__(self, indices: Sequence[int]) -> Tensor:
        """The latents (B, C, h, w) of these samples of the request."""
        size = len(indices)
        noise, asked = self._inputs(indices)
        if size in self._seen and size not in self._tapes:
            self._tapes[size] = self._recorded(noise, asked)
        self._seen.add(size)
        tape = self._tapes.get(size)
        if tape is None:
            return self._run(noise, asked, self._on_step)()
        for buffer, new in zip(tree_leaves((tape.noise, tape.columns)), tree_leaves((noise, asked.columns)), strict=True):
            if buffer is not None:  # as the sizes of prompts whose network is told none
                buffer.copy_(new)
        latents = tape.replay()
        if self._on_step:
            for _ in self._request.solver.times:
                self._on_step(size)
        return latents

    def _inputs(self, indices: Sequence[int]) -> tuple[Tensor, Conditions]:
        model, request = self._model, self._request
        labels = [request.labels[index] for index in indices]
        asked = conditions_apart(model.backbone, request.prompts, labels, model.device, guided=request.guidance != 1)
        return drawn(model, request, indices), asked

    def _run(self, noise: Tensor, asked: Conditions, on_step: OnStep | None = None) -> Run:
        """The same columns whether it is launched or recorded, so that bits do not depend on which batch came first.

        Everything that is to be sent is sent here, before it is run.
        """
        places = range(noise.shape[1])
        denoise = denoiser(self._model, self._request, places, on_step, graphs=self._graphs, asked=asked)
        return run_of(self._model, self._request, denoise, noise)

    def _recorded(self, noise: Tensor, asked: Conditions) -> Tape | None:
        noise, columns = tree_map_only(Tensor, torch.clone, (noise, asked.columns))
        run = self._run(noise, asked._replace(columns=columns))
        try:
            return Tape(noise, columns, run, self._record(run, self._model.device))
        except RuntimeError as error:
            size, reason = noise.shape[1], str(error).strip().partition("\n")[0]
            warnings.warn(f"{NOT_RECORDED}: batches of {size} are launched one by one ({reason})", stacklevel=2)
            return None
