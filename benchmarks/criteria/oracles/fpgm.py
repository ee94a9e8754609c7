"""fpgm: distances of all pairs of filters, in a double loop."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import FPGM
from secateur.testing import case as cases


def error() -> float:
    subject = cases.normed()
    worst = 0.0
    for name, found in o.unit_scores(FPGM(), subject.model, list(subject.batches)).items():
        filters = subject.model.get_parameter(f"{name}.weight").detach().flatten(1).tolist()
        wanted = [sum(sum((a - b) ** 2 for a, b in zip(f, g, strict=True)) ** 0.5 for g in filters) for f in filters]
        worst = max(worst, o.worst(found, np.array(wanted)))
    return worst
