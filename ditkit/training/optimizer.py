"""What moves the weights: AdamW, or Muon for the matrices inside the blocks and AdamW for everything else.

Muon (Jordan et al. 2024; the rate scaled as in Liu et al. 2025, arXiv 2502.16982) steps along the nearest orthogonal matrix of
the averaged gradient. `torch.optim.Muon` finds that matrix in bfloat16, one parameter at a time, which a CPU without bfloat16
arithmetic does an order of magnitude slower; here it is found in the gradient's own precision, equal shapes together, and for matrices
far from square from their small Gram matrix, at half the cost.

Shapes: P parameters of one shape, R C rows and columns.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
LIKE_ADAMW = 0.2  # the root mean square of AdamW's usual step, in learning rates: one learning rate serves both
SLOW = 0.1  # of the learning rate
WIDE = 2  # times as long as broad, from which on the way over the Gram matrix is the shorter one
# x <- a x + b x^3 + c x^5 on the singular values, five times: from [0.001, 1] to about 1 (You 2025, each step's own polynomial)
POLYNOMIALS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, for matrices only."""

    def __init__(self, params: Iterable[Tensor], lr: float, *, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            equals: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    equals.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in equals.items():
                directions_PRC = orthogonal(torch.stack([self._momentum(parameter) for parameter in parameters]))
                rate = group["lr"] * LIKE_ADAMW * max(shape) ** 0.5
                for parameter, direction_RC in zip(parameters, directions_PRC, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction_RC, alpha=rate)

    def _momentum(self, parameter: Tensor) -> Tensor:
        """Nesterov's: the gradient mixed with its running average."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        state["average"].lerp_(parameter.grad, 1 - MOMENTUM)
        return parameter.grad.lerp(state["average"], MOMENTUM)


def orthogonal(x_PRC: Tensor) -> Tensor:
    """About U V^T for each matrix's U S V^T: singular values between 0.7 and 1.2 (Newton-Schulz)."""
    tall = x_PRC.shape[-2] > x_PRC.shape[-1]
    x = x_PRC.mT if tall else x_PRC
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = _by_gram(x) if x.shape[-1] >= WIDE * x.shape[-2] else _step_by_step(x)
    return x.mT if tall else x


def _step_by_step(x: Tensor) -> Tensor:
    for a, b, c in POLYNOMIALS:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


def _by_gram(x: Tensor) -> Tensor:
    """The same steps on the Gram matrix x x^T, whose factors are gathered and applied to x once."""
    gram = x @ x.mT
    factors: Tensor | None = None
    for a, b, c in POLYNOMIALS:
        factor = b * gram + c * gram @ gram
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        factors = factor if factors is None else factor @ factors
        gram = factor @ gram @ factor
    assert factors is not None
    return factors @ x


def build_optimizers(
    module: nn.Module, name: str, lr: float, betas: tuple[float, float], weight_decay: float
) -> list[torch.optim.Optimizer]:
    """The optimisers that together move every parameter of `module` that is trained.

    A module may name a `slow` part of itself: AdamW moves that at `SLOW` of the rate, which the trainer reads from its group's "share".
    """
    slow = {id(parameter): parameter for parameter in _parameters(getattr(module, "slow", None))}
    inner = [matrix for matrix in block_matrices(module) if id(matrix) not in slow] if name == "muon" else []
    known = {id(parameter) for parameter in inner} | slow.keys()
    outer = [parameter for parameter in _parameters(module) if id(parameter) not in known]
    groups = [{"params": part, "share": share} for part, share in ((outer, 1.0), ([*slow.values()], SLOW)) if part]
    made: list[torch.optim.Optimizer] = (
        [torch.optim.AdamW(groups, lr, betas=betas, weight_decay=weight_decay, fused=True)] if groups else []
    )
    return [*made, Muon(inner, lr, weight_decay=weight_decay)] if inner else made


def _parameters(module: nn.Module | None) -> list[nn.Parameter]:
    """Those that are trained."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad] if module else []


def block_matrices(module: nn.Module) -> list[Tensor]:
    """The weights of the linear layers that lie in a list of blocks."""
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    layers = {id(layer): layer for part in lists for layer in part.modules() if isinstance(layer, nn.Linear)}
    return [layer.weight for layer in layers.values() if layer.weight.requires_grad]
