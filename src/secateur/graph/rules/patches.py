"""Patches of an image as columns, and back: every channel becomes as many rows as the kernel has places."""

from __future__ import annotations

from math import prod

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::im2col")
def to_columns(site: Site) -> State:
    """`(.., C, H, W)` to `(.., C * places, patches)`, row `c * places + k` from channel c."""
    x = site.state("self")
    assert x is not None
    for labels in x.labels[-2:]:
        site.pin(labels, "takes patches over it as a spatial dim")
    channels, places = x.labels[-3], prod(site.literal("kernel_size"))
    rows = None if channels is None else channels.repeat_interleave(places)
    return State((*x.labels[:-3], rows, None), (*x.silent[:-3], x.silent[-3], False), x.static)


@rule("aten::col2im")
def from_columns(site: Site) -> State:
    """`(.., C * places, patches)` to `(.., C, H, W)`, patches overlap in sums: all rows of a channel go together."""
    x = site.state("self")
    assert x is not None
    site.pin(x.labels[-1], "lays patches out by position")
    rows, channels = x.labels[-2], None
    if rows is not None:
        table = rows.view(-1, prod(site.literal("kernel_size")))
        channels = table[:, 0]
        for column in table.T[1:]:
            channels = site.join(channels, column)
    return State((*x.labels[:-2], channels, None, None), (*x.silent[:-2], x.silent[-2], False, False), x.static)
