"""least_squares: the student's inputs and the dense outputs collected in numpy, solved by `numpy.linalg.lstsq`."""

from __future__ import annotations

import copy

import numpy as np
import torch

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from secateur.apply.masking import mask
from secateur.repair import LeastSquares


def error(damping: float = 1e-3) -> float:
    """Layer by layer: each is solved on what the layers in front of it, as the oracle left them, give."""
    model, data = o.convolutions(), o.batches(6)
    worst = 0.0
    for plan in c.plans(model, data):
        student = c.repaired([LeastSquares(damping=damping)], model, data, plan)
        mine = copy.deepcopy(mask(model, plan))
        for name in c.NAMES:
            layer = mine.get_submodule(name.rpartition(".")[0])
            wanted = solved(model, mine, data, name, c.rows_kept(plan, name, c.weights(mine, name).shape), damping)
            with torch.no_grad():
                layer.parametrizations["weight"].original.copy_(torch.from_numpy(wanted))  # type: ignore[index, union-attr]
            worst = max(worst, o.worst(c.weights(student, name), c.weights(mine, name)))
    return worst


def solved(
    model: o.nn.Module, mine: o.nn.Module, data: list[o.Batch], name: str, keep: o.Array, damping: float
) -> o.Array:
    now = c.weights(mine, name)
    found = np.zeros_like(now).reshape(len(now), -1)
    seen, before = o.seen_by(mine, data, name), o.seen_by(model, data, name)
    groups = len(seen)
    size = len(now) // groups
    old, bias = c.weights(model, name).reshape(len(now), -1), biases(model, name) - biases(mine, name)
    for row in range(len(now)):
        x, dense = seen[row // size], before[row // size]
        stays = keep[row]
        if not stays.any():
            continue
        sizes = np.sum(x**2, 0)  # sums over places, so the damping is of a sum as well; what is always 0 does not count
        root = np.sqrt(damping * np.mean(sizes[sizes > 0]))
        left = np.concatenate([x[:, stays], root * np.eye(x.shape[1])[:, stays]])
        right = np.concatenate([dense @ old[row] + bias[row], root * now[row].reshape(-1)])
        found[row, stays] = np.linalg.lstsq(left, right, rcond=None)[0]
    return found.reshape(now.shape)


def biases(model: o.nn.Module, name: str) -> o.Array:
    bias = model.get_submodule(name.rpartition(".")[0]).bias
    assert isinstance(bias, torch.Tensor)
    return bias.detach().numpy()
