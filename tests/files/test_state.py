"""Training states as files: the same bytes for the same state, and reasons that people can act on."""

import resource
from pathlib import Path

import pytest
import torch

from ditkit.errors import CheckpointError, OutputError
from ditkit.files.state import read_state, write_state
from ditkit.files.tensors import write_tensors


def test_the_same_state_is_the_same_bytes_however_it_came_about(tmp_path: Path) -> None:
    betas = (0.9, 0.99)
    state = {
        "step": 3,
        "groups": [{"lr": 0.1, "betas": betas}, {"betas": betas, "lr": 0.1}],
        "model": {"b": torch.ones(3), "a": torch.ones(2)},
    }
    write_state(tmp_path / "one.pt", state)
    again = read_state(tmp_path / "one.pt")
    write_state(tmp_path / "another-name.pt", dict(reversed(again.items())))
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another-name.pt").read_bytes()
    assert again["groups"][0]["betas"] == betas and torch.equal(again["model"]["a"], torch.ones(2))


def test_the_words_beside_tensors_have_one_order(tmp_path: Path) -> None:
    words = dict.fromkeys("zyxwvutsrq", 'é "quoted" \\ \x01')
    for name in "ab":
        write_tensors(tmp_path / f"{name}.safetensors", {"x": torch.ones(2)}, words)
    one, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert one == other and one.index(b'"q"') < one.index(b'"z"')


def test_a_file_that_may_not_grow_names_the_reason(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        for write in (
            lambda: write_state(tmp_path / "state.pt", {"x": torch.randn(100_000)}),
            lambda: write_tensors(tmp_path / "x.safetensors", {"x": torch.randn(100_000)}),
        ):
            with pytest.raises(OutputError, match="cannot write .*File too large"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04cos\nsystem\n."])
def test_what_is_no_state_is_said_without_torch_s_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged, or no state of a training; move it away to start afresh$"):
        read_state(tmp_path / "state.pt")
