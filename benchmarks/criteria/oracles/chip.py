"""NumPy's nuclear norm, with a row set to zero."""

import numpy as np

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import CHIP
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def independence(case: Case, cut: int) -> list[float]:
    """Mean fall of the nuclear norm, map by map, behind the first `cut` layers."""
    maps = np.concatenate([case.model[:cut](x).detach().numpy() for x, _ in case.batches])
    sums = [0.0] * maps.shape[1]
    for example in maps:
        matrix = example.reshape(len(example), -1)
        whole = np.linalg.norm(matrix, "nuc")
        for u in range(len(matrix)):
            masked = matrix.copy()
            masked[u] = 0
            sums[u] += whole - np.linalg.norm(masked, "nuc")
    return [s / len(maps) for s in sums]


def error() -> float:
    case = cases.normed()
    found = score(case.graph, CHIP(), case.evidence(CHIP.needs)).values
    return max(gap(found[n].tolist(), independence(case, cut)) for n, cut in (("0", 3), ("3", 6)))
