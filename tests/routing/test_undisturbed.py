"""Undisturbed runs end where sampling does, and say how alike their outputs are."""

from dataclasses import replace

import torch

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.engine.trajectory import sample_latents
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.replay import Replay
from ditkit.routing.undisturbed import Listener, undisturbed
from tests.closeness import near
from tests.models.tiny import tiny


def test_products_are_those_of_what_the_network_says_and_relative_to_where_runs_end() -> None:
    backbone = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 4, 2.0))
    model = Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))
    request = SamplingRequest((0, 1, 2), (5, 6, 7), ddim(linear(), 4), 2.0, batch=2)
    found = undisturbed(model, request)
    for batch, end in zip(request.batches(), found.ends, strict=True):
        assert torch.equal(end, sample_latents(model, request, batch))
    assert found.products.shape == (3, 4, 4)
    alone = replace(request, labels=(2,), seeds=(7,))
    listener = Listener()
    end = Replay(model, alone, range(1)).end(listener, Replay(model, alone, range(1)).start)
    first, third = listener.said[0].double().flatten(), listener.said[2].double().flatten()
    assert float(found.products[2, 0, 2]) == near(float(first @ third))
    sizes = torch.stack([each.double().square().sum() for each in torch.cat(found.ends)])
    assert float(found.relative()[1, 3]) == near(float((found.products[:, 1, 3] / sizes).mean()))
    assert float(end.double().square().sum()) == near(float(sizes[2]))
