"""Whole published runs, step by step."""

import pytest
import torch
from torch import Tensor

from tests.closeness import assert_close, evaluated
from tests.grounding.reference import Run

RUNS = ("512style", "multibox_20steps", "1024style", "local_only", "no_boxes")


@pytest.mark.parametrize("name", RUNS)
def test_a_published_run_is_reproduced_step_by_step(name: str) -> None:
    run = Run(f"groundit_trajectory_{name}")
    losses: list[tuple[int, Tensor]] = []
    steps = run.steps(on_pull=lambda step, losses_B: losses.append((step, losses_B)))
    reference = run.tensors
    calls = run.solver.steps * (1 + 2 * run.rules.pulls)  # a pull goes there and back
    roundings = evaluated(run.network, calls, 4.5, foreign=True)
    assert_close(torch.stack([step.pulled for step in steps]), reference["out.pre_main"], roundings)
    assert_close(torch.stack([step.stepped for step in steps]), reference["out.pre_transplant"], roundings)
    assert_close(torch.stack([step.result for step in steps]), reference["out.after_step"], roundings)
    assert_close(steps[-1].result, reference["out.latents"], roundings)
    grounded = run.rules.steps(run.solver.steps)
    groups = run.grounding().groups
    for box, key in enumerate(run.keys):
        group, row = next((place, group.boxes.index(box)) for place, group in enumerate(groups) if box in group.boxes)
        assert_close(torch.stack([step.patches[box] for step in steps[:grounded]]), reference[f"out.patch.{key}"], roundings)
        objects = torch.stack([step.objects[group].latents[row : row + 1] for step in steps[:grounded]])
        assert_close(objects, reference[f"out.object_latents.{key}"], roundings)
    if run.keys:
        assert [step for step, _ in losses] == reference["out.global_scaled_loss"][:, 0].long().tolist()
        if losses:
            assert_close(torch.cat([value for _, value in losses]), reference["out.global_scaled_loss"][:, 2], roundings)
    else:
        assert losses == []
