"""What a network costs at any widths, exactly and without building it."""

from __future__ import annotations

from collections.abc import Mapping

from secateur.core.budget import Cost
from secateur.core.groups import ChannelGraph


def cost(graph: ChannelGraph, widths: Mapping[str, int] | None = None) -> Cost:
    """Cost of the network at `widths` (group name to units that stay; groups not named keep all).

    Multiply-accumulates are products of widths at each operator, so the figure is exact, to the integer.
    """
    at = graph.full | dict(widths or {})
    params = {n: t.numel(at) for n, t in graph.tensors.items() if not t.buffer}
    return Cost(
        macs=sum(op.macs(at) for op in graph.ops),
        params=sum(params.values()),
        weights=sum(n for name, n in params.items() if len(graph.tensors[name].axes) > 1),
        units=sum(at[name] for name in graph.cuttable),
    )
