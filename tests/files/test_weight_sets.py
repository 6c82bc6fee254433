from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ditkit.errors import CheckpointError
from ditkit.files.tensors import read_weights

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
    "a rate in the name": ({"net": RAW, "ema_0.9999": MEAN}, "ema_0.9999", "net"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_of_weights_and_their_average_the_average_is_taken_and_said(tmp_path: Path, name: str) -> None:
    content, mean, raw = LAYOUTS[name]
    path = saved(content, tmp_path)
    state, note, _ = read_weights(path)
    assert torch.equal(state["a.weight"], MEAN["a.weight"])
    sets = ", ".join((raw, mean))
    assert note == f"w.pt holds the weights {sets}; taken are {mean} (the average), weights_key=NAME takes others"
    assert torch.equal(read_weights(path, raw)[0]["a.weight"], RAW["a.weight"])
    assert torch.equal(read_weights(path, mean)[0]["a.weight"], MEAN["a.weight"])


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
