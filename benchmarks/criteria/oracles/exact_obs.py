"""ExactOBS: at every step try each weight that is left, solve from scratch, and take the cheapest out."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import ExactOBS

NAMES = ["0.weight", "2.weight"]


def error(damping: float = 0.02) -> float:
    """Of the losses at which the entries go, where they do not fall; and all entries must go in the same order."""
    model, data = o.convolutions(), o.batches()
    worst = 0.0
    for name, found in o.saliencies(ExactOBS(damping=damping), model, data, NAMES).items():
        seen = o.seen_by(model, data, name)
        every = zip(seen, o.rows_of(model, name, len(seen)), strict=True)
        traces = [greedy(o.moments(x, damping), row) for x, rows in every for row in rows]
        for row, trace in zip(found.reshape(len(traces), -1), traces, strict=True):
            order = [q for q, _ in trace]
            assert np.argsort(row, kind="stable").tolist() == order
            worst = max(worst, o.worst(row[order], np.maximum.accumulate([loss for _, loss in trace])))
    return worst


def greedy(gram: o.Array, row: o.Array, most: int = 0, bucket: int = 0) -> list[tuple[int, float]]:
    """Which entry goes, and by how much the error rises, until all are gone or every bucket has lost `most`."""
    gone: list[int] = []
    trace, before = [], 0.0
    while left := [q for q in range(len(row)) if q not in gone and not full(gone, q, most, bucket)]:
        losses = {q: o.refit(gram, row, [*gone, q])[1] for q in left}
        best = min(left, key=lambda q: (losses[q], q))
        trace.append((best, losses[best] - before))
        before, gone = losses[best], [*gone, best]
    return trace


def full(gone: list[int], entry: int, most: int, bucket: int) -> bool:
    return bool(bucket) and sum(q // bucket == entry // bucket for q in gone) >= most
