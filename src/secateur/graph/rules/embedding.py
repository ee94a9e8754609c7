"""Look-up tables: rows are named by number, columns are units."""

from __future__ import annotations

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::embedding")
def embedding(site: Site) -> State:
    """Weight `(rows, units)`, indices of any shape; output `(*indices, units)`."""
    units = _units(site)
    free = len(site.shape("indices"))
    return State((*[None] * free, units.labels[0]), (*[False] * free, units.silent[0]))


@rule("aten::_embedding_bag", "aten::_embedding_bag_forward_only")
def embedding_bag(site: Site) -> list[State]:
    """Weight `(rows, units)`, output `(bags, units)`: sums, means or maxima of the rows in a bag."""
    units = _units(site)
    site.pin_all(site.state_of(site.call.bound["offsets"]), "holds positions")
    wide = State((None, *units.labels), (False, *units.silent))
    # For the largest entries the last result says where they were found, for each unit.
    shapes = enumerate(site.output_shapes)
    return [wide if n in (0, 3) and len(shape) == 2 else State.free(len(shape)) for n, shape in shapes]


def _units(site: Site) -> State:
    """What a row of the table is; rows are looked up by number, and are not cut."""
    w, rows = site.state("weight"), site.state("indices")
    assert w is not None and rows is not None
    site.pin(w.labels[0], "looks rows up by number")
    site.play(w, 1, Role.PRODUCES)
    site.pin_all(rows, "holds row numbers")
    return State(w.labels[1:], w.silent[1:])
