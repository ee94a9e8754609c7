"""Activations are added up one by one."""

from math import fsum

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import MeanActivation
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def means(case: Case, cut: int) -> list[float]:
    """Mean absolute value of every map behind the first `cut` layers."""
    values = {}
    for x, _ in case.batches:
        for example in case.model[:cut](x).tolist():
            for u, rows in enumerate(example):
                values.setdefault(u, []).extend(abs(v) for row in rows for v in row)
    return [fsum(values[u]) / len(values[u]) for u in sorted(values)]


def error() -> float:
    case = cases.normed()
    found = score(case.graph, MeanActivation(), case.evidence(MeanActivation.needs)).values
    return max(gap(found[n].tolist(), means(case, cut)) for n, cut in (("0", 3), ("3", 6)))
