from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ditkit.errors import CheckpointError
from ditkit.files.tensors import read_weights
from ditkit.files.wrappers import unwrapped

RAW, MEAN = {"a.weight": torch.zeros(2)}, {"a.weight": torch.ones(2)}
OPTIMIZER = torch.optim.AdamW([nn.Parameter(torch.ones(2))]).state_dict()


def flat(**sets: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for prefix, state in sets.items() for name, value in state.items()}


def saved(content: Any, tmp_path: Path) -> Path:
    torch.save(content, tmp_path / "w.pt")
    return tmp_path / "w.pt"


LAYOUTS: dict[str, tuple[dict[str, Any], str, str]] = {  # what is saved, which set is the average, which the weights themselves
    "DiT's trainer": ({"model": RAW, "ema": MEAN, "opt": OPTIMIZER}, "ema", "model"),
    "PixArt's trainer": ({"epoch": 3, "state_dict": RAW, "state_dict_ema": MEAN, "optimizer": OPTIMIZER}, "state_dict_ema", "state_dict"),
    "timm's trainer": ({"model": RAW, "model_ema": MEAN, "optimizer": OPTIMIZER, "scaler": {}}, "model_ema", "model"),
    "a trainer with ema_model": ({"step": torch.tensor(3), "model": RAW, "ema_model": MEAN}, "ema_model", "model"),
    "a module and its average": ({"module": RAW, "module_ema": MEAN}, "module_ema", "module"),
    "one in the other": ({"state_dict": {"model": RAW, "ema": MEAN}, "lr": 0.1}, "state_dict.ema", "state_dict.model"),
    "each with a module": ({"model": {"module": RAW}, "ema": {"module": MEAN}}, "ema.module", "model.module"),
    "ema-pytorch": ({"initted": torch.tensor(True), **flat(online_model=RAW, ema_model=MEAN)}, "ema_model", "online_model"),
    "two in one flat file": (flat(model=RAW, ema=MEAN), "ema", "model"),
    "MMCV's and others' state": ({"model_state": RAW, "ema_state": MEAN}, "ema_state", "model_state"),
    "words joined by capitals": ({"model": RAW, "modelEMA": MEAN}, "modelEMA", "model"),
    "all in capitals": ({"MODEL": RAW, "EMA": MEAN}, "EMA", "MODEL"),
    "Lightning's module": ({"state_dict": flat(net=RAW, net_ema=MEAN), "loops": {}}, "state_dict.net_ema", "state_dict.net"),
    "Lightning's callback": ({"state_dict": RAW, "callbacks": {"EMA": {"ema_state": MEAN}}}, "callbacks.EMA.ema_state", "state_dict"),
    "swa_utils beside a model": ({"model": RAW, "swa": {"n_averaged": torch.tensor(3), **flat(module=MEAN)}}, "swa", "model"),
    "a rate in the name": ({"net": RAW, "ema_0.9999": MEAN}, "ema_0.9999", "net"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_of_weights_and_their_average_the_average_is_taken_and_said(tmp_path: Path, name: str) -> None:
    content, mean, raw = LAYOUTS[name]
    path = saved(content, tmp_path)
    state, note, _ = read_weights(path)
    assert torch.equal(unwrapped(state)["a.weight"], MEAN["a.weight"])
    sets = ", ".join((raw, mean))
    assert note == f"w.pt holds the weights {sets}; taken are {mean} (the average), weights_key=NAME takes others"
    assert torch.equal(read_weights(path, raw)[0]["a.weight"], RAW["a.weight"])
    assert torch.equal(unwrapped(read_weights(path, mean)[0])["a.weight"], MEAN["a.weight"])


def test_in_an_average_that_holds_the_raw_weights_too_the_average_is_taken(tmp_path: Path) -> None:
    path = saved({"model": RAW, "ema": flat(online_model=RAW, ema_model=MEAN)}, tmp_path)  # of ema-pytorch
    state, note, _ = read_weights(path)
    assert torch.equal(state["a.weight"], MEAN["a.weight"]) and "taken are ema.ema_model (the average)" in str(note)


def test_where_a_callback_puts_the_average_in_the_place_of_the_weights_these_are_taken(tmp_path: Path) -> None:
    content = {"state_dict": MEAN, "current_model_state": RAW, "averaging_state": {"n_averaged": torch.tensor(7)}}  # Lightning's own
    state, note, _ = read_weights(saved(content, tmp_path))
    assert torch.equal(state["a.weight"], MEAN["a.weight"])
    assert note == "w.pt holds the weights state_dict, current_model_state; taken are state_dict, weights_key=NAME takes others"


class Network(nn.Module):
    """With a table that is never trained, before what is, and a buffer after it."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.arange(4.0).reshape(1, 2, 2), requires_grad=False)
        self.first, self.last = nn.Linear(2, 3), nn.Linear(3, 3)
        self.register_buffer("seen", torch.zeros(5))
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.data.fill_(value)

    def trained(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("all_parameters", [True, False])
@pytest.mark.parametrize("name", ["ema", "ema_state_dict"])
def test_an_average_without_names_has_those_of_the_weights_beside_it(tmp_path: Path, name: str, all_parameters: bool) -> None:
    raw, mean = Network(0.0), Network(1.0)
    shadow = [value.detach() for value in mean.parameters()] if all_parameters else mean.trained()  # diffusers' EMAModel and torch_ema
    content = {"model": raw.state_dict(), name: {"decay": 0.99, "shadow_params": shadow, "collected_params": None}}
    state, note, _ = read_weights(saved(content, tmp_path))
    assert state.keys() == raw.state_dict().keys()
    assert all(torch.equal(value, mean.state_dict()[key]) for key, value in state.items())
    assert f"taken are {name}.shadow_params (the average)" in str(note)


def test_a_list_that_fits_no_names_or_several_is_left_out_and_said(tmp_path: Path) -> None:
    twins = {"a.weight": torch.zeros(2), "b.weight": torch.zeros(2)}
    for shadow in ([torch.ones(3)], [torch.ones(2)]):
        state, note, _ = read_weights(saved({"model": twins, "ema": {"shadow_params": shadow}}, tmp_path))
        assert torch.equal(state["a.weight"], torch.zeros(2))
        assert note == "w.pt: ema.shadow_params is a list of tensors without names that fits no names, or several; taken are the weights"


def test_an_average_whose_names_have_lost_their_dots_has_those_of_the_weights(tmp_path: Path) -> None:
    """As latent diffusion keeps it, beside other networks of its training."""
    averages = {f"diffusion_model.{name}".replace(".", ""): value for name, value in MEAN.items()}
    flat_state = {**flat(model=flat(diffusion_model=RAW), first_stage_model={"b.weight": torch.zeros(1)}), "betas": torch.zeros(9)}
    flat_state |= flat(model_ema={**averages, "decay": torch.tensor(0.9), "num_updates": torch.tensor(2)})
    state, note, _ = read_weights(saved({"state_dict": flat_state}, tmp_path))
    assert state.keys() == {"diffusion_model.a.weight"} and torch.equal(state["diffusion_model.a.weight"], MEAN["a.weight"])
    assert "taken are state_dict.model_ema (the average)" in str(note)


def test_an_average_beside_weights_of_no_name_is_taken(tmp_path: Path) -> None:
    path = saved({**RAW, **flat(ema=MEAN)}, tmp_path)
    assert torch.equal(read_weights(path)[0]["a.weight"], MEAN["a.weight"])
    assert torch.equal(read_weights(path, "raw")[0]["a.weight"], RAW["a.weight"])


def test_the_average_of_another_network_is_not_taken(tmp_path: Path) -> None:
    content = {"vae_ema": {"b.weight": torch.ones(2)}, "model": RAW, "model_ema": MEAN}
    assert torch.equal(read_weights(saved(content, tmp_path))[0]["a.weight"], MEAN["a.weight"])


def test_numbers_among_the_weights_are_passed_over(tmp_path: Path) -> None:
    state, note, _ = read_weights(saved({**RAW, "step": 3, "name": "mine", "best": None}, tmp_path))
    assert (state.keys(), note) == (RAW.keys(), None)


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state", "model_state_dict", "ema", "params", "anything"])
def test_one_set_among_other_things_needs_no_word(tmp_path: Path, key: str) -> None:
    state, note, _ = read_weights(saved({key: RAW, "optimizer": OPTIMIZER, "epoch": 3, "rng_state": torch.zeros(4)}, tmp_path))
    assert (state.keys(), note) == (RAW.keys(), None)


def test_the_weights_come_before_other_networks_of_their_training(tmp_path: Path) -> None:
    content = {"generator": MEAN, "discriminator": RAW}
    assert torch.equal(read_weights(saved(content, tmp_path))[0]["a.weight"], MEAN["a.weight"])


@pytest.mark.parametrize(
    ("content", "key", "line"),
    [
        ({"one": RAW, "other": MEAN}, None, "holds several sets of weights, one, other; say which with weights_key=NAME"),
        ({"model": RAW, "ema": MEAN}, "emma", "has no weights of the name weights_key=emma; it has model, ema"),
        (RAW, "ema", "has no weights of the name weights_key=ema; it has one set without a name"),
        ({"optimizer": OPTIMIZER}, None, "holds no weights"),
        (
            {"decay": 0.9, "shadow_params": [torch.ones(2)]},
            None,
            "holds no weights: 'shadow_params' is a list of tensors without names; save the network's state_dict",
        ),
        (torch.ones(2), None, "holds no weights: it is a Tensor; save the network's state_dict"),
    ],
)
def test_where_no_name_tells_it_is_asked(tmp_path: Path, content: Any, key: str | None, line: str) -> None:
    path = saved(content, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path, key)
    assert str(caught.value) == f"{path} {line}"
