"""Contenders take turns, batch by batch, and each makes what it would have made alone."""

import torch

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine.model import Model
from ditkit.engine.race import Contender, race
from ditkit.engine.request import SamplingRequest
from ditkit.engine.sampler import sample
from ditkit.models.spec import Defaults, ModelSpec
from tests.models.tiny import tiny


def test_contenders_take_turns_and_make_what_each_makes_alone() -> None:
    backbone = tiny("dit").requires_grad_(False)
    spec = ModelSpec("tiny", "dit", backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 4, 2.0))
    model = Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))
    entries = [
        Contender(name, name, model, SamplingRequest((0, 1, 2, 3, 4), (5, 6, 7, 8, 9), ddim(linear(), steps), 2.0, batch=2))
        for name, steps in (("long", 3), ("short", 2))
    ]
    done: list[int] = []
    outcomes = race(entries, done.append)
    assert done == [2, 2, 2, 2, 2] * 2 + [1, 1, 1, 1, 1]  # three steps, two steps; the next batch; the last one is smaller
    for entry, outcome in zip(entries, outcomes, strict=True):
        assert torch.equal(outcome.latents, torch.cat([batch.latents for batch in sample(model, entry.request)]))
        assert len(outcome.seconds) == 2  # the first round warms up
