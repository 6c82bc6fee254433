"""Distances and accuracies against answers known by hand."""

import torch

from ditkit.metrics.judged import judged_accuracy, nearest_distances
from ditkit.metrics.reconstruction import psnr
from ditkit.models.judge import Judge, JudgeParams
from tests.closeness import assert_close, summed


def test_a_copy_is_at_distance_zero_and_black_is_one_from_white() -> None:
    black, white = -torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    distances = nearest_distances(torch.cat([black, white]), white)
    assert_close(distances, torch.tensor([1.0, 0.0]))


def test_psnr_of_a_known_error() -> None:
    target = torch.zeros(2, 3, 4, 4)
    output = target + torch.tensor([0.2, 0.02])[:, None, None, None]
    assert_close(psnr(output, target), torch.tensor([20.0, 40.0]), summed(3 * 4 * 4))


def test_the_judge_agrees_with_its_own_answers_whatever_the_batch() -> None:
    judge = Judge(JudgeParams(7, (8, 8, 8, 16))).eval()
    images = torch.randn(200, 3, 64, 64)
    with torch.no_grad():
        answers = torch.cat([judge(image[None]).argmax(1) for image in images])
    assert judged_accuracy(judge, images, answers) == 1
