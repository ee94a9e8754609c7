"""ThiNet: the error of every set of channels by running the next layer on them, and the greedy choice among those."""

from __future__ import annotations

from itertools import combinations
from math import inf

from benchmarks.criteria.oracles import _parts as o
from secateur.core.groups import Group
from secateur.criteria import ThiNet
from secateur.criteria.base import contributions
from secateur.testing import case as cases
from secateur.testing.case import Case


def error() -> float:
    """Of the errors of all subsets; infinite where the order is not that of the greedy choice."""
    return max(of(subject, group) for subject, group in groups())


def groups() -> list[tuple[Case, Group]]:
    """Channels read by a convolution, by a linear layer behind flatten, and a stream that several layers read."""
    normed, residual = cases.normed(), cases.residual()
    return [(normed, group) for group in normed.graph.cuttable.values()] + [(residual, residual.graph.cuttable["0"])]


def of(subject: Case, group: Group) -> float:
    evidence, alone = subject.evidence(ThiNet.needs), o.parts(subject, group)
    moments = contributions(group, evidence)
    worst = 0.0
    for size in range(1, group.units + 1):
        for removed in combinations(range(group.units), size):
            wanted = o.error_of(removed, alone)
            found = float(moments[list(removed)][:, list(removed)].sum())
            worst = max(worst, abs(found - wanted) / wanted)
    turns = ThiNet().score(group, evidence).tolist()
    order = sorted(range(group.units), key=lambda unit: turns[unit])
    return worst if order == greedy(group.units, alone) else inf


def greedy(units: int, alone: list[o.Array]) -> list[int]:
    """Algorithm 1, with the error run anew for every candidate."""
    gone: list[int] = []
    while len(gone) < units:
        left = [unit for unit in range(units) if unit not in gone]
        gone.append(min(left, key=lambda unit: o.error_of([*gone, unit], alone)))
    return gone
