"""Boxes that hold what they should, by judges that are drawn up and by the bundled one."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ditkit.data.box_prompts import Box
from ditkit.errors import DataError
from ditkit.metrics.detections import Detection, overlap, surest
from ditkit.metrics.grounding import (
    BoxJudge,
    CropJudge,
    DetectorJudge,
    Verdict,
    best_overlap,
    box_score,
    class_of,
    squared_crop,
    success_ratio,
    windows,
)
from ditkit.models.judge import Judge, JudgeParams
from tests.closeness import assert_close, close, near, tolerance

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
NAMES = ("dark", "bright, light", "hot dark")


class Brightness(Judge):
    """Calls a crop bright or dark by its mean, and is unsure of grey."""

    def __init__(self) -> None:
        super().__init__(JudgeParams(classes=3, widths=(8, 8)))

    def forward(self, images_B3HW: Tensor) -> Tensor:
        bright = images_B3HW.mean(dim=(1, 2, 3)) * 20
        return torch.stack([-bright, bright, torch.full_like(bright, -5)], dim=1)


class Fixed:
    """A detector that sees the same in every picture."""

    def __init__(self, *found: Detection) -> None:
        self.found = list(found)
        self.asked: list[str] = []

    def detect(self, picture_3HW: Tensor, names: Sequence[str]) -> list[Detection]:
        self.asked += names
        return self.found


def half_bright() -> Tensor:
    """Bright on the left, dark on the right."""
    picture = torch.full((3, 32, 64), -1.0)
    picture[:, :, :32] = 1
    return picture


def test_overlaps_are_those_of_rectangles() -> None:
    assert overlap(WHOLE, WHOLE) == 1
    assert overlap(WHOLE, (0.0, 0.0, 0.5, 0.5)) == 0.25
    assert overlap((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == near(1 / 3)
    assert overlap((0, 0, 0.2, 0.2), (0.5, 0.5, 1, 1)) == overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_of_many_detections_the_one_that_fits_the_box_counts() -> None:
    found = [Detection("a", 0.9, (0, 0, 0.2, 0.2)), Detection("a", 0.3, (0.5, 0.5, 1, 1)), Detection("b", 1.0, WHOLE)]
    assert best_overlap(found, "a", (0.5, 0.5, 1, 1)) == 1
    assert best_overlap(found, "c", WHOLE) == 0
    first = surest(found, "a")
    assert first is not None and first.score == 0.9 and surest(found, "c") is None


def test_a_detector_judges_by_overlap_and_is_asked_each_name_once() -> None:
    detector = Fixed(Detection("a", 0.9, (0, 0, 0.5, 1)))
    judge: BoxJudge = DetectorJudge(detector)
    verdicts = judge.judge(torch.zeros(3, 8, 8), ["a", "a", "b"], [(0, 0, 0.6, 1), (0, 0, 1, 0.9), WHOLE])
    assert [verdict.success for verdict in verdicts] == [True, False, False]
    assert [verdict.overlap for verdict in verdicts] == near([5 / 6, 0.45 / 0.95, 0])
    assert detector.asked == ["a", "b"]
    assert not DetectorJudge(detector, 0.9).judge(torch.zeros(3, 8, 8), ["a"], [(0, 0, 0.6, 1)])[0].success


def test_the_judge_recognises_crops_and_finds_where_things_are() -> None:
    judge = CropJudge(Brightness(), NAMES)
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    verdicts = judge.judge(half_bright(), ["something bright", "dark", "dark"], [left, right, left])
    assert [verdict.success for verdict in verdicts] == [True, True, False]
    assert verdicts[0].overlap == verdicts[1].overlap == 1
    assert verdicts[2].overlap < 0.2
    assert judge.judge(half_bright(), [], []) == []
    found = judge.detect(half_bright(), ["bright"])
    assert all(detection.score >= 0.5 and detection.box[0] < 0.5 for detection in found)
    assert all(overlap(a.box, b.box) < 0.5 for a in found for b in found if a is not b)


def test_labels_are_read_as_the_longest_class_they_end_with() -> None:
    assert [class_of(words, NAMES) for words in ("a Dark", "a hot  dark", "so light", "bright", "two lights")] == [0, 2, 1, 1, 1]
    with pytest.raises(DataError, match="^no class is known that 'a moonlight' ends with; there are dark, bright, light, hot dark, ...$"):
        class_of("a moonlight", NAMES)


def test_a_crop_is_a_square_that_shows_nothing_from_outside_the_box() -> None:
    crop = squared_crop(half_bright(), (0.0, 0.0, 0.5, 0.25))
    assert crop.shape == (3, 64, 64)
    assert close(crop, torch.ones_like(crop))
    picture = torch.arange(64.0).expand(3, 64, 64)
    assert_close(squared_crop(picture, WHOLE), picture)
    assert squared_crop(picture, (1.0, 1.0, 1.0, 1.0)).unique().tolist() == [63]  # at least a pixel, however thin the box


def test_windows_are_squares_inside_the_picture_and_reach_its_edges() -> None:
    for height, width in ((96, 96), (64, 144)):
        boxes = list(windows(height, width))
        for left, top, right, bottom in boxes:
            assert (right - left) * width == near((bottom - top) * height)
            assert min(left, top) >= 0 and max(right, bottom) <= 1 + tolerance(1)
        assert max(box[2] for box in boxes) == near(1) and max(box[3] for box in boxes) == near(1)
        assert (0, 0) in [(box[0], box[1]) for box in boxes]
    assert len(list(windows(96, 96))) < 300


def test_a_score_counts_boxes_and_resamples_pictures() -> None:
    yes, no = Verdict(True, 0.8), Verdict(False, 0.2)
    result = box_score([[yes, yes, yes], [no], [], [yes, no]])
    assert (result.boxes, result.success) == (6, near(4 / 6))
    assert result.overlap == near((4 * 0.8 + 2 * 0.2) / 6)
    assert result.success_interval.low < 4 / 6 < result.success_interval.high
    alike = box_score([[yes, no]] * 10)
    assert tuple(alike.success_interval) == near((0.5, 0.5))  # no picture differs from another
    with pytest.raises(DataError, match="an interval needs at least 2 samples to draw from, here is 1"):
        box_score([[yes], []])


def test_a_ratio_is_paired_and_finite() -> None:
    yes, no = Verdict(True, 1.0), Verdict(False, 0.0)
    ratio, interval = success_ratio([[yes, yes], [yes, yes]], [[yes, no], [no, yes]])
    assert (ratio, *interval) == (2, 2, 2)  # the pictures differ in nothing that resampling could change
    assert success_ratio([[yes], [yes]], [[no], [no]])[0] == 4
    with pytest.raises(DataError, match="^a paired ratio compares pictures of the same layouts, and these have other boxes$"):
        success_ratio([[yes], [yes]], [[yes], [yes, no]])
