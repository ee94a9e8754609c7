"""What the picture says, row by row, before anything has a place: weights, and what happens on the bands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from secateur.core.groups import ChannelGraph, Role, Slot
from secateur.core.picture.order import in_order


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a dim: `units` of a group, `times` entries each; or, without a group, a plain number of entries."""

    group: str
    units: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that ties groups together.

    Attributes:
        tensor: its name.
        dims: the pieces of every dim.
        takes: groups whose units it sums over.
        gives: groups whose units it makes.
        bends: groups whose units it only scales, shifts or follows.
    """

    tensor: str
    dims: tuple[tuple[Part, ...], ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    bends: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group that it touches, each once."""
        return tuple(dict.fromkeys((*self.takes, *self.gives, *self.bends)))


@dataclass(frozen=True, slots=True)
class Band:
    """Something that happens to units.

    Attributes:
        groups: whose units; several where one module works on all of them side by side (a norm after a concatenation).
        first: whether the group begins here.
        marks: tensors of one module that scale, shift or follow the units, with their role.
    """

    groups: tuple[str, ...]
    first: bool
    marks: tuple[tuple[str, Role], ...] = ()


Row = Weight | Band


def rows_of(graph: ChannelGraph) -> list[Row]:
    """The rows of the picture, in order of execution. Every tensor stands in exactly one of them."""
    slots: dict[str, list[tuple[str, Slot]]] = {}
    for group in graph.groups.values():
        for slot in group.slots:
            slots.setdefault(slot.tensor, []).append((group.name, slot))
    multiplied = {op.weight for op in graph.ops}
    rows: list[Row] = []
    begun: set[str] = set()
    for name in in_order(graph):
        roles = {slot.role for _, slot in slots[name]}
        dims = {slot.dim for _, slot in slots[name]}
        if roles & {Role.PRODUCES, Role.CONSUMES} or len(dims) > 1 or name in multiplied:
            _add_weight(rows, begun, _weight(graph, name, slots[name]))
        else:
            groups = tuple(dict.fromkeys(group for group, _ in slots[name]))
            _add_mark(rows, begun, groups, (name, min(roles, key=list(Role).index)))
    return rows


def _add_weight(rows: list[Row], begun: set[str], weight: Weight) -> None:
    """The weight, with the beginning of what it takes before it, and of what it gives after it."""
    before = [g for g in (*weight.takes, *weight.bends) if g not in begun]
    rows += [Band((g,), first=True) for g in dict.fromkeys(before)]
    begun.update(before)
    rows.append(weight)
    if flows(weight, begun):
        rows += [Band((g,), first=g not in begun) for g in weight.gives]
    begun.update(weight.gives)


def flows(weight: Weight, begun: Iterable[str]) -> bool:
    """Whether units come out below a weight; a depthwise one, say, works on a band in its place."""
    return bool(weight.gives) and (bool(weight.takes) or not set(weight.gives) <= set(begun))


def _add_mark(rows: list[Row], begun: set[str], groups: tuple[str, ...], mark: tuple[str, Role]) -> None:
    """The mark, in the row before where that tells of the same module or of none yet."""
    if len(groups) > 1:
        rows += [Band((g,), first=True) for g in groups if g not in begun]
        begun.update(groups)
    last = rows[-1] if rows else None
    if isinstance(last, Band) and last.groups == groups and (not last.marks or _module(last.marks[0]) == _module(mark)):
        rows[-1] = replace(last, marks=(*last.marks, mark))
    else:
        rows.append(Band(groups, groups[0] not in begun, (mark,)))
    begun.update(groups)


def _module(mark: tuple[str, Role]) -> str:
    return mark[0].rpartition(".")[0]


def _weight(graph: ChannelGraph, name: str, slots: list[tuple[str, Slot]]) -> Weight:
    def playing(*roles: Role) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group for group, slot in slots if slot.role in roles))

    takes, gives = playing(Role.CONSUMES), playing(Role.PRODUCES)
    bends = tuple(g for g in playing(Role.SCALES, Role.SHIFTS, Role.TRACKS) if g not in (*takes, *gives))
    sizes = [axis.size(graph.full) for axis in graph.tensors[name].axes]
    dims = tuple(_parts(size, [(g, s) for g, s in slots if s.dim == dim]) for dim, size in enumerate(sizes))
    return Weight(name, dims, takes, gives, bends)


def _parts(size: int, slots: list[tuple[str, Slot]]) -> tuple[Part, ...]:
    parts = [Part(group, *slot.index.shape) for group, slot in slots]
    rest = size - sum(p.units * p.times for p in parts)
    return (*parts, Part("", rest)) if rest or not parts else tuple(parts)
