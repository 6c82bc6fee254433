from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ditkit.errors import CheckpointError
from ditkit.files.tensors import read_tensors

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 2700534271\n" % (b"4d7a" * 16)
WAY = "fetch the file itself with 'git lfs pull', or download it again"
FALSE_FILES = {
    "a pointer of Git LFS": (POINTER, f"is a Git LFS pointer, {len(POINTER)} bytes in place of 2700534271; {WAY}"),
    "a page": (
        b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>",
        "is a web page in place of the file, perhaps one that asks to log in; download it again, from the link to the file itself",
    ),
    "a server's answer": (
        b'{"error":"Repository not found"}',
        'is a server\'s answer in place of the file, \'{"error":"Repository not found"}\'; download it again',
    ),
    "a pointer of git-annex": (
        b"/annex/objects/SHA256E-s2700534271--4d7a.pt\n",
        "is a pointer of git-annex; fetch the file itself with 'git annex get'",
    ),
    "nothing": (b"", "must be downloaded again: it is empty"),
}


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "safetensors"])
@pytest.mark.parametrize("kind", FALSE_FILES)
def test_what_stands_in_place_of_weights_is_called_what_it_is(tmp_path: Path, kind: str, ending: str) -> None:
    content, line = FALSE_FILES[kind]
    path = tmp_path / f"DiT-XL-2-256x256.{ending}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_tensors(path)
    assert str(caught.value) == f"{path} {line}"


def test_half_a_download_says_how_much_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(100)}, path)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError) as caught:
            read_tensors(path)
        assert str(caught.value) == f"{path} is truncated or damaged: it ends after {size} of its {len(whole)} bytes; download it again"
    path.write_bytes(whole[:20])
    with pytest.raises(CheckpointError, match=r"it ends after 20 bytes, within its header; download it again$"):
        read_tensors(path)


def test_half_a_pickle_is_to_be_downloaded_again(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=rf"^{path} is truncated or damaged: [^\n]*; download it again$"):
        read_tensors(path)


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_either_format_is_read_under_the_others_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"w.{ending}"
    torch.save({"a": torch.ones(2)}, path) if ending == "safetensors" else save_file({"a": torch.ones(2)}, path)
    assert torch.equal(read_tensors(path)["a"], torch.ones(2))
