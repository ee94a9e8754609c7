"""Wanda: norms of columns, summed up one number at a time."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import Wanda

NAMES = ["0.weight", "2.weight", "5.weight"]


def error() -> float:
    model, data = o.convolutions(), o.batches()
    worst = 0.0
    for name, found in o.saliencies(Wanda(), model, data, NAMES).items():
        seen = o.seen_by(model, data, name)
        wanted = []
        for x, rows in zip(seen, o.rows_of(model, name, len(seen)), strict=True):
            norms = [sum(float(v) ** 2 for v in column) ** 0.5 for column in x.T]
            wanted += [[abs(w) * n for w, n in zip(row, norms, strict=True)] for row in rows.tolist()]
        worst = max(worst, o.worst(found, np.array(wanted).reshape(found.shape)))
    return worst
