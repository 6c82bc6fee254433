"""Small networks of every family whose attention a GPU's kernels take, on whichever device, under a plan with rows of every kind."""

from typing import Any

import pytest
import torch

from ditkit.cache.plan import CachePlan
from ditkit.codecs.registry import load_codec
from ditkit.diffusion.guidance import GuidanceInterval
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.models import registry
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.pixart import PixArtParams
from ditkit.models.spec import Defaults, ModelSpec, Params
from ditkit.models.uvit import UViTParams
from tests.models.tiny import drawn, prompts

CUDA = torch.device("cuda", 0)
DEVICES = [pytest.param(torch.device("cpu"), id="cpu"), pytest.param(CUDA, id="cuda", marks=pytest.mark.cuda)]
EVALUATIONS = 6
FAMILIES: dict[str, Params] = {  # heads of 32: a multiple of 8, which half precision needs
    "dit": DiTParams(width=64, depth=2, heads=2, patch=2, input_size=8, classes=5),
    "uvit": UViTParams(width=64, depth=2, heads=2, patch=2, input_size=8, classes=5, null_class=True, conv=False),
    "pixart": PixArtParams(width=64, depth=2, heads=2, patch=2, input_size=8, caption_width=16),
    "dit3d": DiT3DParams(width=96, depth=2, heads=3, patch=2, input_size=8, classes=5),
}


def model_of(family: str, device: torch.device, dtype: torch.dtype = torch.float32, **changes: Any) -> Model:
    """The family's network, every parameter drawn, on the device."""
    params = FAMILIES[family]
    points, text = 50 if family == "dit3d" else 0, "t5" if family == "pixart" else None
    spec = ModelSpec("tiny", family, params, "linear", "pixels", 8, 3, Defaults("ddim", 6, 2.0), points=points, text=text)
    network = drawn(registry.build(spec)).requires_grad_(False).to(device, dtype)
    return Model(spec, network, load_codec("pixels"), device, dtype, **changes)


def request_of(model: Model, solver: str = "ddim", **changes: Any) -> SamplingRequest:
    """Seven samples in batches of two, guided at some times; rows of the plan are computed, in part, held, forecast, or whole forecasts."""
    made = SOLVERS[solver](linear(), EVALUATIONS, **({"variance": "fixedsmall"} if solver == "ddpm" else {}))
    sites = model.backbone.sites
    kinds = [[True] * len(sites), [True] * len(sites), [column % 2 == 0 for column in range(len(sites))], [False] * len(sites)]
    rows = tuple(tuple(kinds[min(evaluation, 3)]) for evaluation in range(EVALUATIONS))
    plan = CachePlan(sites, tuple(made.times), rows, forecast={(2, 1): (1.4, -0.4), (3, 0): (1.5, -0.6)}, whole={4: (1.0,), 5: (1.7, -0.7)})
    params: Any = model.spec.params
    table = PromptTable(("a", "b", "c"), prompts(params, 4), (3, 3, 3)) if model.spec.text else None
    values = {"guidance": 2.0, "interval": GuidanceInterval(high=700.0), "plan": plan, "batch": 2, "prompts": table, **changes}
    return SamplingRequest((0, 1, 2, 2, 1, 0, 1), range(7), made, **values)
