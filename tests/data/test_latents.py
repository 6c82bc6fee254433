"""Latents on disk: encoded once, mapped afterwards, and refused when damaged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ditkit.data.latents import encode_pictures
from ditkit.errors import DataError
from tests.closeness import assert_close


class Numbered:
    """Picture i, variant v is everywhere 10 i + v."""

    distinct = 6
    labels = np.array([2, 0, 1])
    class_names = ("a", "b", "c")

    files = ()

    def __len__(self) -> int:
        return 3

    def picture(self, index: int, variant: int) -> np.ndarray:
        return np.full((4, 4, 3), 10 * index + variant, dtype=np.uint8)


def pooled(images: torch.Tensor) -> torch.Tensor:
    return images[:, :1, ::2, ::2] * 127.5 + 127.5


def test_every_variant_of_every_picture_is_at_its_place(tmp_path: Path) -> None:
    kept = encode_pictures(Numbered(), pooled, (0, 5), tmp_path / "latents.npy")
    assert kept.values.shape == (3, 2, 1, 2, 2) and kept.values.dtype == torch.float16
    assert_close(kept.values[:, :, 0, 0, 0], torch.tensor([[0, 5], [10, 15], [20, 25]], dtype=torch.float16), size=255)
    assert kept.labels.tolist() == [2, 0, 1]
    assert torch.equal(encode_pictures(Numbered(), pooled, (0, 5)).values, kept.values)  # without a file too


def test_latents_stay_where_they_are_unless_there_is_a_gpu_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = encode_pictures(Numbered(), pooled, (0, 5))
    assert kept.on(torch.device("cpu")) is kept
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * kept.values.nbytes - 1, 0))
    assert kept.on(torch.device("cuda")) is kept
    moved = replace(kept, values=kept.values.to("meta"), labels=kept.labels.to("meta"))  # whose draws are of that device, too
    x0, y = moved.draw(torch.Generator().manual_seed(0), 4, slice(1, 3))
    assert x0.device.type == y.device.type == "meta" and x0.shape == (2, 1, 2, 2) and y.shape == (2,)


def test_a_second_time_nothing_is_encoded(tmp_path: Path) -> None:
    first = encode_pictures(Numbered(), pooled, (0,), tmp_path / "latents.npy")
    second = encode_pictures(Numbered(), lambda images: pytest.fail("encoded again"), (0,), tmp_path / "latents.npy")
    assert torch.equal(first.values, second.values)
    second.values.zero_()  # a copy of what the file holds, not the file
    assert torch.equal(first.values, encode_pictures(Numbered(), pooled, (0,), tmp_path / "latents.npy").values)


def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    cache = tmp_path / "latents.npy"
    encode_pictures(Numbered(), pooled, (0,), cache)
    cache.write_bytes(cache.read_bytes()[:-3])
    with pytest.raises(DataError, match="latents.npy is damaged .* remove it and it is made again"):
        encode_pictures(Numbered(), pooled, (0,), cache)


def test_an_encoder_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def broken(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        encode_pictures(Numbered(), broken, (0,), tmp_path / "latents.npy")
    assert not list(tmp_path.iterdir())
