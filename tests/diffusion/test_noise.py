import torch

from ditkit.diffusion.noise import SampleNoise
from tests.closeness import spread


def test_a_sample_has_the_same_noise_in_every_batch() -> None:
    together = SampleNoise((3, 14, 15)).draw(4, (2, 5, 5))
    assert together.shape == (4, 3, 2, 5, 5)
    for i, seed in enumerate((3, 14, 15)):
        assert torch.equal(together[:, i : i + 1], SampleNoise((seed,)).draw(4, (2, 5, 5)))


def test_the_first_tensors_do_not_depend_on_how_many_are_drawn() -> None:
    noise = SampleNoise((7, 8))
    assert torch.equal(noise.draw(1, (3, 7))[0], noise.draw(9, (3, 7))[0])


def test_the_precision_only_rounds_the_noise() -> None:
    noise = SampleNoise((7,))
    assert torch.equal(noise.draw(1, (3, 7), dtype=torch.bfloat16), noise.draw(1, (3, 7)).bfloat16())


def test_seeds_and_rows_give_different_standard_normal_noise() -> None:
    noise = SampleNoise((0, 1)).draw(2, (50_000,))
    assert (noise.mean(-1).abs() < spread(50_000)).all()
    assert ((noise.std(-1) - 1).abs() < spread(100_000)).all()
    assert ((torch.corrcoef(noise.flatten(0, 1)) - torch.eye(4)).abs() < spread(50_000)).all()
