"""L2P, for comparison: coefficients per evaluation learned by gradient on features (Shen et al. 2026, arXiv 2604.26365).

Features are the network's outputs in runs without a plan, so coefficients are learned for inputs that no forecast has changed, each
evaluation by itself. The loss is a square, so it is taken from sums of products and costs nothing to descend.

Shapes: J outputs that a forecast is made from.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ditkit.cache.fit import DIGITS
from ditkit.cache.forecast import Cell
from ditkit.cache.plan import CachePlan
from ditkit.engine.denoiser import OnStep
from ditkit.engine.model import Model
from ditkit.engine.request import SamplingRequest
from ditkit.routing.search import sources
from ditkit.routing.undisturbed import undisturbed

STEPS = 1000
LEARNING_RATE = 0.02


def learned(model: Model, request: SamplingRequest, plan: CachePlan, order: int, on_step: OnStep | None = None) -> CachePlan:
    """The plan with coefficients for its whole forecasts, each from the last `order` outputs, learned on the request's runs."""
    products_EE = undisturbed(model, request, on_step).products.sum(0)
    before = sources(plan.whole, plan.evaluations, order)
    whole = {evaluation: _descended(products_EE, evaluation, list(made)) for evaluation, made in before.items()}
    return replace(plan, whole=whole, provenance={**plan.provenance, "policy": "l2p", "order": order})


def _descended(products_EE: Tensor, evaluation: int, sources: list[int]) -> Cell:
    """Adam on |F - sum_j c_j K_j|^2 / |F|^2, from holding the last output."""
    size = products_EE[evaluation, evaluation].clamp_min(1e-30)
    own_JJ, wanted_J = products_EE[sources][:, sources] / size, products_EE[sources, evaluation] / size
    c_J = torch.zeros(len(sources), dtype=torch.float64)
    c_J[0] = 1
    c_J.requires_grad_(True)
    optimizer = torch.optim.Adam([c_J], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (c_J @ own_JJ @ c_J - 2 * c_J @ wanted_J + 1).backward()
        optimizer.step()
        schedule.step()
    return tuple(round(c, DIGITS) for c in c_J.tolist())
