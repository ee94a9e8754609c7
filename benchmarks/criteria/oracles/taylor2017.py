"""Example by example: the map is set free, and its gradient asked of autograd."""

import torch
from torch.nn import functional as F

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import Taylor2017
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def wanted(case: Case, cut: int) -> list[float]:
    """|mean of a dL/da| of every map behind the first `cut` layers, averaged over examples, one example at a time."""
    sums, count = None, 0
    for x, y in case.batches:
        for n in range(len(x)):
            a = case.model[:cut](x[n : n + 1]).detach().requires_grad_()
            F.cross_entropy(case.model[cut:](a), y[n : n + 1]).backward()
            effects = []
            for u in range(a.shape[1]):
                terms = [
                    v * g for v, g in zip(a[0, u].flatten().tolist(), a.grad[0, u].flatten().tolist(), strict=True)
                ]
                effects.append(abs(sum(terms) / len(terms)))
            sums = effects if sums is None else [s + e for s, e in zip(sums, effects, strict=True)]
            count += 1
    return [s / count for s in sums]


def error() -> float:
    case = cases.normed()
    evidence = case.evidence(Taylor2017.needs)
    plain = score(case.graph, Taylor2017(normalize=False), evidence).values
    normed = score(case.graph, Taylor2017(), evidence).values
    gaps = []
    for name, cut in (("0", 3), ("3", 6)):
        effects = wanted(case, cut)
        size = sum(e * e for e in effects) ** 0.5
        gaps += [gap(plain[name].tolist(), effects), gap(normed[name].tolist(), [e / size for e in effects])]
    return max(gaps)


def moved(case: Case, cut: int, step: float = 1e-6) -> list[float]:
    """The same by finite differences: what the loss does when one map of one example is made a little smaller."""
    sums = None
    with torch.no_grad():
        examples = [(x[n : n + 1], y[n : n + 1]) for x, y in case.batches for n in range(len(x))]
        for x, y in examples:
            a = case.model[:cut](x)
            effects = []
            for u in range(a.shape[1]):
                less, more = a.clone(), a.clone()
                less[:, u] *= 1 - step
                more[:, u] *= 1 + step
                ends = [float(F.cross_entropy(case.model[cut:](h), y)) for h in (less, more)]
                effects.append(abs(ends[1] - ends[0]) / (2 * step * a[0, u].numel()))
            sums = effects if sums is None else [s + e for s, e in zip(sums, effects, strict=True)]
    return [s / len(examples) for s in sums]
