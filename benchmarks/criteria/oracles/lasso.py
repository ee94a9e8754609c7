"""The lasso: coordinate descent on the outputs themselves, and halving for the penalty at which a channel comes in."""

from __future__ import annotations

import numpy as np

from benchmarks.criteria.oracles import _parts as o
from secateur.core.groups import Group
from secateur.criteria import Lasso
from secateur.testing import case as cases
from secateur.testing.case import Case

_STEPS = 40


def error() -> float:
    normed, residual = cases.normed(), cases.residual()
    every = [(normed, group) for group in normed.graph.cuttable.values()] + [(residual, residual.graph.cuttable["0"])]
    return max(of(subject, group) for subject, group in every)


def of(subject: Case, group: Group) -> float:
    found = Lasso().score(group, subject.evidence(Lasso.needs)).numpy()
    wanted = entries(design(subject, group))
    return float(np.abs(found - wanted).max() / wanted.max())


def design(subject: Case, group: Group) -> o.Array:
    """What units add to each output at each place, `(outputs, units)`: squares are summed, but means of places."""
    rows = [z.reshape(len(z), -1) / z.shape[2] ** 0.5 for z in o.parts(subject, group)]
    return np.concatenate(rows, 1).T


def entries(z: o.Array) -> o.Array:
    """For every unit the largest penalty with a coefficient, in units of the mean square of a column."""
    target = z.sum(1)
    top = np.abs(z.T @ target).max()
    grid = top * np.geomspace(1, 1e-4, 120)
    beta, first = np.zeros(z.shape[1]), np.full(z.shape[1], -1)
    for number, penalty in enumerate(grid):
        beta = descend(z, target, penalty, beta)
        first[(first < 0) & (np.abs(beta) > 1e-9)] = number
    found = np.zeros(z.shape[1])
    for unit in range(z.shape[1]):
        assert first[unit] >= 0, "a unit never comes in; extend the grid"
        high, low = grid[max(first[unit] - 1, 0)] * (1 + 1e-12), grid[first[unit]]
        for _ in range(_STEPS):
            middle = (high + low) / 2
            inside = abs(descend(z, target, middle, np.zeros(z.shape[1]))[unit]) > 1e-11
            high, low = (high, middle) if inside else (middle, low)
        found[unit] = low
    return found / (z**2).sum(0).mean()


def descend(z: o.Array, target: o.Array, penalty: float, start: o.Array) -> o.Array:
    """Coordinate descent for |target - z b|^2 / 2 + penalty |b|_1, to the last digit."""
    beta, squares = start.copy(), (z**2).sum(0)
    moments, answers = z.T @ z, z.T @ target
    for _ in range(20_000):
        before = beta.copy()
        for unit in range(len(beta)):
            pull = answers[unit] - moments[unit] @ beta + squares[unit] * beta[unit]
            beta[unit] = np.sign(pull) * max(abs(pull) - penalty, 0) / squares[unit]
        if np.abs(beta - before).max() < 1e-15:
            break
    return beta
