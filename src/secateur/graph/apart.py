"""Integers that a module compares, and that a cut must not make equal.

`if self.width != self.width_out: x = self.project(x)` tells two kinds of blocks apart. Once an integer follows a cut,
it may come to equal another one of its module, and the forward pass takes another path. Trials with random widths do
not meet that by chance, so it is looked for: every mended integer is brought to every number that its module keeps
beside it. Where that goes wrong, the dim keeps more entries than the number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from secateur.core.groups import ChannelGraph
from secateur.graph.mend import Mended
from secateur.graph.probe import Scene, find_fault
from secateur.graph.solve import Solution


@dataclass(frozen=True, slots=True, eq=False)
class _Meeting:
    """An integer that could come to equal another of its module.

    Attributes:
        one: the integer.
        number: the other's value.
        group: the group that it follows.
        width: the width of that group at which they are equal.
    """

    one: Mended
    number: int
    group: str
    width: int


def keep_apart(scene: Scene, solution: Solution, graph: ChannelGraph, mended: Sequence[Mended]) -> bool:
    """Set least lengths where integers of a module must not become equal; False if there was no need to."""
    waiting, bad = list(_meetings(scene, solution, graph, mended)), list[_Meeting]()
    while waiting:
        together: dict[str, _Meeting] = {}
        for meeting in waiting:
            together.setdefault(meeting.group, meeting)
        shared = [m for m in waiting if together[m.group].width == m.width]
        if _goes_wrong(scene, solution, graph, shared):
            bad += [m for m in shared if len(shared) == 1 or _goes_wrong(scene, solution, graph, [m])]
        waiting = [m for m in waiting if m not in shared]
    for meeting in bad:
        name = meeting.one.name
        why = f"must not come to equal another integer of {meeting.one.module or 'the top module'}, as {name} would"
        scene.walk.atoms.minima.append((meeting.one.labels, meeting.number + 1, why))
    return bool(bad)


def _meetings(scene: Scene, solution: Solution, graph: ChannelGraph, mended: Sequence[Mended]) -> Iterator[_Meeting]:
    """Every mended integer with every smaller one of its module that it could come to equal in a cut of one group.

    A single unit is no trial: with dims of one entry, PyTorch may take other operators to the same end.
    """
    seen = set()
    for one in mended:
        axis = solution.axis(one.labels, len(one.labels))
        if one.item is not None or axis is None or len(axis.terms) != 1:
            continue
        ((name, each),) = axis.terms
        others = {v for k, v in vars(scene.model.get_submodule(one.module)).items() if k != one.name and type(v) is int}
        for number in sorted(others):
            width, rest = divmod(number - axis.fixed, each)
            fits = not rest and 1 < width < graph.groups[name].units and name in graph.cuttable
            if fits and graph.groups[name].width_near(width) == width and (name, number, each) not in seen:
                seen.add((name, number, each))
                yield _Meeting(one, number, name, width)


def _goes_wrong(scene: Scene, solution: Solution, graph: ChannelGraph, meetings: Sequence[_Meeting]) -> bool:
    kept: Mapping[str, Tensor] = {m.group: torch.arange(graph.groups[m.group].units) < m.width for m in meetings}
    return find_fault(scene, solution, graph, kept) is not None
