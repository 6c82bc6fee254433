"""T5 in 8 bits, where torchao is installed, and one clear line where it is not."""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ditkit.errors import MissingDependency
from ditkit.text.eight_bits import in_eight_bits
from ditkit.text.encoder import encode, find_encoder, load_encoder
from tests.closeness import DEVIATIONS
from tests.text.tiny import CONFIG, SPEC, write_encoder

PROMPTS = ("A hot dog, two cats", "", "the sun")
MATRICES = 7 * CONFIG["num_layers"]  # queries, keys, values, outputs, and three of the gated MLP
MISSING = find_spec("torchao") is None


@pytest.mark.skipif(not MISSING, reason="torchao is installed")
def test_without_torchao_it_is_said_how_to_get_it_before_anything_is_read(tmp_path: Path) -> None:
    found = find_encoder("t5-v1.1-xxl", str(write_encoder(tmp_path)))
    (tmp_path / "text_encoder" / "model.safetensors").write_bytes(b"")
    with pytest.raises(MissingDependency) as caught:
        encode(PROMPTS, found, SPEC, dtype=torch.int8)
    line = "a text encoder in int8 needs the torchao package: pip install 'ditkit[int8]', or use text.precision=bfloat16"
    assert str(caught.value) == line


@pytest.mark.skipif(MISSING, reason="torchao, which ditkit[int8] brings, is not installed")
def test_features_are_those_of_bfloat16_but_for_the_rounding_of_the_matrices(tmp_path: Path) -> None:
    """A row's weights are moved by up to half of its largest / 127: of normal weights by 2.5 / 127 / sqrt(12) of their deviation each."""
    found = find_encoder("t5-v1.1-xxl", str(write_encoder(tmp_path)))
    rounded, exact = (encode(PROMPTS, found, SPEC, dtype=dtype).features for dtype in (torch.int8, torch.bfloat16))
    assert rounded.dtype == torch.bfloat16 and not torch.equal(rounded, exact)
    apart = float((rounded.float() - exact.float()).norm() / exact.float().norm())
    assert apart < DEVIATIONS * math.sqrt(MATRICES) * (2.5 / 127 / math.sqrt(12) + torch.finfo(torch.bfloat16).eps)


@pytest.mark.skipif(MISSING, reason="torchao, which ditkit[int8] brings, is not installed")
def test_every_matrix_of_a_block_is_kept_in_a_byte_for_each_weight(tmp_path: Path) -> None:
    whole = load_encoder(write_encoder(tmp_path) / "text_encoder", torch.bfloat16)
    kept = in_eight_bits(whole).state_dict()
    matrices = {name: value for name, value in kept.items() if ".layer." in name and value.ndim == 2 and "bias" not in name}
    assert len(matrices) == MATRICES
    for name, value in matrices.items():
        assert value.qdata.dtype == torch.int8 and value.qdata.shape == whole.state_dict()[name].shape  # pyright: ignore[reportAttributeAccessIssue]
