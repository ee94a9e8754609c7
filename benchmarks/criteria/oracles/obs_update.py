"""obs_update: least squares solved from scratch; and the surgeon's own updates, one weight after another."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from secateur.repair import OBSUpdate


def error(damping: float = 0.02) -> float:
    model, data = o.convolutions(), o.batches(6)
    worst = 0.0
    for plan in c.plans(model, data):
        student = c.repaired([OBSUpdate(damping=damping)], model, data, plan)
        for name in c.NAMES:
            found = c.weights(student, name)
            seen = o.seen_by(model, data, name)
            keep = np.split(c.rows_kept(plan, name, found.shape), len(seen))
            for how in (refitted, operated):
                rows = [
                    how(o.moments(x, damping), row, stays)
                    for x, rows, kept in zip(seen, o.rows_of(model, name, len(seen)), keep, strict=True)
                    for row, stays in zip(rows, kept, strict=True)
                ]
                worst = max(worst, o.worst(found, np.array(rows).reshape(found.shape)))
    return worst


def refitted(gram: o.Array, row: o.Array, stays: o.Array) -> o.Array:
    return o.refit(gram, row, np.flatnonzero(~stays).tolist())[0]


def operated(gram: o.Array, row: o.Array, stays: o.Array) -> o.Array:
    """Hassibi's update for each weight that goes, in a random order, with the inverse of what is left made anew."""
    row, left = row.copy(), list(range(len(row)))
    for q in np.random.default_rng(0).permutation(np.flatnonzero(~stays)).tolist():
        inverse, place = np.linalg.inv(gram[np.ix_(left, left)]), left.index(q)
        row[left] -= row[q] / inverse[place, place] * inverse[:, place]
        left.remove(q)
        row[q] = 0.0
    return row
