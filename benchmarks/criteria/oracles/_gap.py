"""The figure that every oracle returns."""

from collections.abc import Iterable

import numpy as np


def gap(found: Iterable[float], wanted: Iterable[float]) -> float:
    """Largest difference, relative to the largest number wanted; 1e300 where there is nothing to compare."""
    a, b = np.array(list(found), dtype=np.float64), np.array(list(wanted), dtype=np.float64)
    if a.shape != b.shape or not a.size or not np.abs(b).max() > 0:
        return 1e300
    return float(np.abs(a - b).max() / np.abs(b).max())
