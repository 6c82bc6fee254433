"""Whether things are in their boxes: the share of boxes that hold what they should, and how well what was detected fills them.

Shapes: H W picture, W windows. Pictures are in [-1, 1].
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ditkit.data.box_prompts import Box
from ditkit.data.captions import plural
from ditkit.errors import DataError
from ditkit.metrics.bootstrap import RESAMPLES, Interval, interval
from ditkit.metrics.detections import Detection, Detector, overlap
from ditkit.models.judge import Judge

SUCCESS = 0.5  # a detection that overlaps a box so far is in it
SIDE = 64  # pixels of what the judge looks at
SIDES = (1.0, 0.75, 0.5, 0.375, 0.25)  # of the windows it scans a picture with, of the shorter side
STRIDE = 0.25  # from window to window, of their side
SURE = 0.5  # as probable a class must be to count as detected


class Verdict(NamedTuple):
    """Whether a box holds what it should, and how far the best detection of that overlaps the box; 0 if there is none."""

    success: bool
    overlap: float


class BoxJudge(Protocol):
    """Anything that says of each box of a picture whether it holds what its label says."""

    def check(self, labels: Sequence[str]) -> None:
        """Raise `DataError` for a label that cannot be judged."""
        ...

    def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]: ...


@dataclass(frozen=True)
class DetectorJudge:
    """By a detector: a box holds what is detected with an overlap of at least `least`."""

    detector: Detector
    least: float = SUCCESS

    def check(self, labels: Sequence[str]) -> None:
        """A detector looks for anything."""

    def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]:
        found = self.detector.detect(picture_3HW, list(dict.fromkeys(labels)))
        overlaps = [best_overlap(found, label, box) for label, box in zip(labels, boxes, strict=True)]
        return [Verdict(reached >= self.least, reached) for reached in overlaps]


@dataclass(frozen=True)
class CropJudge:
    """By the bundled judge: a box holds what its crop is recognised as. Where things are it tells by looking through windows.

    A label is read as the class that it ends with: "a red hot dog" is a hot dog. Raises `DataError` for one that names none.
    """

    classifier: Judge
    class_names: Sequence[str]

    def check(self, labels: Sequence[str]) -> None:
        for label in labels:
            class_of(label, self.class_names)

    @torch.inference_mode()
    def judge(self, picture_3HW: Tensor, labels: Sequence[str], boxes: Sequence[Box]) -> list[Verdict]:
        wanted = torch.tensor([class_of(label, self.class_names) for label in labels], dtype=torch.long)
        if not len(wanted):
            return []
        right = self._probabilities(picture_3HW, boxes).argmax(1) == wanted
        found = self.detect(picture_3HW, list(dict.fromkeys(labels)))
        overlaps = [best_overlap(found, label, box) for label, box in zip(labels, boxes, strict=True)]
        return [Verdict(bool(success), reached) for success, reached in zip(right, overlaps, strict=True)]

    @torch.inference_mode()
    def detect(self, picture_3HW: Tensor, names: Sequence[str]) -> list[Detection]:
        """The windows in which something of these names is recognised; of those that overlap by half the surest."""
        places = list(windows(*picture_3HW.shape[1:]))
        probabilities_WC = self._probabilities(picture_3HW, places)
        return [found for name in names for found in _surest_apart(name, places, probabilities_WC[:, class_of(name, self.class_names)])]

    def _probabilities(self, picture_3HW: Tensor, boxes: Sequence[Box]) -> Tensor:
        crops = torch.stack([squared_crop(picture_3HW, box) for box in boxes])
        return torch.cat([self.classifier(part).softmax(1) for part in crops.split(128)])


def class_of(label: str, class_names: Sequence[str]) -> int:
    """The longest class name, synonym or plural of one that the label ends with at a word's beginning; raises `DataError`."""
    words = " ".join(label.lower().split())
    fitting = [
        (len(form), place)
        for place, synonyms in enumerate(class_names)
        for name in (part.strip().lower() for part in synonyms.split(","))
        for form in (name, plural(name))
        if re.search(rf"(?<!\w){re.escape(form)}$", words)
    ]
    if not fitting:
        raise DataError(f"no class is known that '{label}' ends with; there are {', '.join(class_names[:6])}, ...")
    return max(fitting)[1]


