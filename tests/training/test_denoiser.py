"""The loss of a step: drawn on the CPU, the same on every machine, and computed where the network is."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ditkit.data.latents import Latents
from ditkit.diffusion.schedule import linear, linear_flow
from ditkit.models.dit import DiT, DiTParams
from ditkit.training.denoiser import DenoiserTask
from ditkit.training.flow_objective import FlowObjective
from ditkit.training.objective import DenoisingObjective


@pytest.mark.parametrize("schedule", ["noise", "flow"])
def test_what_is_drawn_is_moved_to_the_device_of_the_network(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("meta")  # a device that every machine has; torch itself forgives mixing it with the CPU
    module = DiT(DiTParams(width=16, depth=1, heads=2, patch=2, input_size=8, classes=3, learn_sigma=schedule == "noise")).to(device)
    latents = Latents(torch.zeros(5, 2, 4, 8, 8), torch.zeros(5, dtype=torch.long), ("a", "b", "c"))
    objective: Any = DenoisingObjective(linear(), device) if schedule == "noise" else FlowObjective(linear_flow(), "epsilon")
    seen: list[Tensor] = []
    condition, loss = module.condition, objective.loss

    def recorded_condition(t: Tensor, y: Tensor) -> Tensor:
        seen.extend((t, y))
        return condition(t, y)

    def recorded_loss(out: Tensor, x0: Tensor, noise: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        seen.extend((out, x0, noise, at))
        return loss(out, x0, noise, at)

    monkeypatch.setattr(module, "condition", recorded_condition)
    monkeypatch.setattr(objective, "loss", recorded_loss)
    DenoiserTask(module, latents, objective, batch=4, seed=0).loss(0, slice(1, 3))
    assert [value.device for value in seen] == [device] * 6
