"""OBS: take one weight out, solve the layer's least squares anew, see what error is left."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import OBS

NAMES = ["0.weight", "2.weight", "5.weight"]


def error(damping: float = 0.02) -> float:
    model, data = o.convolutions(), o.batches()
    found = o.saliencies(OBS(damping=damping), model, data, NAMES)
    return max(o.worst(found[name], by_brute_force(model, data, name, damping)) for name in NAMES)


def by_brute_force(model: o.nn.Module, data: list[o.Batch], name: str, damping: float) -> o.Array:
    seen = o.seen_by(model, data, name)
    losses = []
    for x, rows in zip(seen, o.rows_of(model, name, len(seen)), strict=True):
        gram = o.moments(x, damping)
        losses += [[o.refit(gram, row, [q])[1] for q in range(len(row))] for row in rows]
    return np.array(losses).reshape(model.get_parameter(name).shape)
