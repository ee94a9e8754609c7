"""OBS for channels: take all columns of a channel out of every layer that reads it, and solve those layers anew."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import OBSChannel

#: Group to the layer that reads it, and the columns of each unit, by hand. A unit of a grouped convolution owns the
#: same place in both of its groups: of its inputs in each group's own columns, of its outputs two channels.
READERS = {
    "0": ("2.weight", [[*range(6)], [*range(6, 12)]]),
    "2": ("5.weight", [[*range(12 * u, 12 * u + 12), *range(12 * u + 36, 12 * u + 48)] for u in range(3)]),
}


def error(damping: float = 0.02) -> float:
    model, data = o.convolutions(), o.batches(6)
    found = o.unit_scores(OBSChannel(damping=damping), model, data)
    worst = 0.0
    for group, (name, columns) in READERS.items():
        wanted = np.array([of_unit(model, data, name, gone, damping) for gone in columns])
        worst = max(worst, o.worst(found[group], wanted))
    return worst


def of_unit(model: o.nn.Module, data: list[o.Batch], name: str, gone: list[int], damping: float) -> float:
    seen = o.seen_by(model, data, name)
    grams = [o.moments(x, damping) for x in seen]
    every = zip(grams, o.rows_of(model, name, len(seen)), strict=True)
    return sum(o.refit(gram, row, gone)[1] for gram, rows in every for row in rows)
