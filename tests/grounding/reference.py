"""The published code's networks and runs, as golden files hold them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ditkit.diffusion.guidance import combine
from ditkit.diffusion.prediction import Prediction, Reading
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import Denoise, Solver, dpm_solver_pp
from ditkit.grounding.generate import Grounding, StepTrace, Texts, grounded, prepare
from ditkit.grounding.layout import Box, Layout, Phrase
from ditkit.grounding.objects import Asking, ObjectState
from ditkit.grounding.pull import OnPull
from ditkit.grounding.rules import PUBLISHED, Rules
from ditkit.models import pixart_layout
from ditkit.models.aspect_bins import Bin
from ditkit.models.checkpoints import load_into
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import Prompts
from tests.golden_files import golden, golden_json

CELL = 8  # pixels
LEARNED = Reading(variance=True)


def network(name: str) -> PixArt:
    """The network of a golden file, through the converter."""
    config = golden_json(name)["config"]
    params = PixArtParams(
        width=config["num_attention_heads"] * config["attention_head_dim"],
        depth=config["num_layers"],
        heads=config["num_attention_heads"],
        patch=config["patch_size"],
        input_size=config["sample_size"],
        caption_width=config["caption_channels"],
        caption_tokens=14,
        micro_conditions=config["sample_size"] == 128,
        interpolation=max(config["sample_size"] // 64, 1),
    )
    model = PixArt(params)
    load_into(model, pixart_layout.to_official({key[3:]: value for key, value in golden(name).items() if key.startswith("sd.")}))
    return model.eval().requires_grad_(False)


def layout(phrases: Iterable[str], boxes: Iterable[Iterable[Iterable[float]]], prompt: str = "") -> Layout:
    pairs = zip(phrases, boxes, strict=True)
    return Layout(prompt or "a prompt", tuple(Phrase(text, tuple(Box(*box) for box in group)) for text, group in pairs))


class Run:
    """A whole published trajectory: the same grounding, main branch and noise."""

    def __init__(self, name: str) -> None:
        self.tensors, self.facts = golden(name), golden_json(name)
        self.network = network(name)
        hyper: dict[str, Any] = self.facts["hyper"]
        self.solver: Solver = dpm_solver_pp(linear(), hyper["num_inference_steps"])
        self.noise = self.tensors["in.latents"]
        rules = {"share": hyper["groundit_gamma"], "pulls": hyper["global_update_max_iter_per_step"]}
        self.rules = Rules(**{**vars(PUBLISHED), **rules})
        self.layout = layout(self.facts["phrases"], self.facts["bboxes_input"], self.facts["prompt"])
        self.keys = [f"{p}_{b}" for p, phrase in enumerate(self.layout.phrases) for b in range(len(phrase.boxes))]

    def texts(self) -> Texts:
        def rows(names: list[tuple[str, str]]) -> Prompts:
            return Prompts(*(torch.cat([self.tensors[f"in.{name[kind]}"] for name in names]) for kind in (0, 1)), sizes=self._size())

        phrases = [(f"phrase{index}.embeds", f"phrase{index}.attention_mask") for index in range(len(self.layout.phrases))]
        none = Prompts(torch.zeros(0, 14, 32), torch.zeros(0, 14))
        return Texts(
            rows([("prompt_embeds", "prompt_attention_mask")]),
            rows([("negative_prompt_embeds", "negative_prompt_attention_mask")]),
            rows(phrases) if phrases else none,
            tuple(map(tuple, self.facts["phrases_idx"])),
        )

    def _size(self) -> Tensor:
        height, width = (CELL * side for side in self.noise.shape[2:])
        return torch.tensor([[height, width, height / width]])

    def grounding(self, rules: Rules | None = None) -> Grounding:
        sizes = [Bin(float(name), *map(int, size)) for name, size in self.facts["object_image_bins_used"].items()]
        height, width = self.noise.shape[2:]
        return prepare(self.network, self.layout, self.texts(), (height, width), CELL, sizes, rules or self.rules, self.asking())

    def asking(self) -> Asking:
        return Asking((4.5,) * len(self.solver.times), 8, LEARNED)

    def main(self) -> Denoise:
        """The main branch, guided."""
        texts = self.texts()
        both = Prompts(*(torch.cat(pair) for pair in zip(texts.prompt[:2], texts.null[:2], strict=True)), sizes=self._size().expand(2, 3))
        prepared = self.network.prepare(both)

        def denoise(x: Tensor, evaluation: int) -> Prediction:
            conditioning = self.network.condition(torch.full((2,), self.solver.times[evaluation]), prepared)
            return LEARNED.of(combine(self.network(torch.cat([x, x]), conditioning), 4.5))

        return denoise

    def objects(self, grounding: Grounding) -> tuple[ObjectState, ...]:
        return tuple(
            ObjectState(torch.cat([self.tensors[f"in.object_latents.{self.keys[box]}"] for box in group.boxes]), self.solver.init())
            for group in grounding.groups
        )

    def steps(self, rules: Rules | None = None, on_pull: OnPull | None = None) -> list[StepTrace]:
        grounding = self.grounding(rules)
        return list(grounded(grounding, self.main(), self.solver, self.noise, self.solver.init(), self.objects(grounding), on_pull))
