"""All batches of a request, by the loop that suits its solver and the machine.

Where the device has a stream to spare, a finished batch is decoded and brought home while the next one is sampled.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from ditkit.engine.adaptive import adaptive_latents
from ditkit.engine.batches import Batches, Draw
from ditkit.engine.denoiser import OnStep
from ditkit.engine.graphs import GraphedNetwork
from ditkit.engine.model import Model
from ditkit.engine.recorded import RecordedRuns
from ditkit.engine.request import SampleBatch, SamplingRequest
from ditkit.engine.trajectory import sample_latents


def sample(
    model: Model,
    request: SamplingRequest,
    batches: Sequence[Sequence[int]] | None = None,
    on_step: OnStep | None = None,
    draw: Draw | None = None,
    *,
    overlap: bool = False,
) -> Iterator[SampleBatch]:
    """Sample `batches` of the request (all of them by default), yielding each as it is finished.

    A batch that does not fit in memory is halved until it does. `draw` is a loop to make the latents with other than `sample_latents`.
    With `overlap` the next batch may be on the device before one is yielded, where that gains time; who measures batches wants none.
    """
    request.check_fits(model)
    made = Batches(model, request, draw or _draw(model, request, on_step), overlap=overlap)
    yield from made.through(request.batches() if batches is None else batches)


def _draw(model: Model, request: SamplingRequest, on_step: OnStep | None) -> Draw:
    """How the request's latents are made."""
    if not request.solver.times:
        return partial(adaptive_latents, model, request, on_step=on_step)
    graphs = GraphedNetwork(model.backbone, request.plan, model.device) if model.compiled else None
    if model.recorded:
        return RecordedRuns(model, request, on_step, graphs)
    return partial(sample_latents, model, request, on_step=on_step, graphs=graphs)
