"""Where everything stands: every band in a lane of its own for as long as it runs, every weight on one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from secateur.core.picture.rows import Row, Weight, flows


@dataclass(frozen=True, slots=True)
class Line:
    """A row with its place.

    Attributes:
        row: what it tells; None for a line that only has a note.
        lane: where its box or its band is.
        above: the bands at its upper edge, lane to group.
        below: the bands at its lower edge.
        joined: lanes that are tied together here: of groups that a weight takes, that its units flow into, or on which
            one module works side by side.
        origin: the lane of the weight right above, whose units come in here; None elsewhere.
        note: what is said of tensors that have no row.
    """

    row: Row | None
    lane: int
    above: Mapping[int, str]
    below: Mapping[int, str]
    joined: tuple[int, ...] = ()
    origin: int | None = None
    note: str = ""


def lay_out(rows: list[Row]) -> list[Line]:
    """Give every row its lanes; a lane is used again as soon as its band has ended."""
    last = {group: i for i, row in enumerate(rows) for group in row.groups}
    lane_of: dict[str, int] = {}  # of the bands that run
    lines: list[Line] = []
    coming: tuple[int, tuple[str, ...]] | None = None  # lane and gifts of the weight right above
    for i, row in enumerate(rows):
        above = _lanes(lane_of) | ({coming[0]: coming[1][0]} if coming else {})
        if isinstance(row, Weight):
            flowing = flows(row, lane_of)
            met = (*row.takes, *row.bends) if flowing else row.groups
            lane = _lane_of_weight(met, row.takes, lane_of, {g for g, end in last.items() if end == i})
            joined = tuple(lane_of[g] for g in met)
            _end(lane_of, row.groups, last, i)
            coming = (lane, row.gives) if flowing else None
            below = _lanes(lane_of) | ({lane: row.gives[0]} if flowing else {})
            lines.append(Line(row, lane, above, below, joined))
            continue
        origin = coming[0] if coming else None
        met = coming[1] if coming else row.groups
        for group in met:
            _begin(lane_of, group, origin)
        joined = tuple(lane_of[g] for g in met)
        lane, coming = lane_of[row.groups[0]], None
        _end(lane_of, row.groups, last, i)
        lines.append(Line(row, lane, above, _lanes(lane_of), joined, origin))
    return lines


def _lanes(lane_of: Mapping[str, int]) -> dict[int, str]:
    return {lane: group for group, lane in lane_of.items()}


def _lane_of_weight(met: Sequence[str], takes: Sequence[str], lane_of: Mapping[str, int], ending: set[str]) -> int:
    """On the band that it works on in its place, else on a band that ends here, else on a lane of its own."""
    if met and not takes:
        return lane_of[met[0]]
    ends = [lane_of[g] for g in takes if g in ending]
    return min(ends) if ends else _free(lane_of.values())


def _begin(lane_of: dict[str, int], group: str, wish: int | None) -> None:
    """Let a band run that does not yet, in the lane of the weight that it comes from if that is free."""
    if group not in lane_of:
        free = wish is not None and wish not in lane_of.values()
        lane_of[group] = wish if free and wish is not None else _free((*lane_of.values(), -1 if wish is None else wish))


def _end(lane_of: dict[str, int], groups: Iterable[str], last: Mapping[str, int], row: int) -> None:
    for group in groups:
        if last[group] == row:
            lane_of.pop(group, None)


def _free(taken: Iterable[int]) -> int:
    used = set(taken)
    return next(lane for lane in count() if lane not in used)
