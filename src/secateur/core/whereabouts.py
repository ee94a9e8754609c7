"""Where a name lives that is no block's: users know layers, plans speak of groups."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from secateur.core.groups import ChannelGraph, Group, Role

#: More names than this are counted instead of listed.
_FEW = 12


def whereabouts(graph: ChannelGraph, name: str, blocks: Sequence[str]) -> str:
    """A sentence that helps someone who wrote `name` (of a tensor, of a module, or a pattern) for a block.

    Returns:
        The group in which it lives, or why that may not be cut, or blocks that are written alike. Empty if nothing is
        known.
    """
    tensors = [tensor for tensor in graph.tensors if _is_or_holds(name, tensor)]
    if found := [block for block in blocks if block in tensors]:
        return f"Did you mean {_or(found)}?"
    homes = _homes(graph, set(tensors))
    if free := [group.name for group in homes if group.name in blocks]:
        return f"Its units move together with {_or(free)}: name that instead; `secateur trace` shows what else moves."
    if pinned := [f"{group.name!r} (pinned: {group.pinned})" for group in homes if group.pinned]:
        return f"It may not be cut: its units move together with {', '.join(pinned[:3])}."
    near = difflib.get_close_matches(name, blocks, n=2)
    return f"Did you mean {_or(near)}?" if near else ""


def known(names: Sequence[str]) -> str:
    """The names there are; of very many the first ones, and how many more."""
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "") if names else "none"


def _is_or_holds(name: str, tensor: str) -> bool:
    """Whether `name` is the tensor, or a module above it, or a pattern for one of these."""
    parts = tensor.split(".")
    return any(fnmatchcase(".".join(parts[:n]), name) for n in range(1, len(parts) + 1))


def _homes(graph: ChannelGraph, tensors: set[str]) -> list[Group]:
    """The groups whose units these tensors make, scale or shift; if there are none, those that they consume."""
    roles = {g.name: {s.role for s in g.slots if s.tensor in tensors} for g in graph.groups.values()}
    makes = [graph.groups[name] for name, found in roles.items() if found - {Role.CONSUMES}]
    return makes or [graph.groups[name] for name, found in roles.items() if found]


def _or(names: Sequence[str]) -> str:
    few = [repr(name) for name in names[:3]]
    return f"{' or '.join(few)}" + (f" or {len(names) - 3} others" if len(names) > 3 else "")
