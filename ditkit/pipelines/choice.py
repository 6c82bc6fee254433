"""Which evaluations of a pipeline are forecast: chosen as the engine's are, in miniature (`routing.search`).

Of a pipeline's solver nothing is known but what its runs show: each input of the denoiser is a sum of the one before it and of the last
outputs, whose weights least squares find; how the network answers follows from the noise level that its scheduler is at.

Shapes: E evaluations, C calls of a step, D numbers of an output or input, G parts of an output that guidance combines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditkit.diffusion.level import Level
from ditkit.diffusion.prediction import Kind
from ditkit.routing.miniature import VARIANCE, Miniature, answer
from ditkit.routing.search import best_choice, judge

LAST = 3  # outputs that a step may be made from
NUMBERS = 2**14  # of each, that its weights are found from
PREDICTIONS: dict[str, Kind] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}


@dataclass
class Recorded:
    """One run without a plan: what the denoiser was given at each evaluation, and what its calls returned (of the part that counts)."""

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[list[Tensor]] = field(default_factory=list)

    def note(self, given: Any, output: Tensor, place: int) -> None:
        if place == 0:
            self.inputs.append(given.detach().clone() if isinstance(given, Tensor) else output)
            self.outputs.append([])
        self.outputs[-1].append(output)

    def products(self) -> np.ndarray:
        """Of the outputs of every two evaluations (E, E), in units of the last input's square."""
        flat_ED = torch.stack([torch.cat([output.double().flatten() for output in outputs]) for outputs in self.outputs])
        return (flat_ED @ flat_ED.T).cpu().numpy() / max(float(self.inputs[-1].double().square().sum()), 1e-24)

    def parts(self, evaluation: int) -> Tensor:
        """The outputs of an evaluation, each as guidance combines it (G, D): one of each call, or of each half of a doubled batch."""
        return torch.cat([_halves(output, self.inputs[evaluation]) for output in self.outputs[evaluation]])

    def given(self, evaluation: int) -> Tensor:
        """The input (D)."""
        return _halves(self.inputs[evaluation], self.inputs[evaluation])[0]


def chosen(runs: Sequence[Recorded], scheduler: Any, times: Sequence[float], skipped: int, order: int) -> frozenset[int] | None:
    """The best `skipped` evaluations to forecast from the last `order` outputs; None where runs do not tell how they are made."""
    miniature = in_miniature(runs, scheduler, times)
    if miniature is None:
        return None
    products = np.mean([run.products() for run in runs], axis=0)
    return best_choice(judge(products, miniature, order), skipped, len(times))


def in_miniature(runs: Sequence[Recorded], scheduler: Any, times: Sequence[float]) -> Miniature | None:
    """The pipeline's runs in miniature, if its inputs are of its outputs' size and its scheduler says at which levels of noise they are."""
    if any(run.inputs[0].shape != run.outputs[0][0].shape for run in runs):
        return None
    evaluations = len(times)
    inputs = np.zeros((evaluations + 1, evaluations))
    towards = 0.0
    for e in range(1, evaluations):
        last = range(max(0, e - LAST), e)[::-1]
        own, *weights = _step(runs, e, last)
        inputs[e] = own * inputs[e - 1]
        for source, weight in zip(last, weights, strict=True):
            inputs[e, source] += weight
        towards += weights[0]
    levels = _levels(scheduler, times, towards)
    if levels is None:
        return None
    kind, found = levels
    own, said = _clean(kind, found[-1])
    inputs[-1] = own * inputs[-2]
    inputs[-1, -1] += said
    return Miniature(inputs, np.array([answer(level, kind, VARIANCE) for level in found]))


def _step(runs: Sequence[Recorded], evaluation: int, last: Sequence[int]) -> np.ndarray:
    """By least squares, what the input before and each of the `last` outputs, all parts together, count in an evaluation's input."""
    rows, wanted = [], []
    for run in runs:
        rows.append(torch.cat([run.given(evaluation - 1)[None], *(run.parts(source) for source in last)])[:, :NUMBERS])
        wanted.append(run.given(evaluation)[:NUMBERS])
    columns, target = torch.cat(rows, 1).T.double().cpu().numpy(), torch.cat(wanted).double().cpu().numpy()
    own, *parts = np.linalg.lstsq(columns, target, rcond=1e-9)[0]
    return np.array([own, *np.array(parts).reshape(len(last), -1).sum(1)])


def _levels(scheduler: Any, times: Sequence[float], towards: float) -> tuple[Kind, list[Level]] | None:
    """What the network predicts, and the level of every time; `towards` is negative where outputs point to the noise."""
    abar, prediction = getattr(scheduler, "alphas_cumprod", None), getattr(scheduler.config, "prediction_type", "flow_prediction")
    if abar is not None and prediction in PREDICTIONS:
        known = np.asarray(abar, dtype=np.float64)
        at = np.interp(times, range(len(known)), known)
        return PREDICTIONS[prediction], [Level(float(a**0.5), float((1 - a) ** 0.5), 0.0, 0.0) for a in at]
    sigmas = np.asarray(getattr(scheduler, "sigmas", ()), dtype=np.float64)[: len(times)]
    if abar is None and len(sigmas) == len(times) and sigmas.max() <= 1:
        sign = -1.0 if towards > 0 else 1.0
        return "velocity", [Level(float(1 - sigma), float(sigma), -sign, sign) for sigma in sigmas]
    return None


def _clean(kind: Kind, level: Level) -> tuple[float, float]:
    """How much the input and the output of the last evaluation count in the clean sample that it predicts."""
    alpha, sigma, d_alpha, d_sigma = level
    match kind:
        case "epsilon":
            return 1 / alpha, -sigma / alpha
        case "v":
            return alpha, -sigma
        case "sample":
            return 0.0, 1.0
        case _:
            return d_sigma / (alpha * d_sigma - sigma * d_alpha), -sigma / (alpha * d_sigma - sigma * d_alpha)


def _halves(output: Tensor, given: Tensor) -> Tensor:
    """The rows of a tensor by the half of the batch (1 or 2, D), where guidance has doubled what is `given`."""
    halves = given.chunk(2) if len(given) % 2 == 0 else ()
    doubled = len(halves) == 2 and torch.equal(*halves)
    return output.reshape(2 if doubled else 1, -1)
