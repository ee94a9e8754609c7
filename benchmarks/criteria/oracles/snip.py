"""The definition: every weight is multiplied with a mask of ones, and the loss differentiated for the mask."""

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import SNIP
from secateur.granularity import Weight
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def wanted(case: Case) -> dict[str, Tensor]:
    """|dL/dc| at c = 1, L the mean over all examples at once."""
    weights = {n: p.detach() for n, p in case.model.named_parameters()}
    masks = {n: torch.ones_like(w, requires_grad=True) for n, w in weights.items()}
    x, y = torch.cat([x for x, _ in case.batches]), torch.cat([y for _, y in case.batches])
    output = functional_call(case.model, {n: w * masks[n] for n, w in weights.items()}, (x,))
    F.cross_entropy(output, y).backward()
    return {n: c.grad.abs() for n, c in masks.items()}


def error() -> float:
    case = cases.normed()
    found = score(case.graph, SNIP(), case.evidence(SNIP.needs), granularity=Weight()).values
    masks = wanted(case)
    return max(gap(values.tolist(), masks[name].flatten().tolist()) for name, values in found.items())
