"""Plans without scores: you say what stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from secateur.core.contracts import Granularity
from secateur.core.groups import ChannelGraph
from secateur.core.plan import Provenance, PruningPlan
from secateur.granularity import Channel
from secateur.planning.plan import library_version


def plan_by_hand(
    graph: ChannelGraph,
    keep: Mapping[str, Sequence[int] | Tensor] | None = None,
    *,
    granularity: Granularity | None = None,
) -> PruningPlan:
    """A plan that keeps what you name, and everything in all other groups.

    `plan_by_hand(graph, {"conv1": [0, 3, 7]})` is `plan_by_hand(graph).keep("conv1", [0, 3, 7])`.

    Args:
        graph: the structure; `graph.draw()` shows the names of its groups.
        keep: group name to the numbers of the units that stay, or to a boolean for every unit.
        granularity: what one unit is; channels by default.

    Returns:
        The plan, ready for `mask` and `shrink`.

    Raises:
        UnknownNameError: no such group.
        IncompatibleError: a group is pinned, a unit does not exist, or too few are kept.
    """
    made = PruningPlan({}, granularity or Channel(), graph, Provenance(version=library_version()))
    for block, units in (keep or {}).items():
        made = made.keep(block, units)
    return made
