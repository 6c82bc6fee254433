import argparse
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ditkit.errors import CheckpointError
from ditkit.files.tensors import read_metadata, read_tensors, write_tensors

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}


class Intruder:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.safetensors", "W.PT", "W.SAFETENSORS", "w.pth.tar", "w.ckpt"])
def test_every_format_reads_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(STATE, path) if path.suffix.lower() == ".safetensors" else torch.save(STATE, path)
    state = read_tensors(path)
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


def test_of_a_training_state_the_averaged_weights_are_read(tmp_path: Path) -> None:
    args = argparse.Namespace(model="DiT-XL/2", epochs=1400, results_dir="results", data=None)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    torch.save(
        {"model": {"a": torch.zeros(2)}, "ema": {"a": torch.ones(2)}, "opt": optimizer.state_dict(), "args": args}, tmp_path / "0050000.pt"
    )
    assert torch.equal(read_tensors(tmp_path / "0050000.pt")["a"], torch.ones(2))
    torch.save({"model": {"a": torch.zeros(2)}, "step": 3}, tmp_path / "plain.pt")
    assert torch.equal(read_tensors(tmp_path / "plain.pt")["a"], torch.zeros(2))


@pytest.mark.parametrize(
    "nest", [lambda bad: bad, lambda bad: {"a": bad}, lambda bad: {"ema": {"a": torch.ones(1)}, "args": argparse.Namespace(x=bad)}]
)
@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_that_runs_code_is_refused_unrun(tmp_path: Path, nest: Callable[[Any], Any], new_format: bool) -> None:
    path, mark = tmp_path / "bad.pt", tmp_path / "ran"
    torch.save(nest(Intruder(mark)), path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"bad\.pt is a pickle that wants to run \w+\.system; it was refused and nothing of it ran$"):
        read_tensors(path)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_so_is_one_that_torch_did_not_write(tmp_path: Path, protocol: int) -> None:
    path, mark = tmp_path / "bad.bin", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"a": Intruder(mark)}, protocol=protocol))
    with pytest.raises(CheckpointError, match=r"bad\.bin is a pickle that .*; it was refused and nothing of it ran$"):
        read_tensors(path)
    assert not mark.exists()


def test_the_options_of_a_training_run_cannot_smuggle_a_class_in(tmp_path: Path) -> None:
    args = argparse.Namespace()
    args.__dict__["__class__"] = "not the class"  # stays an entry of the instance's dictionary
    torch.save({"ema": {"a": torch.ones(1)}, "args": args}, tmp_path / "a.pt")
    assert read_tensors(tmp_path / "a.pt").keys() == {"a"}


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_file_is_one_clear_line(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    save_file(STATE, path) if path.suffix.lower() == ".safetensors" else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError, match=f"^{path} is truncated or damaged: [^\n]+$"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_what_is_no_file_of_weights_is_refused_in_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(CheckpointError, match=r"no such file$"):
        read_tensors(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is empty$"):
        read_tensors(path)
    path.write_bytes(b"these are not the weights you are looking for" * 9)
    with pytest.raises(CheckpointError, match=r"^[^\n]+$"):
        read_tensors(path)
    with pytest.raises(CheckpointError, match="is a folder, not a file of weights"):
        read_tensors(tmp_path)
    with pytest.raises(CheckpointError, match=r"weights are read from \.safetensors, \.pt, \.pth, \.bin files, not from '\.zip'"):
        (tmp_path / "w.zip").write_bytes(b"x")
        read_tensors(tmp_path / "w.zip")


@pytest.mark.parametrize(
    ("content", "reason"),
    [([torch.ones(1)], "holds no weights"), ({}, "holds no weights"), ({"lr": 0.1}, "its entry 'lr' is a float, not a tensor")],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=reason):
        read_tensors(tmp_path / "w.pt")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    torch.save({"fine": torch.ones(2), "broken": torch.tensor([1.0, bad])}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="has NaN or infinite numbers in 1 of 2 tensors, first in broken"):
        read_tensors(tmp_path / "w.pt")


def test_metadata_and_precision_are_written(tmp_path: Path) -> None:
    shared = torch.ones(3, 2).T
    write_tensors(tmp_path / "w.safetensors", {"a": shared, "b": shared, "n": torch.tensor(2)}, {"model": "dit"}, torch.float16)
    state = read_tensors(tmp_path / "w.safetensors")
    assert (state["a"].dtype, state["n"].dtype) == (torch.float16, torch.int64)
    assert torch.equal(state["b"].float(), shared)
    assert read_metadata(tmp_path / "w.safetensors") == {"format": "pt", "model": "dit"}
    assert read_metadata(tmp_path / "w.pt") == {}


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("length", [0x80, 0x180])  # as the first byte of a pickle is
def test_safetensors_are_known_whatever_the_length_of_their_header(tmp_path: Path, length: int) -> None:
    bare = int.from_bytes(_header_of({}, tmp_path)[:8], "little")
    words = {"class_names": "x" * (length - bare - len(',"class_names":""'))}
    head = _header_of(words, tmp_path)
    assert int.from_bytes(head[:8], "little") == length and read_metadata(tmp_path / "w.safetensors")["class_names"] == words["class_names"]
    (tmp_path / "w.safetensors").rename(tmp_path / "w.bin")
    assert torch.equal(read_tensors(tmp_path / "w.bin")["w"], torch.ones(2))


def _header_of(words: dict[str, str], folder: Path) -> bytes:
    write_tensors(folder / "w.safetensors", {"w": torch.ones(2)}, words)
    return (folder / "w.safetensors").read_bytes()


ODD = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "empty (meta)": lambda: torch.ones(3, device="meta"),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch's, of its own quantisation
@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_are_no_plain_numbers_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    torch.save({"a.weight": ODD[kind]()}, tmp_path / "w.pt")
    line = re.escape(f"holds {kind} tensors, first a.weight; save the weights as plain float16, bfloat16 or float32")
    with pytest.raises(CheckpointError, match=rf"w\.pt {line}$"):
        read_tensors(tmp_path / "w.pt")


def test_numbers_of_eight_bits_are_read_and_checked(tmp_path: Path) -> None:
    values = torch.tensor([1.0, -0.5])
    torch.save({"a.weight": values.to(torch.float8_e4m3fn)}, tmp_path / "w.pt")
    assert torch.equal(read_tensors(tmp_path / "w.pt")["a.weight"].float(), values)
    torch.save({"a.weight": torch.tensor([float("nan")]).to(torch.float8_e4m3fn)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="has NaN or infinite numbers in 1 of 1 tensors, first in a.weight$"):
        read_tensors(tmp_path / "w.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_program_of_torchscript_is_called_one(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    with pytest.raises(
        CheckpointError, match=r"w\.pt is a TorchScript program, not weights; save the network's state_dict with torch\.save$"
    ):
        read_tensors(tmp_path / "w.pt")
