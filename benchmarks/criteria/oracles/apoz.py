"""Zeros are counted."""

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import APoZ
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def zeros(case: Case, cut: int) -> list[float]:
    """Share of zeros in every map behind the first `cut` layers."""
    zero, count = {}, {}
    for x, _ in case.batches:
        for example in case.model[:cut](x).tolist():
            for u, rows in enumerate(example):
                for row in rows:
                    for value in row:
                        zero[u] = zero.get(u, 0) + (value == 0)
                        count[u] = count.get(u, 0) + 1
    return [zero[u] / count[u] for u in sorted(zero)]


def error() -> float:
    case = cases.normed()
    found = score(case.graph, APoZ(), case.evidence(APoZ.needs)).values
    return max(gap(found[n].tolist(), [1 - z for z in zeros(case, cut)]) for n, cut in (("0", 3), ("3", 6)))
