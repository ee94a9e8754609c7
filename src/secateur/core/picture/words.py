"""What is written beside the rows, for every form of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from secateur.core.groups import ChannelGraph, Group, Role
from secateur.core.picture.lanes import Line
from secateur.core.picture.rows import Band, Part, Weight

#: What a tensor does with the units of a band, in one sign.
SIGNS = {Role.SCALES: "×", Role.SHIFTS: "+", Role.TRACKS: "~", Role.PRODUCES: "→", Role.CONSUMES: "←"}  # noqa: RUF001

#: More names or groups than this are counted instead of listed.
_FEW = 4


def headline(graph: ChannelGraph) -> str:
    """How much there is to cut."""
    macs = sum(op.macs(graph.full) for op in graph.ops)
    params = sum(t.numel(graph.full) for t in graph.tensors.values() if not t.buffer)
    cuttable, pinned = len(graph.cuttable), len(graph.groups) - len(graph.cuttable)
    return (
        f"{cuttable} {'group' if cuttable == 1 else 'groups'} can be cut, {pinned} pinned; "
        f"{params:,} parameters, {macs:,} multiply-accumulates"
    )


def outside(graph: ChannelGraph) -> str:
    """The parameters in which no group lives, of which nothing is ever cut; empty if there are none."""
    inside = {slot.tensor for group in graph.groups.values() for slot in group.slots}
    names = [clean(name) for name, axes in graph.tensors.items() if not axes.buffer and name not in inside]
    return f"… in no group: {listed(names)}" if names else ""


def units(group: Group) -> str:
    """How wide a group is."""
    return f"{group.units:,} {'unit' if group.units == 1 else 'units'}"


def why(group: Group) -> str:
    """Why a group may not be cut; empty if it may."""
    return f"pinned: {clean(group.pinned)}" if group.pinned else ""


def part(piece: Part) -> str:
    """`50`, or `16·50` where each of 50 units owns 16 entries."""
    return f"{piece.units}" if piece.times == 1 else f"{piece.times}·{piece.units}"


def shape(weight: Weight) -> str:
    """`500 × 16·50`, dims that several groups share in brackets."""  # noqa: RUF002
    return " × ".join("".join(text for text, _ in dim(pieces)) for pieces in weight.dims)  # noqa: RUF001


def dim(pieces: Sequence[Part]) -> list[tuple[str, str]]:
    """A dim in words, each with the group that it belongs to: `(4+5)`, or `704 of 21 groups`."""
    if len(pieces) == 1:
        return [(part(pieces[0]), pieces[0].group)]
    if len(pieces) > _FEW:
        return [(f"{sum(p.units * p.times for p in pieces)} of {len(pieces)} groups", "")]
    signs = ("(", *["+"] * (len(pieces) - 1))
    told = [found for sign, p in zip(signs, pieces, strict=True) for found in ((sign, ""), (part(p), p.group))]
    return [*told, (")", "")]


def cells(graph: ChannelGraph, line: Line, most: int = 0) -> tuple[str, str, str]:
    """Name, size, and what else there is to say of a line; `most` signs of a reason, if it is not 0."""
    row = line.row
    if isinstance(row, Weight):
        return clean(row.tensor), shape(row), ""
    if not isinstance(row, Band):
        return line.note, "", ""
    module, signs = marks(row)
    does = " ".join([module] * bool(module) + [f"{sign}{name}" for _, sign, name in signs])
    if not row.first:
        return f"({listed([clean(g) for g in row.groups], 2)})", "", does
    group = graph.groups[row.groups[0]]
    return clean(group.name), units(group), "  ".join(t for t in (does, short(why(group), most)) if t)


def short(reason: str, most: int) -> str:
    """At most that many signs of a reason, all of them if `most` is 0."""
    return reason if not most or len(reason) <= most else f"{reason[: most - 1]}…"


def marks(band: Band) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The module that works on the units; and each of its tensors, scales first: whole name, sign, own name."""
    if not band.marks:
        return "", ()
    module = band.marks[0][0].rpartition(".")[0]
    ordered = sorted(band.marks, key=lambda mark: list(Role).index(mark[1]))
    return clean(module), tuple((n, SIGNS[role], clean(n.rpartition(".")[2])) for n, role in ordered)


def whole(group: Group) -> str:
    """All that is known of a group, a line for each role."""
    lines = [f"{clean(group.name)}: {units(group)}" + ("" if group.pinned else ", cut together")]
    for role in Role:
        places = [f"{clean(s.tensor)}[{s.dim}]" for s in group.slots_with(role)]
        lines += [f"{role.value}: {', '.join(places)}"] if places else []
    lines += [why(group)] if group.pinned else []
    lines += [f"kept widths divide by {group.multiple}"] if group.multiple > 1 else []
    lines += [] if group.exact else ["norm statistics are taken over live units"]
    return "\n".join(lines)


def clean(name: str) -> str:
    """A name that stays on its line: what cannot be printed (and XML forbids) is replaced."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name)


def listed(names: Sequence[str], most: int = _FEW) -> str:
    """A few names in full; of many the first one, and how many more."""
    return ", ".join(names) if len(names) <= most else f"{names[0]} and {len(names) - 1} more"
