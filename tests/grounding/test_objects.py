"""Objects and crops as one sequence of tokens."""

from typing import Any

import pytest
import torch

from ditkit.diffusion.prediction import Reading
from ditkit.diffusion.schedule import linear
from ditkit.diffusion.solvers import SOLVERS
from ditkit.grounding.objects import Asking, ObjectGroup, ObjectState, advance, joint_denoiser
from ditkit.grounding.regions import Region
from ditkit.models.pixart import PixArt
from ditkit.models.prompts import Prompts
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden, golden_json
from tests.grounding.reference import network
from tests.models.tiny import PIXART, drawn, prompts

LEARNED = Reading(variance=True)
CASES = [
    ("512", "square_obj"),
    ("512", "wide_obj"),
    ("512", "tall_obj"),
    ("512", "patch_larger_than_object"),
    ("1024", "a"),
    ("1024", "b"),
]


def picked(values: Any, rows: list[int]) -> Any:
    """Some rows of a tuple of tensors."""
    return type(values)(*(None if value is None else value[rows] for value in values))


@pytest.mark.parametrize(("style", "case"), CASES)
@torch.no_grad()
def test_joint_denoising_is_the_published_one(style: str, case: str) -> None:
    """Each row of the reference has its own text and crop; here a row is a batch, with guidance off."""
    name = f"groundit_joint_{style}style"
    tensors, model = golden(name), network(name)
    time = float(golden_json(name)["cases"][case]["t"])
    for row in range(2):
        given = {key.removeprefix(f"in.{case}."): value[row : row + 1] for key, value in tensors.items() if key.startswith(f"in.{case}.")}
        sizes = torch.cat([given["resolution"], given["aspect_ratio"]], dim=1) if style == "1024" else None
        said = Prompts(given["encoder_hidden_states"], given["encoder_attention_mask"], sizes)
        keys = model.prepare(picked(said, [0, 0]))
        objects, crops = given["object_latents"], given["patch_latents"]
        group = ObjectGroup((0,), (Region(0, crops.shape[2], 0, crops.shape[3]),), (objects.shape[2], objects.shape[3]), keys)
        for scale in (1.0, 4.5):  # a prompt guided away from itself stays what it is
            denoise = joint_denoiser(model, (time,), group, 1, Asking((scale,), 8, LEARNED))
            said_of_both = denoise(torch.cat([objects.flatten(2), crops.flatten(2)], dim=2), 0)
            assert said_of_both.variance is not None
            out = torch.cat([said_of_both.value, said_of_both.variance], dim=1)
            assert_close(
                out[..., : group.cells].view(1, 8, *group.shape),
                tensors[f"out.{case}.object_pred"][row : row + 1],
                evaluated(model, foreign=True),
            )
            assert_close(
                out[..., group.cells :].view(1, 8, *group.crop_shape),
                tensors[f"out.{case}.patch_pred"][row : row + 1],
                evaluated(model, foreign=True),
            )


def group(model: PixArt, regions: tuple[Region, ...]) -> ObjectGroup:
    """Boxes with phrases of their own: rows 0, 1, ... of the tiny prompts, and the last one as the null phrase."""
    said = prompts(PIXART, len(regions) + 1)
    return ObjectGroup(tuple(range(len(regions))), regions, (8, 8), model.prepare(Prompts(said.features, said.mask)))


@pytest.mark.parametrize("solver", ["dpm-solver++", "ddim", "ddpm", "dpm-solver-2"])
@torch.no_grad()
def test_boxes_and_samples_of_one_size_are_advanced_together_as_each_alone(solver: str) -> None:
    """With any solver; a stochastic one and one that evaluates twice a step as well."""
    model = drawn(PixArt(PIXART))
    made = SOLVERS[solver](linear(), 4)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 4, 8, 12, generator=generator)
    regions = (Region(0, 4, 0, 6), Region(2, 6, 4, 10))
    together = group(model, regions)
    noise = torch.randn(1 + made.draws, 4, 4, 64 + 24, generator=generator)

    def state(rows: slice) -> ObjectState:
        mine = noise[:, rows]
        return ObjectState(mine[0, ..., :64].unflatten(-1, (8, 8)), made.init(mine[1:] if made.draws else None))

    asking = Asking((4.5,) * len(made.times), 8, LEARNED)
    crops, after = advance(model, made, together, state(slice(None)), x, 0, asking)
    crops, after = advance(model, made, together, after, x, 1, asking)
    for box, region in enumerate(regions):
        keys = picked(together.phrases, [box, -1])
        for sample in range(2):
            row = 2 * box + sample
            alone = ObjectGroup((0,), (region,), (8, 8), keys)
            mine, mine_after = advance(model, made, alone, state(slice(row, row + 1)), x[sample : sample + 1], 0, asking)
            mine, mine_after = advance(model, made, alone, mine_after, x[sample : sample + 1], 1, asking)
            assert_close(mine[0], crops[box][sample : sample + 1], evaluated(model, 2 * 2, 4.5))
            assert_close(mine_after.latents, after.latents[row : row + 1], evaluated(model, 2 * 2, 4.5))
