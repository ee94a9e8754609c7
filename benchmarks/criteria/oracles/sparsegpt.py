"""SparseGPT without factorisation, blocks or laziness: the columns that are left are inverted anew at every column."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import SparseGPT


def error(damping: float = 0.02) -> float:
    """0 if the same entries stay, over several shares, block sizes and a pattern; the share that differs otherwise."""
    model, data = o.convolutions(), o.batches(6)
    worst = 0.0
    for name, width in (("0.weight", 18), ("2.weight", 12), ("5.weight", 72)):
        for how in (
            SparseGPT(keep=0.5, block=width, damping=damping),
            SparseGPT(keep=0.25, block=width // 3, damping=damping),
            SparseGPT(n=1, m=3, damping=damping),
        ):
            found = o.saliencies(how, model, data, [name])[name]
            worst = max(worst, float(np.mean((found >= 1).reshape(-1, width) != wanted(model, data, name, how))))
    return worst


def wanted(model: o.nn.Module, data: list[o.Batch], name: str, how: SparseGPT) -> o.Array:
    seen = o.seen_by(model, data, name)
    found, left = [], 0.0
    for x, rows in zip(seen, o.rows_of(model, name, len(seen)), strict=True):
        assert how.m or len(rows) * min(how.block, rows.shape[1]) * how.keep % 1 == 0 or left == 0
        found.append(sweep(o.moments(x, how.damping), rows, how)[1])
    return np.concatenate(found)


def sweep(gram: o.Array, rows: o.Array, how: SparseGPT | None, keep: o.Array | None = None) -> tuple[o.Array, o.Array]:
    """Weights and mask; the mask is chosen as `how` says, or given."""
    rows, width = rows.copy(), rows.shape[1]
    mask = np.ones(rows.shape, dtype=bool) if keep is None else keep
    inverses = [np.linalg.inv(gram[c:, c:]) for c in range(width)]
    for c in range(width):
        if how is not None and c % (how.m or how.block) == 0:
            here = list(range(c, min(c + (how.m or how.block), width)))
            cost = np.stack([rows[:, j] ** 2 / inverses[j][0, 0] for j in here], 1)
            pools = list(cost) if how.m else [cost.reshape(-1)]
            chosen = [best(pool, how.n if how.m else round(len(pool) * how.keep)) for pool in pools]
            mask[:, here] = np.stack(chosen).reshape(cost.shape)
        share = np.where(mask[:, c], 0, rows[:, c]) / inverses[c][0, 0]
        rows[:, c:] -= np.outer(share, inverses[c][0])
        rows[~mask[:, c], c] = 0
    return rows, mask


def best(pool: o.Array, count: int) -> o.Array:
    stays = np.zeros(len(pool), dtype=bool)
    stays[np.argsort(-pool, kind="stable")[:count]] = True
    return stays
