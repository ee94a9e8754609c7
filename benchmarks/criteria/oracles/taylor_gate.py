"""A real gate on every unit, a vector of ones that the map is multiplied with, and its gradient."""

import torch
from torch.nn import functional as F

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import TaylorGate
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def wanted(case: Case, cut: int) -> list[float]:
    """The mean over batches of the squared gradient at gates behind the first `cut` layers."""
    sums = None
    for x, y in case.batches:
        a = case.model[:cut](x).detach()
        gate = torch.ones(a.shape[1], dtype=torch.float64, requires_grad=True)
        F.cross_entropy(case.model[cut:](a * gate[:, None, None]), y).backward()
        squares = [g * g for g in gate.grad.tolist()]
        sums = squares if sums is None else [s + q for s, q in zip(sums, squares, strict=True)]
    return [s / len(case.batches) for s in sums]


def error() -> float:
    case = cases.normed()
    found = score(case.graph, TaylorGate(), case.evidence(TaylorGate.needs)).values
    return max(gap(found[name].tolist(), wanted(case, cut)) for name, cut in (("0", 3), ("3", 6)))
