import torch

from ditkit.nn.embed import sinusoid


def test_an_odd_width_is_filled_with_a_zero() -> None:
    times = torch.tensor([0.0, 7.5, 999.0])
    odd = sinusoid(times, 7)
    assert odd.shape == (3, 7)
    assert torch.equal(odd[:, :6], sinusoid(times, 6))
    assert not odd[:, 6].any()
