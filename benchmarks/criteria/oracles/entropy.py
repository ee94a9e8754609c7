"""NumPy's histogram of pooled maps."""

from math import log

import numpy as np

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import Entropy
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def entropies(case: Case, cut: int, bins: int) -> list[float]:
    """Entropy in nats of each map's pooled value behind the first `cut` layers."""
    maps = np.concatenate([case.model[:cut](x).detach().numpy() for x, _ in case.batches])
    found = []
    for u in range(maps.shape[1]):
        pooled = [float(np.mean(maps[n, u])) for n in range(len(maps))]
        counts, _ = np.histogram(pooled, bins=bins, range=(min(pooled), max(pooled)))
        shares = [c / len(pooled) for c in counts if c]
        found.append(-sum(p * log(p) for p in shares))
    return found


def error() -> float:
    case = cases.normed()
    gaps = []
    for bins in (3, 4, 7):
        found = score(case.graph, Entropy(bins=bins), case.evidence(Entropy.needs)).values
        gaps += [gap(found[n].tolist(), entropies(case, cut, bins)) for n, cut in (("0", 3), ("3", 6))]
    return max(gaps)
