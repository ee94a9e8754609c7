"""magnitude: powers of absolute values, one number at a time."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import Magnitude

NAMES = ["0.weight", "2.weight", "5.weight"]


def error() -> float:
    model, data, worst = o.convolutions(), o.batches(), 0.0
    for criterion, power in ((Magnitude(p=1), 1), (Magnitude(p=2), 2)):
        for name, found in o.saliencies(criterion, model, data, NAMES).items():
            numbers = model.get_parameter(name).detach().flatten().tolist()
            wanted = np.array([abs(w) ** power for w in numbers]).reshape(found.shape)
            worst = max(worst, o.worst(found, wanted))
    return worst
