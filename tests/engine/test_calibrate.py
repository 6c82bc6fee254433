"""Measured changes of the branches' outputs agree with outputs recorded one by one."""

import pytest
import torch

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import ddim
from ditkit.engine.calibrate import output_changes
from ditkit.engine.denoiser import denoiser
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.execution import Execution, Site
from ditkit.models.spec import Defaults, ModelSpec
from tests.closeness import assert_close, evaluated, near
from tests.models.tiny import tiny

SOLVER = ddim(linear(), 4)


def _model(family: str) -> Model:
    backbone = tiny(family).requires_grad_(False)
    spec = ModelSpec("tiny", family, backbone.params, "linear", "pixels", 8, 3, Defaults("ddim", 4, 1.0))
    return Model(spec, backbone, load_codec("pixels"), torch.device("cpu"))


@pytest.mark.parametrize("family", ["dit", "uvit"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_changes_are_relative_to_the_output_now_and_infinite_before_the_first(family: str, guidance: float) -> None:
    model = _model(family)
    request = SamplingRequest((1, 2), (5, 6), SOLVER, guidance, batch=2)
    changes = output_changes(model, request, 2)
    assert changes.shape == (4, 2, len(model.backbone.sites))
    assert changes[0].isinf().all() and changes[1, 1].isinf().all() and changes[1, 0].isfinite().all()

    outputs: list[dict[Site, torch.Tensor]] = []

    def at(evaluation: int) -> Execution:
        outputs.append({})

        def branch(site: Site, compute):
            outputs[evaluation][site] = compute()
            return outputs[evaluation][site]

        return Execution(branch=branch)

    from ditkit.diffusion.noise import SampleNoise

    x = SampleNoise((5, 6)).draw(1, model.spec.sample_shape)[0]
    with torch.inference_mode():
        denoise = denoiser(model, request, (1, 2), executions=at)
        for step in range(4):
            x, _ = SOLVER.step(denoise, x, step, None)
    for column, site in enumerate(model.backbone.sites):
        now, then = outputs[3][site], outputs[1][site]
        assert float(changes[3, 1, column]) == near(float((now - then).norm() / now.norm()), evaluated(model.backbone), torch.float32)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_batches_change_nothing(guidance: float) -> None:
    model = _model("dit")
    changes = [output_changes(model, SamplingRequest((1, 2, 0), (5, 6, 7), SOLVER, guidance, batch=batch), 1) for batch in (1, 2, 3)]
    for other in changes[1:]:
        assert_close(other.float(), changes[0].float(), evaluated(model.backbone, 4, guidance), size=1)  # of outputs, which change by less
