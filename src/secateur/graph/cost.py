"""What a network costs at any widths, exactly and without building it."""

from __future__ import annotations

from collections.abc import Mapping

from secateur.core.budget import Cost
from secateur.core.groups import ChannelGraph


def cost(graph: ChannelGraph, widths: Mapping[str, int] | None = None) -> Cost:
    """Cost of the network at `widths` (group name to units that stay; groups not named keep all).

    Multiply-accumulates are products of widths at each operator, so the figure is exact, to the integer.
    """
    return Cost(*(cost_of(graph, unit, widths) for unit in ("macs", "params", "weights", "units")))


def cost_of(graph: ChannelGraph, unit: str, widths: Mapping[str, int] | None = None) -> int:
    """One of the figures of `cost`, by name, without the price of the others: a search asks for it again and again."""
    at = graph.full | dict(widths or {})
    match unit:
        case "macs":
            return sum(op.macs(at) for op in graph.ops)
        case "units":
            return sum(at[name] for name in graph.cuttable)
    tensors = [t for t in graph.tensors.values() if not t.buffer and (unit == "params" or len(t.axes) > 1)]
    return sum(t.numel(at) for t in tensors)