def best_overlap(found: Sequence[Detection], label: str, box: Box) -> float:
    """Of all detections of the label the largest overlap, so that two boxes of one label each have their own."""
    return max((overlap(each.box, box) for each in found if each.name == label), default=0.0)


def squared_crop(picture_3HW: Tensor, box: Box) -> Tensor:
    """What is in the box, at least a pixel, as a square (3, 64, 64): the shorter side is filled up with the pixels at its edges."""
    height, width = picture_3HW.shape[1:]
    left, top = min(int(box[0] * width), width - 1), min(int(box[1] * height), height - 1)
    crop = picture_3HW[None, :, top : max(round(box[3] * height), top + 1), left : max(round(box[2] * width), left + 1)].float()
    short = crop.shape[2] - crop.shape[3]
    pad = (max(short, 0) // 2, (max(short, 0) + 1) // 2, max(-short, 0) // 2, (max(-short, 0) + 1) // 2)
    return F.interpolate(F.pad(crop, pad, mode="replicate"), (SIDE, SIDE), mode="bilinear", antialias=True)[0]


def windows(height: int, width: int) -> Iterator[Box]:
    """Squares of several sizes, each a quarter of its side from the next, that cover the picture."""
    for share in SIDES:
        side = share * min(height, width)
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield left / width, top / height, (left + side) / width, (top + side) / height


def _starts(length: int, side: float) -> list[float]:
    count = round((length - side) / (side * STRIDE)) + 1
    return torch.linspace(0, length - side, count, dtype=torch.float64).tolist()


def _surest_apart(name: str, places: Sequence[Box], probabilities_W: Tensor) -> list[Detection]:
    kept: list[Detection] = []
    for place in probabilities_W.argsort(descending=True, stable=True).tolist():  # of equals the largest, which comes first
        probability = float(probabilities_W[place])
        if probability < SURE:
            break
        if all(overlap(places[place], other.box) < SUCCESS for other in kept):
            kept.append(Detection(name, probability, places[place]))
    return kept


@dataclass(frozen=True)
class BoxScore:
    """The share of all boxes that hold what they should, the mean overlap, and 95 % intervals over pictures."""

    boxes: int
    success: float
    success_interval: Interval
    overlap: float
    overlap_interval: Interval


def box_score(pictures: Sequence[Sequence[Verdict]], resamples: int = RESAMPLES, seed: int = 0) -> BoxScore:
    """The score of the verdicts of each picture; whole pictures are resampled, as their boxes depend on each other.

    Raises `DataError` for fewer than two pictures with boxes.
    """
    with_boxes = [verdicts for verdicts in pictures if verdicts]
    counts, successes, overlaps = _sums(with_boxes)

    def share(of: Tensor, drawn: Tensor) -> float:
        return float(of[drawn].sum() / counts[drawn].sum())

    intervals = [interval(lambda drawn, of=of: share(of, drawn), len(with_boxes), resamples, seed) for of in (successes, overlaps)]
    everything = torch.arange(len(with_boxes))
    return BoxScore(int(counts.sum()), share(successes, everything), intervals[0], share(overlaps, everything), intervals[1])


def success_ratio(
    pictures: Sequence[Sequence[Verdict]], plain: Sequence[Sequence[Verdict]], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, Interval]:
    """How many times more boxes succeed than in the `plain` pictures of the same layouts, and its paired 95 % interval.

    Half a success stands for none, so that the ratio is finite. Raises `DataError` if the layouts are not the same.
    """
    if [len(verdicts) for verdicts in pictures] != [len(verdicts) for verdicts in plain]:
        raise DataError("a paired ratio compares pictures of the same layouts, and these have other boxes")
    ours, theirs = _sums(pictures)[1], _sums(plain)[1]

    def ratio(drawn: Tensor) -> float:
        return float(ours[drawn].sum() / theirs[drawn].sum().clamp_min(0.5))

    return ratio(torch.arange(len(pictures))), interval(ratio, len(pictures), resamples, seed)


def _sums(pictures: Sequence[Sequence[Verdict]]) -> tuple[Tensor, Tensor, Tensor]:
    """Per picture the number of boxes, of successes, and the sum of overlaps."""
    rows = [(len(verdicts), sum(v.success for v in verdicts), sum(v.overlap for v in verdicts)) for verdicts in pictures]
    counts, successes, overlaps = torch.tensor(rows, dtype=torch.float64).reshape(-1, 3).unbind(1)
    return counts, successes, overlaps
