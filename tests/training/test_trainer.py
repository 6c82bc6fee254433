"""The training loop: bit-exact resume, equal results for one process and two, and what a saved state may be."""

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from ditkit.diffusion.noise import step_generator
from ditkit.engine.distributed import World, barrier, join_world
from ditkit.engine.signals import Stopped
from ditkit.errors import CheckpointError, ConfigError, RequestError
from ditkit.training.trainer import TrainSettings, rate_factor, train
from tests.closeness import assert_close, evaluated, near

SETTINGS = TrainSettings(steps=8, batch=6, learning_rate=0.01, warmup=2, decay=3, weight_decay=0.01, save_minutes=0.0)


class Regression:
    """A small network learns a fixed linear map of noise."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.ModuleDict({"body": nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 16)), "head": nn.Linear(16, 3)})
        self.target = torch.randn(5, 3)

    def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
        x = torch.randn(6, 5, generator=step_generator(0, step))[rows]
        out = self.module["head"](self.module["body"](x))
        return (out - x @ self.target).square().mean(1).sum(), {}


def finish(folder: Path, settings: TrainSettings = SETTINGS, *, stop_after: int | None = None) -> dict[str, Tensor]:
    for report in train(Regression(), settings, folder):
        if report.step == stop_after:
            break
    return torch.load(folder / "state.pt", weights_only=True)["ema"]


def test_a_killed_run_that_is_started_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = finish(tmp_path / "whole")
    finish(tmp_path / "killed", stop_after=5)  # step 5 is lost: the state of step 4 is the last saved
    resumed = finish(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_run_that_is_started_again_ends_with_the_same_bytes(tmp_path: Path, optimizer: str) -> None:
    finish(tmp_path / "whole", replace(SETTINGS, optimizer=optimizer))
    finish(tmp_path / "killed", replace(SETTINGS, optimizer=optimizer), stop_after=5)
    finish(tmp_path / "killed", replace(SETTINGS, optimizer=optimizer))
    for name in ("state.pt", "weights.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses = [float(report.loss) for report in train(Regression(), replace(SETTINGS, steps=200), tmp_path)]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_a_stop_signal_saves_before_it_ends(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="^terminated: 3 of 1000 steps are done and saved; the same command goes on from there$") as ended:
        for report in train(Regression(), replace(SETTINGS, steps=1000, save_minutes=60.0), tmp_path):
            if report.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3


def test_what_is_no_longer_finite_is_not_saved_over_what_is(tmp_path: Path) -> None:
    finish(tmp_path, replace(SETTINGS, steps=3))
    before = (tmp_path / "state.pt").read_bytes()

    class Broken(Regression):
        def loss(self, step: int, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
            loss, values = super().loss(step, rows)
            return loss * (torch.nan if step >= 3 else 1), values

    line = "^the training's numbers stopped being finite by step 4; .*state.pt is left as it was: take a smaller learning_rate"
    with pytest.raises(RequestError, match=line):
        list(train(Broken(), SETTINGS, tmp_path))
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_run_that_stops_after_some_minutes_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = finish(tmp_path / "whole")
    pieces = replace(SETTINGS, save_minutes=60.0, minutes=1e-9)
    steps = [[report.step for report in train(Regression(), pieces, tmp_path / "pieces")] for _ in range(SETTINGS.steps)]
    assert steps == [[step + 1] for step in range(SETTINGS.steps)]
    pieced = torch.load(tmp_path / "pieces" / "state.pt", weights_only=True)["ema"]
    assert all(torch.equal(whole[name], pieced[name]) for name in whole)


def _one_of_two(rank: int, folder: Path, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    world = join_world(torch.device("cpu"))
    losses = [float(report.loss) for report in train(Regression(), SETTINGS, folder, world)]
    torch.save(losses, folder / f"losses-{rank}.pt")
    barrier(world)
    dist.destroy_process_group()


def test_two_processes_learn_and_say_what_one_does(tmp_path: Path) -> None:
    losses = [float(report.loss) for report in train(Regression(), SETTINGS, tmp_path / "one")]
    alone = torch.load(tmp_path / "one" / "state.pt", weights_only=True)["ema"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]  # one that nobody uses now
    # A spawned child finalises its interpreter, where gloo's threads can abort it (pytorch/pytorch#179291); a forked one just ends.
    mp.start_processes(_one_of_two, (tmp_path / "two", port), nprocs=2, start_method="forkserver")  # pyright: ignore
    together = torch.load(tmp_path / "two" / "state.pt", weights_only=True)["ema"]
    roundings = evaluated(Regression().module, 2 * SETTINGS.steps)  # there and back
    for name in alone:
        assert_close(together[name], alone[name], roundings)
    for rank in (0, 1):
        assert torch.load(tmp_path / "two" / f"losses-{rank}.pt") == near(losses, roundings, torch.float32)


def test_a_damaged_state_is_refused_with_a_way_out(tmp_path: Path) -> None:
    finish(tmp_path)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged, or no state of a training; move it away to start afresh$"):
        finish(tmp_path)


def test_a_state_of_other_settings_is_refused_but_may_be_trained_longer(tmp_path: Path) -> None:
    finish(tmp_path)
    finish(tmp_path, replace(SETTINGS, steps=10, decay=1, save_minutes=1.0))
    with pytest.raises(CheckpointError, match="was trained with batch=6, learning_rate=0.01; say the same, or choose another folder"):
        finish(tmp_path, replace(SETTINGS, batch=3, learning_rate=0.1))
    with pytest.raises(CheckpointError, match=r"state\.pt has 10 steps behind it, which steps=9 cannot undo"):
        finish(tmp_path, replace(SETTINGS, steps=9))


def test_what_else_was_asked_for_has_to_be_said_again(tmp_path: Path) -> None:
    finish(tmp_path, replace(SETTINGS, beside={"scenes.small": 0.5}))
    finish(tmp_path, replace(SETTINGS, steps=10, beside={"scenes.small": 0.5, "min_snr": 5.0}))  # a later version has more to say
    with pytest.raises(CheckpointError, match=r"was trained with scenes\.small=0\.5; say the same"):
        finish(tmp_path, replace(SETTINGS, steps=10, beside={"scenes.small": 0.1, "min_snr": 5.0}))


def test_a_batch_has_something_for_every_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a batch of 6 cannot be shared by 7 processes; say batch=7 or more"):
        next(train(Regression(), SETTINGS, tmp_path, World(0, 7)))


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    settings = replace(SETTINGS, steps=10, warmup=4, decay=5)
    factors = [rate_factor(step, settings) for step in range(11)]
    assert factors == near([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0])
