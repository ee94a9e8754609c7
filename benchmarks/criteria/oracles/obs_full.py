"""OBS over the whole network: the inverse built up by Hassibi's recursion, one example after another."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles.woodfisher import gradients
from secateur.criteria import OBSFull


def error(damping: float = 1e-3) -> float:
    """With more examples than parameters, and with fewer."""
    small = o.seeded_(o.nn.Sequential(o.nn.Linear(4, 3), o.nn.Tanh(), o.nn.Linear(3, 3)))
    few = [(o.numbers(20, 4, seed=s), y) for s, (_, y) in enumerate(o.batches(4, 20))]
    return max(of(small, few, damping), of(o.convolutions(), o.batches(), damping))


def of(model: o.nn.Module, data: list[o.Batch], damping: float) -> float:
    names = [name for name, _ in model.named_parameters()]
    rows = gradients(model, data, names)
    inverse = np.eye(rows.shape[1]) / damping
    for g in rows:
        along = inverse @ g
        inverse -= np.outer(along, along) / (len(rows) + g @ along)
    weights = np.concatenate([p.detach().numpy().reshape(-1) for p in model.parameters()])
    wanted = weights**2 / (2 * inverse.diagonal())
    found = o.saliencies(OBSFull(damping=damping), model, data, names)
    return o.worst(np.concatenate([found[name].reshape(-1) for name in names]), wanted)
