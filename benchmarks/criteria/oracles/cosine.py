"""Every filter against every other, number by number."""

from math import sqrt

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import Cosine
from secateur.planning import score
from secateur.testing import case as cases


def similarities(filters: list[list[float]]) -> list[list[float]]:
    def cos(a: list[float], b: list[float]) -> float:
        return sum(p * q for p, q in zip(a, b, strict=True)) / sqrt(sum(p * p for p in a) * sum(q * q for q in b))

    return [[cos(a, b) for j, b in enumerate(filters) if j != i] for i, a in enumerate(filters)]


def error() -> float:
    case = cases.normed()
    evidence, gaps = case.evidence(Cosine.needs), []
    for name in ("0", "3"):
        weight = case.model[int(name)].weight
        rows = similarities([weight[u].flatten().tolist() for u in range(len(weight))])
        for by, fold in (("max", max), ("mean", lambda r: sum(r) / len(r))):
            found = score(case.graph, Cosine(by=by), evidence).values[name]
            gaps.append(gap(found.tolist(), [1 - fold(row) for row in rows]))
    return max(gaps)
