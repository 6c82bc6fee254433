"""What the judge is shown of pictures of one size or another."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ditkit.codecs.codec import from_uint8
from ditkit.errors import CheckpointError, DataError
from ditkit.metrics.vision import FeatureNetwork, find_network
from ditkit.models.judge import load_judge


@pytest.fixture
def judge() -> FeatureNetwork:
    return find_network("judge", None, torch.device("cpu"))


def pictures(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@torch.inference_mode()
def test_pictures_of_the_judge_s_own_size_are_left_alone(judge: FeatureNetwork) -> None:
    assert torch.equal(judge.see(pictures(64, 64)).pooled, load_judge().features(from_uint8(pictures(64, 64))))


@pytest.mark.parametrize("side", [32, 96])
@torch.inference_mode()
def test_other_squares_are_scaled(side: int, judge: FeatureNetwork) -> None:
    scaled = F.interpolate(from_uint8(pictures(side, side)), (64, 64), mode="bilinear", antialias=True)
    assert torch.equal(judge.see(pictures(side, side)).pooled, load_judge().features(scaled))


def test_what_is_not_square_is_refused(judge: FeatureNetwork) -> None:
    with pytest.raises(DataError, match="^the judge sees square pictures, these are 64 x 48; take features=inception, dinov2 or clip$"):
        judge.see(pictures(48, 64))


@pytest.mark.parametrize(
    ("path", "raised", "message"),
    [
        (
            "gone.pth",
            FileNotFoundError(2, "No such file or directory", "gone.pth"),
            r"^feature_weights=gone\.pth is not the Inception-v3 of torch-fidelity: \[Errno 2\] No such file or directory: 'gone\.pth'; "
            "without feature_weights it is fetched$",
        ),
        ("other.pth", RuntimeError("in state_dict:\n\tsize mismatch"), "torch-fidelity: RuntimeError: in state_dict: size mismatch; "),
        (
            None,
            OSError("<urlopen error>"),
            "^torch-fidelity cannot fetch its Inception-v3: <urlopen error>; give its file with feature_weights=FILE$",
        ),
    ],
)
def test_inception_without_its_weights_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, path: str | None, raised: Exception, message: str
) -> None:
    def extractor(*words: Any) -> None:
        raise raised

    fake = SimpleNamespace(FeatureExtractorInceptionV3=extractor)
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", fake)
    with pytest.raises(CheckpointError, match=message):
        find_network("inception", path, torch.device("cpu"))
