"""Which evaluations of a pipeline are forecast: chosen as the engine's are, in miniature (`routing.search`).

Of a pipeline's solver nothing is known but what its runs show: each input of the denoiser is a sum of those before it and of the last
outputs, in proportions that least squares find. How the network answers follows from the level of noise that its scheduler is at.

Shapes: E evaluations, D numbers of an input or output, G parts of an output that guidance combines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Kind, Prediction
from ditkit.routing.miniature import VARIANCE, Miniature, answer
from ditkit.routing.search import best_choice, judge

LAST = 3  # inputs and outputs that a step may be made from
NUMBERS = 2**14  # of each input and output, that the proportions are found from
PIECE = 2**20  # numbers of an output that are multiplied at a time
PREDICTIONS: dict[str, Kind] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}


@dataclass(frozen=True)
class Recorded:
    """What is kept of a run without a plan: the `products` (E, E) of its outputs, in units of the last input's square, and the first
    numbers of every input (D) and of every output's parts (G, D)."""

    products: np.ndarray
    inputs: list[Tensor]
    outputs: list[Tensor]

    @classmethod
    def of(cls, inputs: Sequence[Tensor], outputs: Sequence[Sequence[Tensor]]) -> "Recorded":
        """Of what the denoiser was given and what each of its calls returned at every evaluation."""
        products = torch.zeros(len(outputs), len(outputs), dtype=torch.float64)
        for call in zip(*outputs, strict=True):
            for piece in zip(*(output.flatten().split(PIECE) for output in call), strict=True):
                numbers = torch.stack(piece).double()
                products += (numbers @ numbers.T).cpu()
        size = max(float(inputs[-1].double().square().sum()), 1e-24)
        parts = [torch.cat([_parts(output, given) for output in made]) for given, made in zip(inputs, outputs, strict=True)]
        return cls((products / size).numpy(), [_parts(given, given)[0] for given in inputs], parts)


def chosen(runs: Sequence[Recorded], scheduler: Any, times: Sequence[float], skipped: int, order: int) -> frozenset[int] | None:
    """The best `skipped` evaluations to forecast from the last `order` outputs; None where nothing tells the levels of noise."""
    miniature = in_miniature(runs, scheduler, times) if runs else None
    if miniature is None:
        return None
    products = np.mean([run.products for run in runs], axis=0)
    return best_choice(judge(products, miniature, order), skipped, len(times))


def in_miniature(runs: Sequence[Recorded], scheduler: Any, times: Sequence[float]) -> Miniature | None:
    """The pipeline's runs in miniature, if its scheduler says at which levels of noise they are."""
    evaluations = len(times)
    inputs, towards = np.zeros((evaluations + 1, evaluations)), 0.0
    for e in range(1, evaluations):
        last = list(range(max(0, e - LAST), e))[::-1]
        of_inputs, of_outputs = _step(runs, e, last)
        inputs[e] = of_inputs @ inputs[last]
        inputs[e, last] += of_outputs
        towards += float(of_outputs.sum())
    if (levels := _levels(scheduler, times, towards)) is None:
        return None
    kind, found = levels
    one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    inputs[-1] = float(Prediction(none, kind).to_x0(one, found[-1])) * inputs[-2]  # a run ends at the clean sample that is seen last
    inputs[-1, -1] += float(Prediction(one, kind).to_x0(none, found[-1]))
    return Miniature(inputs, np.array([answer(level, kind, VARIANCE) for level in found]))


def _step(runs: Sequence[Recorded], evaluation: int, last: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The proportions in an evaluation's input of each of the `last` inputs, and of each of the outputs, all its parts together."""
    columns = [_numbers([*(run.inputs[source][None] for source in last), *(run.outputs[source] for source in last)]) for run in runs]
    wanted = [_numbers([run.inputs[evaluation][None]])[0] for run in runs]
    found = np.linalg.lstsq(np.concatenate(columns, 1).T, np.concatenate(wanted), rcond=1e-9)[0]
    return found[: len(last)], found[len(last) :].reshape(len(last), -1).sum(1)


def _numbers(rows: Sequence[Tensor]) -> np.ndarray:
    least = min(row.shape[1] for row in rows)
    return torch.cat([row[:, :least] for row in rows]).double().cpu().numpy()


def _levels(scheduler: Any, times: Sequence[float], towards: float) -> tuple[Kind, list[Level]] | None:
    """What the network predicts and the level at each time: of a noise schedule, or else of the linear path, if that is what there is.

    Along the path outputs point `towards` the data if they are added, and to the noise if they are taken away.
    """
    abar, sigmas = getattr(scheduler, "alphas_cumprod", None), np.asarray(getattr(scheduler, "sigmas", ()), dtype=np.float64)
    kind = PREDICTIONS.get(getattr(getattr(scheduler, "config", None), "prediction_type", ""))
    if abar is not None and kind:
        return kind, [Level.of_abar(float(a)) for a in np.interp(times, range(len(abar)), np.asarray(abar, dtype=np.float64))]
    if abar is None and len(sigmas) > len(times) and sigmas.max() <= 1:
        levels = [Level(1 - sigma, sigma, 1.0, -1.0) for sigma in map(float, sigmas[: len(times)])]
        return "velocity" if towards > 0 else "reversed velocity", levels
    return None


def _parts(numbers: Tensor, given: Tensor) -> Tensor:
    """The first numbers of each half (2, D) of a batch that guidance has doubled, as is seen in what is `given`, or of all of it (1, D)."""
    halves = given.chunk(2)
    doubled = len(halves) == 2 and torch.equal(*halves)
    return numbers.reshape(2 if doubled else 1, -1)[:, :NUMBERS].clone()
