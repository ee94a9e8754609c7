"""sparsegpt_update: the sweep without factorisation, blocks or laziness, for given masks."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles.sparsegpt import sweep
from secateur.repair import SparseGPTUpdate


def error(damping: float = 0.02) -> float:
    model, data = o.convolutions(), o.batches(6)
    worst = 0.0
    for plan in c.plans(model, data):
        for block in (128, 7):
            student = c.repaired([SparseGPTUpdate(block=block, damping=damping)], model, data, plan)
            for name in c.NAMES:
                found = c.weights(student, name)
                seen = o.seen_by(model, data, name)
                keep = np.split(c.rows_kept(plan, name, found.shape), len(seen))
                rows = [
                    sweep(o.moments(x, damping), rows, None, kept)[0]
                    for x, rows, kept in zip(seen, o.rows_of(model, name, len(seen)), keep, strict=True)
                ]
                worst = max(worst, o.worst(found, np.concatenate(rows).reshape(found.shape)))
    return worst
