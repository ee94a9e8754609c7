"""What factorizers lose beside bounds from NumPy's singular values, which share no code with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from secateur.core.contracts import Factorizer, Ranks
from secateur.lowrank import CP, SVD, TT, LowRankPlusSparse, Spatial, Tucker2
from secateur.lowrank.base import FACTORIZERS

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Row:
    """One factorizer at some ranks on one layer.

    Attributes:
        method: its name.
        layer: where.
        ranks: the ranks.
        lost: share of the square of the weight that it loses.
        least: no method of this form can lose less.
        most: what the closed form that it starts from loses; more would be an error.
        exact: what at full rank is lost, as an error relative to the largest weight.
    """

    method: str
    layer: str
    ranks: Ranks
    lost: float
    least: float
    most: float
    exact: float


def rows(model: nn.Sequential, sweeps: int) -> list[Row]:
    """Every factorizer on the second convolution of LeNet-5, or on its first linear layer."""
    conv, fc = model.conv2, model.fc1
    cases: list[tuple[Factorizer, str, nn.Module, list[Ranks], Callable[[Array, Ranks], tuple[float, float]]]] = [
        (SVD(), "fc1", fc, [(5,), (20,), (80,)], lambda w, r: (tail(w, r[0]),) * 2),
        (SVD(), "conv2", conv, [(5,), (15,), (30,)], lambda w, r: (tail(w.reshape(50, -1), r[0]),) * 2),
        (Spatial(), "conv2", conv, [(5,), (15,), (40,)], lambda w, r: (tail(separable(w), r[0]),) * 2),
        (Tucker2(), "conv2", conv, [(3, 5), (6, 15), (12, 30)], tucker),
        (CP(sweeps=sweeps), "conv2", conv, [(6,), (24,), (96,)], lambda w, r: (below(w, r[0]), 1.0)),
        (TT(), "fc1", fc, [(4, 4), (16, 16), (40, 32)], train),
        (LowRankPlusSparse(), "fc1", fc, [(5,), (20,), (80,)], lambda w, r: (0.0, tail_and_spikes(w, r[0], 0.05))),
    ]
    found = []
    for one, name, layer, choices, bounds in cases:
        weight = layer.weight.detach().double().numpy()
        whole = one.weight(one.factorize(layer, one.full(layer))).numpy()
        exact = float(np.abs(whole - weight).max() / np.abs(weight).max())
        for ranks in choices:
            near = one.weight(one.factorize(layer, ranks)).numpy()
            lost = float(((near - weight) ** 2).sum() / (weight**2).sum())
            found.append(Row(FACTORIZERS.name_of(one), name, ranks, lost, *bounds(weight, ranks), exact))
    return found


def tail(matrix: Array, rank: int) -> float:
    """Eckart and Young: no matrix of this rank is nearer."""
    s = np.linalg.svd(matrix, compute_uv=False) ** 2
    return float(s[rank:].sum() / s.sum())


def separable(weight: Array) -> Array:
    """`(S h) x (T w)`, in which separable filters are of rank one."""
    outputs, inputs, height, width = weight.shape
    return weight.transpose(1, 2, 0, 3).reshape(inputs * height, outputs * width)


def tucker(weight: Array, ranks: Ranks) -> tuple[float, float]:
    """The larger tail of both unfoldings, and projection on their leading singular vectors."""
    entering, leaving = weight.transpose(1, 0, 2, 3).reshape(weight.shape[1], -1), weight.reshape(len(weight), -1)
    s = np.linalg.svd(entering, full_matrices=False)[0][:, : ranks[0]]
    t = np.linalg.svd(leaving, full_matrices=False)[0][:, : ranks[1]]
    near = np.einsum("tsyx,sa,pa,tb,qb->qpyx", weight, s, s, t, t, optimize=True)
    projected = float(((weight - near) ** 2).sum() / (weight**2).sum())
    return max(tail(entering, ranks[0]), tail(leaving, ranks[1])), projected


def below(weight: Array, rank: int) -> float:
    """The largest tail of any unfolding in two: a sum of `rank` products has at most this rank in each."""
    sides = [(0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3)]
    found = []
    for side in sides:
        rest = tuple(d for d in range(4) if d not in side)
        matrix = weight.transpose(*side, *rest).reshape(int(np.prod([weight.shape[d] for d in side])), -1)
        found.append(tail(matrix, rank))
    return max(found)


def train(weight: Array, ranks: Ranks) -> tuple[float, float]:
    """The larger tail of both unfoldings of 500 = 10 * 10 * 5 and 800 = 8 * 10 * 10, and the sum of both."""
    tensor = weight.reshape(10, 10, 5, 8, 10, 10).transpose(0, 3, 1, 4, 2, 5)
    tails = tail(tensor.reshape(80, -1), ranks[0]), tail(tensor.reshape(80 * 100, -1), ranks[1])
    return max(tails), sum(tails)


def tail_and_spikes(weight: Array, rank: int, density: float) -> float:
    """What the truncated SVD leaves, without its largest entries."""
    u, s, vh = np.linalg.svd(weight, full_matrices=False)
    rest = np.sort(((weight - (u[:, :rank] * s[:rank]) @ vh[:rank]) ** 2).ravel())
    return float(rest[: rest.size - round(density * rest.size)].sum() / (weight**2).sum())
