"""Why something is not cut, in words: for errors that say that nothing, or not enough, may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from secateur.core.contracts import Block
from secateur.core.groups import ChannelGraph
from secateur.core.whereabouts import known

#: More reasons than this are counted instead of listed.
_FEW = 8


def reasons(pairs: Iterable[tuple[str, str]]) -> str:
    """`(name, why)` pairs as one sentence part, names with the same reason together; "nothing" if there are none."""
    names: dict[str, list[str]] = {}
    for name, why in pairs:
        names.setdefault(why, []).append(name)
    told = [f"{known(found)} ({why})" for why, found in names.items()]
    more = len(told) - _FEW
    return "; ".join(told[:_FEW] + ([f"and {more} reasons more"] if more > 0 else [])) or "nothing"


def pinned(graph: ChannelGraph) -> list[tuple[str, str]]:
    """Every group that may not be cut, and why."""
    return [(group.name, group.pinned) for group in graph.groups.values() if group.pinned]


def whole(blocks: Mapping[str, Block], free: Iterable[str], least: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every block that loses nothing even at its smallest, and why."""
    may = set(free)
    frozen = [(name, "frozen by the constraints") for name in blocks if name not in may]
    narrow = [
        (name, "no narrower width is allowed by multiple and minimum")
        for name, block in blocks.items()
        if name in may and least[name] == block.units
    ]
    return frozen + narrow
