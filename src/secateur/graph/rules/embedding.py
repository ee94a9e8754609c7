"""Look-up tables: rows are named by number, columns are units."""

from __future__ import annotations

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::embedding")
def embedding(site: Site) -> State:
    """Weight `(rows, units)`, indices of any shape; output `(*indices, units)`."""
    w = site.state("weight")
    assert w is not None
    site.pin(w.labels[0], "looks rows up by number")
    site.play(w, 1, Role.PRODUCES)
    rows = site.state("indices")
    assert rows is not None
    site.pin_all(rows, "holds row numbers")
    free = len(site.shape("indices"))
    return State((*[None] * free, w.labels[1]), (*[False] * free, w.silent[1]))
