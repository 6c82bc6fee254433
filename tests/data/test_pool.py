"""Encoded pictures on disk: each a function of its kind and number, drawn once, and drawn again where it is not whole."""

from pathlib import Path

import pytest
import torch

from ditkit.data.pool import Kind, Pool
from ditkit.errors import OutputError

KIND, WIDER = Kind(8, 8, 0.5, 0.25), Kind(8, 16, 0.5, 0.25)


class Drawn:
    """Picture n is everywhere n / 3, its caption is n, n; and which were drawn is remembered."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, kind: Kind, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.numbers.append(number)
        return torch.full((2, kind.height // 4, kind.width // 4), number / 3), torch.full((2,), number)


def test_every_picture_is_drawn_once_and_kept_in_float16(tmp_path: Path) -> None:
    draw = Drawn()
    pool = Pool(tmp_path, 100, draw)
    latents, tokens = pool.take(KIND, [7, 3, 7])
    assert latents.dtype == torch.float32 and tokens.dtype == torch.int64 and latents.shape == (3, 2, 2, 2)
    assert torch.equal(latents[:, 0, 0, 0], torch.tensor([7 / 3, 1, 7 / 3]).half().float())
    assert tokens.tolist() == [[7, 7], [3, 3], [7, 7]]
    assert sorted(draw.numbers) == [0, 3, 7]  # 0 showed the shapes
    again = Drawn()
    assert torch.equal(Pool(tmp_path, 100, again).take(KIND, [7, 3, 7])[0], latents) and again.numbers == [0]


def test_each_kind_has_a_file_of_its_own(tmp_path: Path) -> None:
    pool = Pool(tmp_path, 100, Drawn())
    assert pool.take(KIND, [1])[0].shape == (1, 2, 2, 2) and pool.take(WIDER, [1])[0].shape == (1, 2, 2, 4)
    assert {path.name for path in tmp_path.iterdir()} == {"8x8-0.5-0.25.pool", "8x16-0.5-0.25.pool"}


@pytest.mark.parametrize("cut", [1, 10, 35])
def test_a_picture_that_is_not_whole_is_drawn_again(tmp_path: Path, cut: int) -> None:
    first = Pool(tmp_path, 100, Drawn()).take(KIND, [0, 1, 2])
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    again = Drawn()
    assert all(map(torch.equal, Pool(tmp_path, 100, again).take(KIND, [0, 1, 2]), first))
    assert 2 in again.numbers[1:] and file.read_bytes() == whole


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "pool").write_text("a file")
    with pytest.raises(OutputError, match="cannot write .*pool"):
        Pool(tmp_path / "pool", 100, Drawn()).take(KIND, [1])
