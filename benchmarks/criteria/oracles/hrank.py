"""NumPy's matrix_rank, map by map; the second group is read flattened, and its maps are still matrices."""

import numpy as np

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import HRank
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def ranks(case: Case, cut: int) -> list[float]:
    """Mean rank of every map behind the first `cut` layers."""
    maps = np.concatenate([case.model[:cut](x).detach().numpy() for x, _ in case.batches])
    return [
        sum(int(np.linalg.matrix_rank(maps[n, u])) for n in range(len(maps))) / len(maps) for u in range(maps.shape[1])
    ]


def error() -> float:
    case = cases.normed()
    found = score(case.graph, HRank(), case.evidence(HRank.needs)).values
    return max(gap(found[n].tolist(), ranks(case, cut)) for n, cut in (("0", 3), ("3", 6)))
