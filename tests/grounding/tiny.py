"""A grounded request of a tiny PixArt with random weights."""

from dataclasses import replace
from typing import Any

import torch

from ditkit.codecs.registry import load_codec
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.engine.conditions import PromptTable
from ditkit.engine.model import Model
from ditkit.grounding.layout import Box, Layout, Phrase
from ditkit.grounding.sample import GroundedRequest, Scene
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import Prompts
from ditkit.models.spec import Defaults, ModelSpec
from tests.models.tiny import PIXART, drawn

TOKENS = 6
CAT = Phrase("cat", (Box(0.05, 0.3, 0.45, 0.95),))
DOGS = Phrase("dogs", (Box(0.5, 0.1, 0.75, 0.9), Box(0.7, 0.1, 0.95, 0.9)))  # of one size, and overlapping
SCENES = (
    Scene(Layout("a cat and dogs", (CAT, DOGS)), (32, 32), None, (6, 7), ((1,), (2, 3))),
    Scene(Layout("a cat"), (32, 32)),
    Scene(Layout("a cat", (CAT,)), (24, 40), (190, 310), (6,), ((1,),)),
)


def model(params: PixArtParams = PIXART) -> Model:
    """For pictures of 256 pixels, 8 to a cell, as a codec that copies would have them."""
    params = replace(params, input_size=32)
    spec = ModelSpec("tiny", "pixart", params, "linear", "pixels", 256, 8, Defaults("dpm-solver++", 4, 4.5), text="t5")
    return Model(spec, drawn(PixArt(params)).requires_grad_(False), load_codec("pixels"), torch.device("cpu"))


def table(params: PixArtParams = PIXART) -> PromptTable:
    """Three prompts, their null prompts, and the phrases "cat" and "dogs"."""
    generator = torch.Generator().manual_seed(7)
    mask = (torch.arange(TOKENS) < torch.tensor([5, 3, 3, 1, 1, 1, 2, 2])[:, None]).long()
    shapes = [SCENES[index % 3].shape for index in range(8)]
    told: Any = torch.tensor([[8.0 * height, 8.0 * width, height / width] for height, width in shapes]) if params.micro_conditions else None
    return PromptTable(("a", "b", "c"), Prompts(torch.randn(8, TOKENS, params.caption_width, generator=generator), mask, told), (3, 4, 5))


def request(labels: tuple[int, ...], seeds: tuple[int, ...], solver: str = "dpm-solver++", **more: Any) -> GroundedRequest:
    made = SOLVERS[solver](linear(), more.pop("steps", 4))
    return GroundedRequest(labels, seeds, made, **{"guidance": 4.5, "prompts": table(), "scenes": SCENES, **more})
