"""L2P's coefficients are the least squares of what the network says in runs that no forecast has changed."""

import torch

from ditkit.cache.forecast import HELD
from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.routing.l2p import learned
from ditkit.routing.replay import Replay
from ditkit.routing.undisturbed import Listener
from tests.models.tiny import tiny


def test_the_descent_ends_at_the_least_squares_of_undisturbed_outputs() -> None:
    backbone = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0))
    model = Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))
    request = SamplingRequest((0, 1, 2), (5, 6, 7), ddim(linear(), 6), 2.0)
    rows = tuple((evaluation not in (2, 4),) * len(backbone.sites) for evaluation in range(6))
    plan = learned(model, request, CachePlan(backbone.sites, request.solver.times, rows, whole={2: HELD, 4: HELD}), 2)
    listener = Listener()
    Replay(model, request, range(3)).entries(listener)
    outputs = [output.flatten().double() for output in listener.said]
    for evaluation, sources in ((2, (1, 0)), (4, (3, 1))):
        basis = torch.stack([outputs[source] for source in sources], 1)
        best = torch.linalg.lstsq(basis, outputs[evaluation][:, None]).solution[:, 0]
        least, found = (
            float((basis @ c - outputs[evaluation]).norm() / outputs[evaluation].norm())
            for c in (best, torch.tensor(plan.whole[evaluation], dtype=torch.float64))
        )
        assert least - 1e-9 <= found <= 1.02 * least + 1e-3
    assert plan.provenance["policy"] == "l2p"
